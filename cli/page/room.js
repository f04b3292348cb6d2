// One room's timeline, with its controls.

import { ask, h, plain } from "./dom.js";
import { Timeline } from "./timeline.js";

/** One room's timeline. */
export class Room {
  #key; #timeline; #stale = false; #zoom; #title = h("h2", {}); #place = h("div", { class: "place" });

  constructor({ onOpen, onZoom }) {
    this.#timeline = new Timeline({ onOpen, onZoom });
    const button = (label, title, act) => h("button", { type: "button", title, "aria-label": title, onclick: act }, label);
    const timeline = this.#timeline;
    this.element = h("div", { class: "room-view" },
      h("div", { class: "toolbar" }, this.#title,
        h("div", { class: "buttons" },
          button("−", "Zoom out (-)", () => timeline.zoomBy(1.5)), button("+", "Zoom in (+)", () => timeline.zoomBy(1 / 1.5)),
          button("All", "Show all (0)", () => timeline.all()), button("SVG", "Download as SVG", () => timeline.download()))),
      this.#place);
    this.keys = {
      "+": () => timeline.zoomBy(1 / 1.5), "=": () => timeline.zoomBy(1 / 1.5), "-": () => timeline.zoomBy(1.5), 0: () => timeline.all(),
      ArrowLeft: () => timeline.shift(-0.2), ArrowRight: () => timeline.shift(0.2),
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

  /** Redraws soon if the row belongs to the room that is shown. */
  refresh(row) {
    if (this.#stale || row.became !== "stored" || `${row.provider}/${row.room}` !== this.#key) return;
    this.#stale = true;
    setTimeout(() => {
      this.#stale = false;
      if (this.element.isConnected && `${row.provider}/${row.room}` === this.#key) void this.#load(row.provider, row.room);
    }, 300);
  }
}
