// Creates elements and formats times and strings. No string becomes markup, which the page's policy forbids, too.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element: `h("a", { href, class, onclick }, "text", child)`. */
export function h(name, props = {}, ...children) {
  return fill(document.createElement(name), props, children);
}

/** An SVG element. */
export function s(name, props = {}, ...children) {
  return fill(document.createElementNS(SVG, name), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null));
  return element;
}

// Control characters, bidirectional controls, zero-width characters, line separators.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff]/g;
const escaped = (c) => `\\u{${c.codePointAt(0).toString(16)}}`;

/** A string from a payload on one line, with invisible characters escaped, and at most `max` characters. */
export function plain(text, max = 300) {
  const shown = text.length > max ? `${cut(text, max)}…` : text;
  return shown.replace(UNSEEN, escaped);
}

const clusters = new Intl.Segmenter();

/** At most the first `max` characters, without a part of an emoji. */
function cut(text, max) {
  let end = 0;
  for (const { index, segment } of clusters.segment(text.slice(0, max + 40))) {
    if (index + segment.length > max) break;
    end = index + segment.length;
  }
  return end ? text.slice(0, end) : text.slice(0, max).replace(/[\ud800-\udbff]$/, "");
}

/** The same for JSON, with line breaks kept. */
export function plainJson(text) {
  return text.replace(UNSEEN, (c) =>
    c === "\n" || c === "\t" ? c : c === "\r" ? "" : `\\u${c.codePointAt(0).toString(16).padStart(4, "0")}`);
}

const two = (number) => String(number).padStart(2, "0");

/** "14:03:22.318" in local time, optionally with the day. */
export function clock(time, withDay = false) {
  const at = new Date(time);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} `;
  return `${withDay ? day : ""}${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

export const isToday = (time) => new Date(time).toDateString() === new Date().toDateString();

/** "318 ms", "2.4 s", "3 min 12 s", "2 h 5 min", "3 d 4 h". */
export function span(ms) {
  if (ms < 0) return `−${span(-ms)}`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  const steps = [[86_400_000, "d", 3_600_000, "h"], [3_600_000, "h", 60_000, "min"], [60_000, "min", 1000, "s"]];
  const [unit, name, part, partName] = steps.find(([size]) => ms >= size);
  const rest = Math.floor((ms % unit) / part);
  return `${Math.floor(ms / unit)} ${name}${rest ? ` ${rest} ${partName}` : ""}`;
}

/** Milliseconds from one time to another. */
export const between = (from, to) => Date.parse(to) - Date.parse(from);

/** Copies a string to the clipboard. Returns whether the browser allowed it. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** A button that copies what `text` returns, and shows whether it succeeded. */
export function copyButton(label, text, props = {}) {
  const button = h("button", { type: "button", ...props }, label);
  button.addEventListener("click", async () => {
    const copied = await text();
    button.textContent = copied && await copy(copied) ? "Copied" : "Not copied";
    setTimeout(() => { button.textContent = label; }, 2500);
  });
  return button;
}

/** Calls the page's API. An error has the server's message. */
export async function ask(path, query) {
  const answer = await fetch(`${path}?${new URLSearchParams(query)}`);
  const json = await answer.json();
  if (!answer.ok) throw new Error(json.detail ?? `the server answered ${answer.status}`);
  return json;
}
