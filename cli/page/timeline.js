// Draws a room's timeline: time from left to right, one lane per session, participant, recording and so on.

import { clock, h, plain, s } from "./dom.js";
import { exported } from "./export.js";
import { describeMarker, describeSpan, groups, labelOf, rowsOf, stretch, ticks } from "./lanes.js";

const [AXIS, GROUP, LANE, BAR, LABEL] = [30, 24, 24, 12, 16];
const NARROW = 640;
const SPAN_MIN_MS = 200;

export class Timeline {
  #model; #window; #drawn = false; #onOpen; #onZoom; #saving;

  constructor({ onOpen, onZoom }) {
    this.#onOpen = onOpen;
    this.#onZoom = onZoom;
    this.svg = s("svg", { class: "timeline", role: "group" });
    this.scroll = h("div", { class: "scroll", onscroll: () => this.#keepAxis() }, this.svg);
    this.tip = h("div", { class: "tip", role: "tooltip", id: "tip", hidden: true });
    this.outside = h("p", { class: "outside", hidden: true });
    this.element = h("div", { class: "timeline-view" }, this.scroll, this.outside, legend(), this.tip);
    new ResizeObserver(() => this.#paint()).observe(this.scroll);
    this.#listen();
  }

  /** Draws the answer of /api/timeline; `zoom` is a pair of times in milliseconds, or undefined for all of it. */
  draw(model, zoom) {
    const isSame = this.#model?.room === model.room && this.#model?.provider === model.provider;
    this.#model = model;
    const [from, to] = [Date.parse(model.from), Date.parse(model.to)];
    const pad = Math.max((to - from) * 0.03, 2000);
    this.whole = [from - pad, to + pad];
    this.#window = zoom ?? (isSame && this.#window !== undefined && this.#zoomed ? this.#window : this.whole);
    this.#zoomed = this.#window !== this.whole;
    this.outside.hidden = !model.outside;
    this.outside.textContent = `« » ${model.outside === 1 ? "One time lies outside: its clock is" : `${model.outside} times lie outside: their clocks are`} months off.`;
    this.svg.setAttribute("aria-label", `Timeline of ${plain(model.room ?? "", 80)}`);
    this.#paint();
  }

  #zoomed = false;

  /** Shows a period, or all of it. */
  zoomTo(zoom) {
    if (!this.whole) return;
    const [from, to] = zoom ?? this.whole;
    if (from === this.#window[0] && to === this.#window[1]) return;
    this.#window = [from, to];
    this.#zoomed = Boolean(zoom);
    this.#paint();
  }

  all() {
    if (!this.whole) return;
    clearTimeout(this.#saving);
    this.zoomTo(undefined);
    this.#onZoom({ from: undefined, to: undefined });
  }

  /** Shows `factor` times as much around `at`, from 0 (left end) to 1 (right end). */
  zoomBy(factor, at = 0.5) {
    if (!this.whole) return;
    const [from, to] = this.#window;
    const longest = (this.whole[1] - this.whole[0]) * 1.5;
    const length = Math.min(longest, Math.max(SPAN_MIN_MS, (to - from) * factor));
    const middle = from + (to - from) * at;
    this.#move([Math.round(middle - length * at), Math.round(middle + length * (1 - at))]);
  }

  /** Moves later by a fraction of the visible period. */
  shift(part) {
    if (!this.whole) return;
    const by = Math.round((this.#window[1] - this.#window[0]) * part);
    this.#move([this.#window[0] + by, this.#window[1] + by]);
  }

  #move(zoom) {
    this.zoomTo(zoom);
    clearTimeout(this.#saving);
    this.#saving = setTimeout(() => this.#onZoom({ from: zoom[0], to: zoom[1] }), 250);
  }

  /** Saves the timeline as a file. */
  download() {
    if (!this.#model) return;
    const link = h("a", { download: `${(this.#model.room ?? "room").replace(/[^\w.-]+/g, "-").slice(0, 60)}.svg` });
    link.href = URL.createObjectURL(new Blob([exported(this.svg, this.scroll)], { type: "image/svg+xml" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  #paint() {
    const width = this.scroll.clientWidth;
    if (!this.#model || !width) return;
    const isNarrow = width < NARROW;
    const gutter = isNarrow ? 10 : Math.min(240, Math.round(width * 0.2));
    const scale = { from: this.#window[0], to: this.#window[1], left: gutter, right: width - 12 };
    const place = (time) => scale.left + ((time - scale.from) / (scale.to - scale.from)) * (scale.right - scale.left);
    const body = s("g", {});
    const labels = s("g", {});
    let y = AXIS + 6;
    for (const { kind, title, lanes } of groups(this.#model)) {
      labels.append(s("text", { class: "group", x: 10, y: y + 15 }, title, s("tspan", { class: "count", dx: 6 }, lanes.length > 1 ? String(lanes.length) : "")));
      y += GROUP;
      for (const lane of lanes) {
        const above = isNarrow ? LABEL : 0;
        const depth = rowsOf(lane, this.whole);
        const height = above + LANE + (depth.rows - 1) * (BAR + 3);
        labels.append(this.#label(lane, isNarrow, gutter, y));
        body.append(s("line", { class: "rule", x1: isNarrow ? 10 : gutter, x2: scale.right, y1: y + height, y2: y + height }));
        for (const [index, span] of lane.spans.entries()) body.append(...this.#span(lane, span, kind, place, scale, y + above + 6 + depth.of[index] * (BAR + 3)));
        for (const marker of lane.markers) body.append(...this.#marker(lane, marker, place, scale, y + above + 6 + BAR / 2));
        y += height;
      }
      y += 6;
    }
    const height = y + 10;
    const grid = s("g", {});
    const axis = s("g", { class: "axis" }, s("rect", { class: "back", x: 0, y: 0, width, height: AXIS }), s("line", { class: "base", x1: 0, x2: width, y1: AXIS, y2: AXIS }));
    for (const { time, text, day } of ticks(scale, isNarrow ? 80 : 110)) {
      const x = place(time);
      grid.append(s("line", { class: "tick", x1: x, x2: x, y1: AXIS, y2: height }));
      const room = day ? 46 : 24;
      const anchor = x < room ? "start" : x > width - room ? "end" : "middle";
      axis.append(s("text", { x: anchor === "start" ? Math.max(x - 10, 4) : anchor === "end" ? width - 4 : x, y: 20, "text-anchor": anchor }, day ? s("tspan", { class: "day" }, `${day} `) : "", text));
    }
    // Covers what would be drawn over the labels.
    const cover = s("rect", { class: "back", x: 0, y: AXIS, width: isNarrow ? 0 : gutter - 1, height: height - AXIS });
    const focused = this.svg.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) this.svg.setAttribute(name, value);
    this.svg.replaceChildren(grid, body, cover, labels, axis);
    if (focused) this.svg.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    this.scale = scale;
    this.#keepAxis();
  }

  #label(lane, isNarrow, gutter, y) {
    const max = isNarrow ? 44 : Math.floor((gutter - 28) / 6.9);
    const title = lane.label === lane.key ? plain(lane.label) : `${plain(lane.label)} (${plain(lane.key)})`;
    return s("text", { class: "label", x: isNarrow ? 10 : 18, y: y + (isNarrow ? 13 : 16) }, s("title", {}, title), labelOf(lane, max));
  }

  #span(lane, span, kind, place, scale, y) {
    const { from, to, isStartKnown, isEndKnown, isRunning, isStartOutside, isEndOutside } = stretch(span, this.whole);
    if (to < scale.from || from > scale.to) return [];
    const [left, right] = [Math.max(place(from), scale.left - 4), Math.min(place(to), scale.right + 4)];
    const width = Math.max(right - left, 3);
    const state = [kind, isEndKnown ? "" : isRunning ? "running" : "endless", isStartKnown ? "" : "startless", span.failed ? "failed" : ""].filter(Boolean).join(" ");
    const event = span.started_by ?? span.ended_by;
    const bar = this.#live(s("g", { class: `span ${state}` }, s("rect", { x: left, y, width, height: BAR, rx: 3 })), describeSpan(lane, span), event, `${lane.kind} ${lane.key} ${event}`);
    if (!isStartKnown) bar.append(s("path", { class: "gap", d: `M${left} ${y - 3}v${BAR + 6}` }), s("text", { class: "unknown", x: left + 5, y: y + 10 }, "?"));
    if (!isEndKnown && right < scale.right + 4) bar.append(s("path", { class: "gap", d: `M${right} ${y - 3}v${BAR + 6}` }), s("text", { class: "unknown", x: right - 5, y: y + 10, "text-anchor": "end" }, isRunning ? "…" : "?"));
    const edge = (x, sign) => s("text", { class: "unknown outside", x, y: y + 10 }, sign);
    if (isStartOutside) bar.append(edge(left + 2, "«"));
    if (isEndOutside) bar.append(edge(right - 10, "»"));
    return [bar];
  }

  #marker(lane, marker, place, scale, y) {
    // A time outside the axis, because its clock is months off, is shown at the edge.
    const time = Math.min(Math.max(Date.parse(marker.time), this.whole[0]), this.whole[1]);
    if (time < scale.from || time > scale.to) return [];
    const x = place(time);
    const shape = marker.is_failure ? s("path", { d: `M${x} ${y - 7}l7 7l-7 7l-7-7z` }) : s("circle", { cx: x, cy: y, r: 4 });
    const name = s("g", { class: marker.is_failure ? "marker failure" : "marker" }, shape);
    if (marker.is_failure) name.append(s("path", { class: "cross", d: `M${x - 2.5} ${y - 2.5}l5 5m0-5l-5 5` }));
    return [this.#live(name, describeMarker(lane, marker), marker.event, `marker ${marker.event}`)];
  }

  /** Makes a part of the timeline focusable and clickable, with a tooltip. */
  #live(element, lines, event, key) {
    element.setAttribute("tabindex", "0");
    element.setAttribute("role", "button");
    element.setAttribute("data-key", key);
    element.setAttribute("aria-label", lines.join(", "));
    const open = () => event && this.#onOpen(this.#model.provider, event);
    element.addEventListener("click", open);
    element.addEventListener("keydown", (press) => {
      if (press.key !== "Enter" && press.key !== " ") return;
      press.preventDefault();
      open();
    });
    for (const name of ["pointerenter", "focus"]) element.addEventListener(name, () => this.#say(element, lines));
    for (const name of ["pointerleave", "blur"]) element.addEventListener(name, () => { this.tip.hidden = true; });
    return element;
  }

  #say(element, [title, ...lines]) {
    this.tip.replaceChildren(h("b", {}, title), ...lines.map((line) => h("div", {}, line)));
    this.tip.hidden = false;
    const [around, part] = [this.element.getBoundingClientRect(), element.getBoundingClientRect()];
    const x = Math.min(Math.max(part.left - around.left, 8), around.width - this.tip.offsetWidth - 8);
    const below = part.bottom - around.top + 8;
    const isAbove = below + this.tip.offsetHeight > around.height;
    this.tip.style.left = `${Math.max(x, 4)}px`;
    this.tip.style.top = `${isAbove ? part.top - around.top - this.tip.offsetHeight - 8 : below}px`;
  }

  #keepAxis() {
    this.svg.querySelector(".axis")?.setAttribute("transform", `translate(0 ${this.scroll.scrollTop})`);
  }

  #listen() {
    const part = (x) => {
      const { left, right } = this.scale;
      return Math.min(1, Math.max(0, (x - this.svg.getBoundingClientRect().left - left) / (right - left)));
    };
    this.scroll.addEventListener("wheel", (event) => {
      if (!this.scale) return;
      const isSideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (!event.ctrlKey && !event.metaKey && !isSideways) return;
      event.preventDefault();
      if (isSideways) this.shift(event.deltaX / this.scroll.clientWidth);
      else this.zoomBy(Math.exp(event.deltaY * 0.002), part(event.clientX));
    }, { passive: false });
    let drag;
    this.svg.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && !event.target.closest("[tabindex]")) drag = { x: event.clientX, window: this.#window };
    });
    addEventListener("pointermove", (event) => {
      if (!drag || !this.scale) return;
      const perPixel = (drag.window[1] - drag.window[0]) / (this.scale.right - this.scale.left);
      const by = Math.round((drag.x - event.clientX) * perPixel);
      if (by) this.#move([drag.window[0] + by, drag.window[1] + by]);
    });
    for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => { drag = undefined; });
    this.svg.addEventListener("dblclick", (event) => this.scale && this.zoomBy(0.5, part(event.clientX)));
  }
}

function legend() {
  const item = (name, text) => h("span", {}, h("i", { class: name, "aria-hidden": "true" }), text);
  return h("div", { class: "legend" }, item("known", "known"), item("gap", "start or end never received (?)"), item("running", "open at the last event"), item("failure", "failure"), item("event", "event"),
    h("span", { class: "hint" }, "drag to move, Ctrl + wheel to zoom"));
}
