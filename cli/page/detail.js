// The panel beside the list: an event, or a delivery that was not stored.

import { ask, clock, copyButton, h, isToday, plain } from "./dom.js";
import { eventParts } from "./event.js";
import { outcome, typeName } from "./list.js";

/** The answer to a delivery, and what is kept of it. */
const QUEUED = ["200 queued", "The delivery waits in the fallback queue, to be verified and stored later."];
const FAILED = ["503: the provider retries", "The delivery is not stored."];
const UNTRUSTED = "The delivery is not stored: its content cannot be trusted.";
const TOO_LARGE = ["413, final", UNTRUSTED];
const REJECTED = ["401, final: providers do not retry", UNTRUSTED];

export class Detail {
  #element; #links; #shown = ""; #last = "";

  /** `links` returns the addresses of a room and of the view without a panel. */
  constructor(element, links) {
    this.#element = element;
    this.#links = links;
  }

  hide() {
    this.#shown = this.#last = "";
    this.#element.hidden = true;
    this.#element.replaceChildren();
  }

  /** Shows a delivery that was rejected, queued or failed. */
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

  /** Shows a stored event. */
  async event(provider, id, about) {
    const key = `event ${provider} ${id}`;
    if (this.#shown === key) return;
    this.#shown = key;
    let event;
    try {
      event = await ask("/api/event", { provider, id });
    } catch (error) {
      if (this.#shown === key) this.#put("Not found", [h("p", { class: "rejection" }, error.message)], provider);
      return;
    }
    if (this.#shown !== key) return;
    // Keep what is being read or copied if this event is shown already, perhaps by another request meanwhile.
    const [top, script] = this.#last === key ? [this.#element.scrollTop, this.#element.querySelector(".again")] : [0];
    const room = event.room === null ? "no room" : h("a", { href: this.#links.room(provider, event.room) }, plain(event.room, 80));
    this.#put(h("span", { class: "type" }, ...typeName(event.type)), eventParts(event, about),
      event.provider, plain(event.provider_type ?? "no provider type", 80), room,
      event.participant ? plain(event.participant, 80) : "",
      h("span", { class: "id" }, h("code", {}, plain(id, 80)), copyButton("Copy id", () => id)));
    if (script) this.#element.querySelector(".again").replaceWith(script);
    this.#element.scrollTop = top;
    this.#last = key;
  }

  /** Reloads the event if it is shown. */
  refresh(provider, id) {
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
