// The list of rooms, as `livehooks rooms` shows it.

import { ask, clock, h, isToday, plain } from "./dom.js";

/** The shortest time between two requests while events arrive. */
const RELOAD_MS = 2000;

export class Rooms {
  #address; #loading; #isStale = true; #table = h("div", {});
  #note = h("p", { class: "note" });

  /** `address` returns the address of a room's timeline. */
  constructor(address) {
    this.#address = address;
    this.element = h("div", { class: "rooms", tabindex: "0" }, this.#note, this.#table);
    this.#say("Loading…");
  }

  /** Shows the list, and loads it again if events have arrived. `about` describes the stack. */
  show(about) {
    if (!this.#isStale || this.#loading) return;
    this.#isStale = false;
    this.#loading = this.#load(about).finally(() => setTimeout(() => {
      this.#loading = undefined;
      if (this.element.isConnected) this.show(about);
    }, RELOAD_MS));
  }

  /** Events have arrived. */
  changed() {
    this.#isStale = true;
  }

  async #load(about) {
    try {
      this.#draw(await ask("/api/rooms", {}), about);
    } catch (error) {
      this.#isStale = true;
      this.#say(error.message);
    }
  }

  #say(text) {
    this.#note.replaceChildren();
    this.#table.replaceChildren(h("div", { class: "empty" }, h("p", {}, text)));
  }

  #draw({ hours, skipped, rooms }, { stack, region }) {
    if (!rooms.length) this.#say(`No event of the last ${hours} hours has named a room.`);
    const option = stack ? ` --stack ${stack} --region ${region}` : "";
    this.#note.replaceChildren(`Computed from the events received in the last ${hours} hours. Earlier ones: `,
      h("code", {}, `livehooks rooms${option} --since 90d`),
      skipped ? `. Left out: ${skipped} ${skipped > 1 ? "items" : "item"} of the table without a valid event` : "", ".");
    if (!rooms.length) return;
    const focused = this.element.contains(document.activeElement) ? document.activeElement.hash : undefined;
    this.#table.replaceChildren(h("table", {},
      h("thead", {}, h("tr", {}, ["room", "provider", "first seen", "last seen", "events", "present", "recording", "failed"]
        .map((name) => h("th", { scope: "col", class: name.split(" ")[0] }, name)))),
      h("tbody", {}, rooms.map((room) => this.#line(room)))));
    if (focused) [...this.element.querySelectorAll("a")].find((link) => link.hash === focused)?.focus({ preventScroll: true });
  }

  #line(room) {
    const at = (time) => h("time", { datetime: time, title: time }, isToday(time) ? clock(time).slice(0, 8) : clock(time, true).slice(0, 16));
    const cell = (name, ...children) => h("td", { class: name }, ...children);
    const name = room.room === null ? "(no room)" : h("a", { href: this.#address(room.provider, room.room) }, plain(room.room, 120));
    return h("tr", {}, cell("room", name), cell("provider", room.provider), cell("first", at(room.first_seen)), cell("last", at(room.last_seen)),
      cell("events", room.events.toLocaleString("en")), cell("present", `${room.present} of ${room.participants}`),
      cell(room.open_recordings ? "recording some" : "recording", `${room.open_recordings} of ${room.recordings}`),
      cell(room.failures ? "failed some" : "failed", room.failures || ""));
  }
}
