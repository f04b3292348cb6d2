// The list of deliveries: filters, and a grid that has elements for visible rows only.

import { between, clock, h, isToday, plain, span } from "./dom.js";
import { BECAME } from "./rows.js";

const AROUND = 12;
const TITLES = { all: "All", stored: "Stored", duplicate: "Duplicates", queued: "Queued", rejected: "Rejected", failed: "Failed" };
const MARKS = { stored: "●", duplicate: "◐", queued: "◌", rejected: "✕", failed: "▲" };

/** A delivery's status as a mark and a word. */
export const outcome = (became) =>
  h("span", { class: `became ${became}` }, h("i", { "aria-hidden": "true" }, MARKS[became] ?? "○"), became);

/** A type, with its common prefix dimmed. */
export const typeName = (type) => type?.startsWith("live.") ? [h("small", {}, "live."), type.slice(5)] : [type ?? "—"];

export class List {
  #rows; #filter = {}; #found = []; #selected; #shown = new Map(); #seenTop; #onFilter; #onOpen;

  constructor(rows, { onFilter, onOpen }) {
    this.#rows = rows;
    this.#onFilter = onFilter;
    this.#onOpen = onOpen;
    this.search = h("input", { type: "search", placeholder: "Find   /", "aria-label": "Find in events", oninput: () => this.#changed({ text: this.search.value }) });
    this.provider = this.#select("provider", "Every provider");
    this.type = this.#select("type", "Every type");
    this.room = this.#select("room", "Every room");
    this.tabs = h("div", { class: "tabs", role: "group", "aria-label": "Status" });
    this.sheet = h("div", { class: "sheet", role: "presentation" });
    this.grid = h("div", { class: "grid", role: "grid", tabindex: "0", "aria-label": "Events, newest first", "aria-colcount": "7", onscroll: () => this.#paint() }, this.sheet);
    this.news = h("button", { class: "news", type: "button", hidden: true, onclick: () => this.top() });
    this.empty = h("div", { class: "empty", hidden: true });
    this.remark = h("div", { class: "remark", hidden: true });
    this.element = h("div", { class: "list" },
      h("div", { class: "filters" }, this.search, this.provider, this.type, this.room, this.tabs),
      this.remark,
      h("div", { class: "frame" }, this.news, this.grid, this.empty));
    new ResizeObserver(() => this.#paint()).observe(this.grid);
  }

  #select(field, label) {
    return h("select", { "aria-label": label, "data-all": label, onchange: (event) => this.#changed({ [field]: event.target.value || undefined }) });
  }

  #changed(part) {
    this.#onFilter({ ...this.#filter, ...part });
  }

  /** Shows the rows that match the filter, and selects a row. */
  set(filter, selected) {
    const isNew = JSON.stringify(filter) !== JSON.stringify(this.#filter);
    this.#filter = filter;
    if (selected !== undefined) this.#selected = selected;
    if (this.search.value !== (filter.text ?? "")) this.search.value = filter.text ?? "";
    if (isNew) this.grid.scrollTop = 0;
    this.refresh();
  }

  /** Updates the list after the rows have changed, keeping the scroll position. */
  refresh() {
    const { found, counts } = this.#rows.filtered(this.#filter);
    this.#found = found;
    this.#menus();
    this.#tabs(counts);
    const height = this.#height();
    const isReading = this.grid.scrollTop > height / 2;
    if (isReading && this.#seenTop !== undefined) {
      const more = found.findIndex((row) => row.n <= this.#seenTop);
      const before = Number(this.sheet.dataset.more ?? 0);
      this.sheet.dataset.more = Math.max(0, more);
      if (more > before) this.grid.scrollTop += (more - before) * height;
      this.news.hidden = more <= 0;
      this.news.textContent = `↑ ${more} new`;
    } else {
      this.#atTop();
    }
    this.sheet.style.height = `${found.length * height}px`;
    this.grid.setAttribute("aria-rowcount", found.length);
    this.#paint(true);
  }

  #atTop() {
    this.#seenTop = this.#found[0]?.n;
    this.sheet.dataset.more = 0;
    this.news.hidden = true;
  }

  #menus() {
    const families = new Map();
    for (const type of this.#rows.values("type")) {
      const family = `${type.split(".").slice(0, 2).join(".")}.*`;
      families.set(family, [...(families.get(family) ?? []), type]);
    }
    const types = [...families].flatMap(([family, types]) => types.length > 1 ? [family, ...types] : types);
    menu(this.provider, this.#rows.values("provider"), this.#filter.provider);
    menu(this.type, types, this.#filter.type);
    menu(this.room, this.#rows.values("room"), this.#filter.room);
  }

  #tabs(counts) {
    const shown = ["all", ...BECAME].filter((name) => !["queued", "failed"].includes(name) || counts[name] || this.#filter.became === name);
    const tab = (name) => h("button", {
      type: "button",
      class: name,
      "aria-pressed": String((this.#filter.became ?? "all") === name),
      onclick: () => this.#changed({ became: name === "all" ? undefined : name }),
    }, TITLES[name], " ", h("b", {}, counts[name].toLocaleString("en")));
    if (this.tabs.children.length !== shown.length) this.tabs.replaceChildren(...shown.map(tab));
    for (const [index, name] of shown.entries()) {
      const button = this.tabs.children[index];
      button.setAttribute("aria-pressed", String((this.#filter.became ?? "all") === name));
      button.querySelector("b").textContent = counts[name].toLocaleString("en");
    }
  }

  #height() {
    return parseFloat(getComputedStyle(this.grid).getPropertyValue("--row")) || 28;
  }

  #paint(isChanged = false) {
    const height = this.#height();
    if (this.sheet.dataset.height !== String(height)) {
      this.sheet.dataset.height = height;
      this.sheet.style.height = `${this.#found.length * height}px`;
      isChanged = true;
    }
    if (!isChanged && this.grid.scrollTop < height / 2) this.#atTop();
    const first = Math.max(0, Math.floor(this.grid.scrollTop / height) - AROUND);
    const last = Math.min(this.#found.length, Math.ceil((this.grid.scrollTop + this.grid.clientHeight) / height) + AROUND);
    const before = this.#shown;
    this.#shown = new Map();
    for (let index = first; index < last; index += 1) {
      const row = this.#found[index];
      const known = before.get(row.n);
      const element = known?.row === row ? known.element : line(row);
      element.style.transform = `translateY(${index * height}px)`;
      element.setAttribute("aria-rowindex", index + 1);
      element.setAttribute("aria-selected", String(row.n === this.#selected));
      this.#shown.set(row.n, { row, element });
    }
    for (const [n, { element }] of before) if (this.#shown.get(n)?.element !== element) element.remove();
    let next = this.sheet.firstChild;
    for (const { element } of this.#shown.values()) {
      if (element === next) next = next.nextSibling;
      else this.sheet.insertBefore(element, next);
    }
    if (this.#shown.has(this.#selected)) this.grid.setAttribute("aria-activedescendant", `row-${this.#selected}`);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  top() {
    this.grid.scrollTop = 0;
    this.#atTop();
    this.grid.focus({ preventScroll: true });
  }

  get selected() {
    return this.#rows.get(this.#selected);
  }

  /** Selects the row `steps` after the selected one, and returns it. */
  step(steps) {
    const at = this.#found.findIndex((row) => row.n === this.#selected);
    const to = at < 0 ? 0 : Math.min(this.#found.length - 1, Math.max(0, at + steps));
    return this.select(this.#found[to]);
  }

  select(row) {
    if (!row) return undefined;
    this.#selected = row.n;
    const [height, index] = [this.#height(), this.#found.indexOf(row)];
    const [above, below] = [index * height, (index + 1) * height - this.grid.clientHeight];
    if (this.grid.scrollTop > above) this.grid.scrollTop = above;
    if (this.grid.scrollTop < below) this.grid.scrollTop = below;
    this.#paint(true);
    return row;
  }

  /** Opens a row that was clicked. */
  listen() {
    this.sheet.addEventListener("click", (event) => {
      const row = this.#rows.get(Number(event.target.closest("[data-n]")?.dataset.n));
      if (row) this.#onOpen(this.select(row));
    });
    return this;
  }

  /** Shows a note on what the list lacks. */
  note(...children) {
    this.remark.hidden = false;
    this.remark.replaceChildren(...children);
  }

  /** Explains an empty list. */
  explain(...children) {
    this.empty.hidden = this.#found.length > 0;
    if (!this.empty.hidden) this.empty.replaceChildren(...children);
  }
}

function menu(select, values, chosen) {
  const all = chosen && !values.includes(chosen) ? [chosen, ...values] : values;
  const key = all.join("\n");
  if (select.dataset.key !== key) {
    select.dataset.key = key;
    const option = (value) => h("option", { value }, plain(value, 60));
    select.replaceChildren(h("option", { value: "" }, select.dataset.all), ...all.map(option));
  }
  select.value = chosen ?? "";
  select.classList.toggle("chosen", Boolean(chosen));
}

function line(row) {
  const cell = (name, ...children) => h("span", { class: name, role: "gridcell" }, ...children);
  const cells = [
    cell("time", isToday(row.received) ? clock(row.received) : clock(row.received, true).slice(5, -4)),
    cell("what", outcome(row.became)),
    cell("provider", row.provider),
  ];
  if (row.reason) {
    cells.push(cell("type", row.reason), cell("why", plain(row.detail ?? "")));
  } else {
    const lag = row.published ? span(between(row.received, row.published)) : "";
    const type = row.type === "live.unknown" && row.provider_type ? [h("small", {}, "unknown "), plain(row.provider_type)] : typeName(row.type);
    cells.push(
      cell("type", ...type), cell("room", plain(row.room ?? "")), cell("participant", plain(row.name ?? row.participant ?? "")),
      cell("lag", row.altered ? "other body" : lag));
  }
  return h("div", { class: `row ${row.became}`, role: "row", id: `row-${row.n}`, "data-n": row.n }, ...cells);
}
