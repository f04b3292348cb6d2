// The panel beside the list: one event, or one delivery that was not taken.

import { ask, clock, copyButton, h, isToday, plain } from "./dom.js";
import { eventParts } from "./event.js";
import { outcome, typeName } from "./list.js";

/** What was answered, and what is kept of the delivery. */
const QUEUED = ["200 queued", "The whole delivery waits in the fallback queue. It is verified and stored from there."];
const FAILED = ["503: the provider sends it again", "Nothing of the delivery is kept."];
const UNBELIEVED = "Nothing of the delivery is kept: what is not authentic is not believed, and not shown.";
const TOO_LARGE = ["413, final", UNBELIEVED];
const REJECTED = ["401, final: no provider sends it again", UNBELIEVED];

export class Detail {
  #element; #links; #shown = ""; #last = "";

  /** `links` makes the addresses of a room and of the view without a panel. */
  constructor(element, links) {
    this.#element = element;
    this.#links = links;
  }

  hide() {
    this.#shown = this.#last = "";
    this.#element.hidden = true;
    this.#element.replaceChildren();
  }

  /** A delivery that was rejected, or not taken. */
  delivery(row) {
    if (this.#shown === `row ${row.n}`) return;
    this.#shown = this.#last = `row ${row.n}`;
    const [answered, kept] = row.became === "queued" ? QUEUED : row.became === "failed" ? FAILED : row.reason === "too_large" ? TOO_LARGE : REJECTED;
    this.#put(h("code", {}, row.reason), [
      h("section", { class: "rejection" },
        h("h3", {}, "What was found"), h("p", { class: "found" }, plain(row.detail ?? "", 2000)),
        h("h3", {}, "What to do"), h("p", { class: "advice" }, row.advice ?? ""),
        h("dl", {},
          h("dt", {}, "received"), h("dd", {}, h("time", { datetime: row.received, title: row.received }, clock(row.received, !isToday(row.received)))),
          h("dt", {}, "answered"), h("dd", {}, answered)),
        h("p", {}, h("small", {}, kept))),
    ], outcome(row.became), row.provider);
  }

  /** An event of the table. */
  async event(provider, id, about) {
    const key = `event ${provider} ${id}`;
    if (this.#shown === key) return;
    const [top, script] = this.#last === key ? [this.#element.scrollTop, this.#element.querySelector(".again")] : [0];
    this.#shown = key;
    let event;
    try {
      event = await ask("/api/event", { provider, id });
    } catch (error) {
      if (this.#shown === key) this.#put("Not found", [h("p", { class: "rejection" }, error.message)], provider);
      return;
    }
    if (this.#shown !== key) return;
    const room = event.room === null ? "no room" : h("a", { href: this.#links.room(provider, event.room) }, plain(event.room, 80));
    this.#put(h("span", { class: "type" }, ...typeName(event.type)), eventParts(event, about),
      event.provider, plain(event.provider_type ?? "no type of its own", 80), room,
      event.participant ? plain(event.participant, 80) : "",
      h("span", { class: "id" }, h("code", {}, plain(id, 80)), copyButton("Copy id", () => id)));
    // What is being read or copied stays, when only the event is drawn again.
    if (script) this.#element.querySelector(".again").replaceWith(script);
    this.#element.scrollTop = top;
    this.#last = key;
  }

  /** Draws the shown event again, because it has changed. */
  renew(provider, id) {
    if (this.#shown === `event ${provider} ${id}`) this.#shown = "";
  }

  #put(title, parts, ...line) {
    const close = h("a", { class: "close", href: this.#links.closed(), "aria-label": "Close", title: "Close (Esc)" }, "×");
    this.#element.replaceChildren(
      h("div", { class: "title" }, h("h2", {}, title), close),
      h("div", { class: "line" }, line.filter(Boolean).map((part) => h("span", {}, part))),
      ...parts);
    this.#element.hidden = false;
    this.#element.scrollTop = 0;
  }
}
