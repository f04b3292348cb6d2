// The rooms that were seen, and one room's timeline.

import { ask, clock, h, isToday, plain } from "./dom.js";
import { Timeline } from "./timeline.js";

/** All rooms, latest first. */
export function roomList(rows, address, isLoaded) {
  const rooms = new Map();
  for (const row of rows) {
    if (!row.room || !row.id) continue;
    const key = `${row.provider}/${row.room}`;
    const seen = rooms.get(key) ?? { isCut: row.is_cut, provider: row.provider, room: row.room, last: row.received, events: 0, people: new Set() };
    seen.first = row.received;
    if (row.became === "stored") seen.events += 1;
    if (row.participant) seen.people.add(row.participant);
    rooms.set(key, seen);
  }
  const at = (time) => h("time", { datetime: time, title: time }, isToday(time) ? clock(time).slice(0, 8) : clock(time, true).slice(0, 16));
  const line = (seen) => h("tr", {},
    h("td", {}, seen.isCut ? plain(seen.room, 120) : h("a", { href: address(seen.provider, seen.room) }, plain(seen.room, 120))),
    h("td", {}, seen.provider), h("td", { class: "number" }, seen.events.toLocaleString("en")),
    h("td", { class: "number" }, seen.people.size.toLocaleString("en")), h("td", {}, at(seen.first)), h("td", {}, at(seen.last)));
  if (!rooms.size) return h("div", { class: "empty" }, h("p", {}, isLoaded ? "No event has named a room yet." : "Loading…"));
  return h("div", { class: "rooms", tabindex: "0" }, h("table", {},
    h("thead", {}, h("tr", {}, ["room", "provider", "events", "participants", "first seen", "last seen"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, [...rooms.values()].map(line))));
}

/** One room, as a picture. */
export class Room {
  #key; #timeline; #stale = false; #zoom; #title = h("h2", {}); #place = h("div", { class: "place" });

  constructor({ onOpen, onZoom }) {
    this.#timeline = new Timeline({ onOpen, onZoom });
    const button = (label, title, act) => h("button", { type: "button", title, "aria-label": title, onclick: act }, label);
    const picture = this.#timeline;
    this.element = h("div", { class: "room-view" },
      h("div", { class: "toolbar" }, this.#title,
        h("div", { class: "buttons" },
          button("−", "Wider (-)", () => picture.zoomBy(1.5)), button("+", "Closer (+)", () => picture.zoomBy(1 / 1.5)),
          button("All", "All of it (0)", () => picture.all()), button("SVG", "Download as SVG", () => picture.download()))),
      this.#place);
    this.keys = {
      "+": () => picture.zoomBy(1 / 1.5), "=": () => picture.zoomBy(1 / 1.5), "-": () => picture.zoomBy(1.5), 0: () => picture.all(),
      ArrowLeft: () => picture.shift(-0.2), ArrowRight: () => picture.shift(0.2),
    };
  }

  /** Shows a room; `from` and `to` are the zoom, in milliseconds. */
  async show({ provider, room, from, to }) {
    const key = `${provider}/${room}`;
    this.#zoom = from && to ? [Number(from), Number(to)] : undefined;
    if (key !== this.#key) {
      this.#key = key;
      this.#title.replaceChildren(plain(room ?? "", 120), h("small", {}, provider));
      this.#place.replaceChildren(h("p", { class: "empty" }, "Loading…"));
      await this.#load(provider, room);
    } else this.#timeline.zoomTo(this.#zoom);
  }

  async #load(provider, room) {
    const key = this.#key;
    try {
      const model = await ask("/api/timeline", { provider, room });
      if (key !== this.#key) return;
      if (!model.lanes.length) this.#place.replaceChildren(h("p", { class: "empty" }, "No event of this room is in the table."));
      else this.#place.replaceChildren(this.#timeline.element);
      this.#timeline.draw(model, this.#zoom);
    } catch (error) {
      if (key === this.#key) this.#place.replaceChildren(h("p", { class: "empty" }, error.message));
    }
  }

  /** Draws again soon if a row belongs to the shown room. */
  renew(row) {
    if (this.#stale || row.became !== "stored" || `${row.provider}/${row.room}` !== this.#key) return;
    this.#stale = true;
    setTimeout(() => {
      this.#stale = false;
      if (this.element.isConnected && `${row.provider}/${row.room}` === this.#key) void this.#load(row.provider, row.room);
    }, 300);
  }
}
