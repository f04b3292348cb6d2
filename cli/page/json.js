// JSON as text: indented and colored without being parsed, so that numbers keep their digits, doubled fields
// stay double, and no depth is too deep.

import { h, plainJson } from "./dom.js";

const TOKEN = /"(?:[^"\\]|\\[^])*"?|[{}[\],:]|[^\s{}[\],:"]+/g;
const DEPTH_MAX = 40;
const COLOURED_MAX = 60_000;

/** The same JSON, one field a line. */
export function indented(text) {
  return [...tokens(text)].map((token) => token.before + token.text).join("");
}

function* tokens(text) {
  const all = text.match(TOKEN) ?? [];
  let depth = 0;
  const line = () => `\n${"  ".repeat(Math.min(depth, DEPTH_MAX))}`;
  for (const [index, token] of all.entries()) {
    const [last, next] = [all[index - 1], all[index + 1]];
    let before = "";
    if (token === "}" || token === "]") {
      depth -= 1;
      if (last !== "{" && last !== "[") before = line();
    } else if (last === "{" || last === "[" || last === ",") {
      before = line();
    } else if (last === ":") {
      before = " ";
    }
    if (token === "{" || token === "[") depth += 1;
    yield { before, text: token, isName: next === ":" };
  }
}

function kind({ text, isName }) {
  if (isName) return "name";
  if (text === '"[redacted]"') return "struck";
  if (text[0] === '"') return "text";
  return /^[-\dtfn]/.test(text) ? "value" : "sign";
}

/** A block with a JSON text in it. What is too long to be colored is shown plain. */
export function block(text, label) {
  const pre = h("pre", { class: "json", tabindex: "0", "aria-label": label });
  const full = indented(text);
  if (full.length > COLOURED_MAX) {
    pre.append(plainJson(full));
    return pre;
  }
  let signs = "";
  const flush = () => {
    if (signs) pre.append(signs);
    signs = "";
  };
  for (const token of tokens(text)) {
    signs += token.before;
    const name = kind(token);
    if (name === "sign") {
      signs += token.text;
      continue;
    }
    flush();
    pre.append(h("span", { class: name }, plainJson(token.text)));
  }
  flush();
  return pre;
}
