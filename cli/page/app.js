// The address determines what is shown.

import { Detail } from "./detail.js";
import { h, plain } from "./dom.js";
import { follow } from "./feed.js";
import { List } from "./list.js";
import { Room } from "./room.js";
import { Rooms } from "./rooms.js";
import { Rows } from "./rows.js";

const $ = (id) => document.getElementById(id);
const FILTERS = ["provider", "type", "room", "text", "became"];

let about = { kind: "local" };
let epoch;
let isLoaded = false;
const rows = new Rows();
const list = new List(rows, { onFilter: (filter) => go("events", { ...filter, ...opened() }, true), onOpen: open }).listen();
const room = new Room({ onOpen: (provider, id) => go(view(), { ...query(), event: `${provider}/${id}` }), onZoom: (zoom) => go("room", { ...query(), ...zoom }, true) });
const rooms = new Rooms((provider, room) => address("room", { provider, room }));
const detail = new Detail($("detail"), {
  room: (provider, room) => address("room", { provider, room }),
  closed: () => address(view(), { ...query(), event: undefined, delivery: undefined }),
});

const view = () => location.hash.slice(2).split("?")[0] || "events";
const query = () => Object.fromEntries(new URLSearchParams(location.hash.split("?").slice(1).join("?")));
const opened = () => ({ event: query().event, delivery: query().delivery });

function address(view, parameters) {
  const known = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "");
  return known.length ? `#/${view}?${new URLSearchParams(known)}` : `#/${view}`;
}

function go(view, parameters, isReplacing = false) {
  const to = address(view, parameters);
  if (to === (location.hash || "#/events")) return;
  if (isReplacing) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  show();
}

/** Opens a row: its event, or the details of a delivery that was not stored. */
function open(row) {
  const kept = { ...query(), event: undefined, delivery: undefined };
  const isEvent = row.became === "stored" || row.became === "duplicate";
  go(view(), isEvent && row.id ? { ...kept, event: `${row.provider}/${row.id}` } : { ...kept, delivery: `${epoch}.${row.n}` });
}

function show() {
  const { event, delivery, ...rest } = query();
  const name = view();
  for (const tab of ["events", "rooms"]) {
    $(`to-${tab}`).toggleAttribute("aria-current", tab === name || (tab === "rooms" && name === "room"));
  }
  if (name === "room") {
    place(room.element);
    room.show(rest);
    document.title = `${plain(rest.room ?? "", 40)} · livehooks`;
  } else if (name === "rooms") {
    place(rooms.element);
    if (isLoaded) rooms.show(about);
    document.title = "Rooms · livehooks";
  } else {
    place(list.element);
    list.set(Object.fromEntries(FILTERS.map((name) => [name, rest[name]])), selected(event, delivery));
    explain();
    document.title = "Events · livehooks";
  }
  panel(event, delivery);
}

function place(element) {
  if ($("view").firstChild !== element) $("view").replaceChildren(element);
}

function selected(event, delivery) {
  if (delivery) return rowOf(delivery)?.n;
  const now = list.selected;
  if (!event || (now && `${now.provider}/${now.id}` === event)) return now?.n;
  const all = rows.all().filter((row) => `${row.provider}/${row.id}` === event);
  return (all.find((row) => row.became === "stored") ?? all[0])?.n;
}

function rowOf(delivery) {
  const [of, n] = delivery.split(".");
  return of === epoch ? rows.get(Number(n)) : undefined;
}

function panel(event, delivery) {
  const split = event?.indexOf("/") ?? -1;
  const row = delivery && rowOf(delivery);
  if (split > 0) void detail.event(event.slice(0, split), event.slice(split + 1), about);
  else if (row) detail.delivery(row);
  else detail.hide();
  document.body.classList.toggle("has-detail", split > 0 || Boolean(row));
}

function explain() {
  if (!isLoaded) return list.explain(h("p", {}, "Loading…"));
  if (rows.all().length) return list.explain(h("p", {}, "No events match these filters."), h("p", {}, h("a", { href: "#/events" }, "Show all")));
  if (about.kind === "deployed") return list.explain(h("p", {}, "The table holds no events."));
  return list.explain(h("p", {}, "Nothing has arrived yet. In another terminal:"), h("pre", {}, "cargo livehooks send plugnmeet participant_joined --room standup"));
}

let isWaiting = false;
function changed() {
  if (isWaiting) return;
  isWaiting = true;
  requestAnimationFrame(() => {
    isWaiting = false;
    if (view() === "events") {
      list.refresh();
      explain();
    } else if (view() === "rooms") rooms.show(about);
  });
}

follow({
  about(message) {
    if (epoch !== undefined && epoch !== message.epoch) rows.clear();
    ({ epoch, about } = message);
    const { kind, stack, region } = about;
    $("about").replaceChildren(kind === "deployed" ? plain(`${stack} · ${region}`) : "local stack");
    if (kind === "deployed") list.note("Stored events only. To see rejections: ", h("code", {}, `sam logs --stack-name ${stack} --region ${region} --filter '"delivery rejected"'`));
  },
  rows(added) {
    rows.apply(added);
    rooms.changed();
    for (const row of added) {
      if (row.id) detail.refresh(row.provider, row.id);
      if (isLoaded) room.refresh(row);
    }
    changed();
    if (isLoaded) panel(query().event, query().delivery);
  },
  caughtUp() {
    isLoaded = true;
    show();
    performance.mark("loaded");
  },
  state(text) {
    $("status").textContent = text;
    $("status").className = text === "live" ? "live" : "waiting";
  },
});

function move(steps) {
  const row = list.step(steps);
  if (row && (query().event || query().delivery)) open(row);
}

const KEYS = {
  j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1),
  PageDown: () => move(20), PageUp: () => move(-20),
  g: () => move(-Infinity), Home: () => move(-Infinity), G: () => move(Infinity), End: () => move(Infinity),
  Enter: () => list.selected && open(list.selected),
  "/": () => list.search.focus(),
  t: () => {
    const { provider, room, is_cut: isCut } = list.selected ?? {};
    // A long name is complete only in the event.
    if (isCut) open(list.selected);
    else if (room) go("room", { provider, room });
  },
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const isTyping = event.target.matches("input, select, textarea");
  if (event.key === "Escape") {
    if (isTyping) event.target.blur();
    else if (query().event || query().delivery) go(view(), { ...query(), event: undefined, delivery: undefined });
    if (view() === "events") list.grid.focus({ preventScroll: true });
    return;
  }
  if (isTyping) return;
  // Controls use Enter themselves, and scrolling blocks use every key but letters.
  const isTaken = event.target.matches("a, button, [role=button]") ? event.key === "Enter" : event.target.matches("pre") && event.key.length > 1;
  const general = { "?": () => $("help").showModal(), e: () => go("events", {}), r: () => go("rooms", {}) };
  const here = view() === "events" ? KEYS : view() === "room" ? room.keys : {};
  const act = general[event.key] ?? (isTaken ? undefined : here[event.key]);
  if (!act) return;
  event.preventDefault();
  act();
});

$("help-button").addEventListener("click", () => $("help").showModal());
addEventListener("hashchange", show);
addEventListener("popstate", show);
show();
