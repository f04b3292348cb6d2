// An event in full.

import { ask, between, clock, copyButton, h, isToday, plain, span } from "./dom.js";
import { block, indented } from "./json.js";
import { outcome } from "./list.js";

const ASSURANCE = {
  "signed": "this account's key signed this body",
  "provider-signed": "the provider signed this body, but not for a specific account",
  "shared-secret": "a static secret; the body is not signed",
};
const BASIS = {
  "provider-id": "the provider's id: another delivery with it is a duplicate",
  "sequence": "the provider gives no id: a delivery is a duplicate only if it repeats the latest event of its sequence within ten seconds",
};

/** The parts of an event as the server returns it; `about` describes the stack. */
export function eventParts(event, about) {
  return [
    h("div", { class: "facts" }, times(event), verification(event), dedupe(event, about)),
    h("div", { class: "panes" }, pane("Normalized", event.normalized), raw(event)),
    sendAgain(event, about),
  ];
}

function facts(title, rows, ...more) {
  const shown = rows.filter(([, value]) => value !== undefined && value !== null);
  return h("section", {}, h("h3", {}, title),
    h("dl", {}, shown.map(([name, ...values]) => [h("dt", {}, name), h("dd", {}, ...values)])), ...more);
}

const note = (text) => h("small", {}, text);

function times({ times }) {
  const { occurred, basis, received, stored, published } = times;
  const at = (time) => h("time", { datetime: time, title: time }, clock(time, !isToday(time)));
  // A provider's clock may be ahead; a minus says so alone.
  const after = (from, to) => h("span", { class: "lag" }, `${between(from, to) < 0 ? "" : "+"}${span(between(from, to))}`);
  const unknown = note("not recorded");
  return facts("Times", [
    ["occurred", at(occurred), note(basis === "provider" ? "by the provider's clock" : "the provider gives no time: receive time")],
    ["received", at(received), basis === "provider" ? after(occurred, received) : ""],
    ["stored", ...(stored ? [at(stored), after(received, stored)] : [unknown])],
    ["published", ...(published ? [at(published), after(stored ?? received, published)] : [unknown])],
  ]);
}

function verification({ verification }) {
  return facts("Verification", [
    ["assurance", h("b", { class: `assurance ${verification.assurance}` }, verification.assurance), note(ASSURANCE[verification.assurance] ?? "")],
    ["scheme", verification.scheme],
    ["key", verification.key ? h("code", {}, plain(verification.key)) : note("not named by the event")],
  ]);
}

function dedupe(event, about) {
  const { basis, event_key, occurrence } = event.dedupe;
  const repeats = event.deliveries.filter((row) => row.became === "duplicate");
  const since = repeats.length ? h("b", {}, `${repeats.length} duplicate${repeats.length > 1 ? "s" : ""} since`) : "";
  const deliveries = h("ol", { class: "deliveries" }, event.deliveries.map((row) =>
    h("li", {}, h("time", { datetime: row.received }, clock(row.received)), outcome(row.became),
      row.altered ? note("different body, same id: the first is kept") : "")));
  return facts("Dedupe", [
    ["decision", h("span", {}, event.dedupe.decision), since],
    ["basis", h("b", {}, basis), note(BASIS[basis] ?? "")],
    ["key", h("code", {}, plain(event_key)), occurrence ? note(`occurrence ${occurrence}`) : ""],
    ["body", h("code", { title: `SHA-256 ${event.body_sha256}` }, `${event.body_sha256.slice(0, 16)}…`), note(`${event.raw_bytes.toLocaleString("en")} bytes`)],
  ], repeats.length ? deliveries : "", about.kind === "deployed" ? note("Duplicates are not in the table; see CloudWatch.") : "");
}

function pane(title, text, ...notes) {
  return h("section", { class: "pane" },
    h("h3", {}, title, ...notes, copyButton("Copy", () => indented(text))), block(text, `${title} JSON`));
}

function raw(event) {
  const title = `${event.provider}'s JSON`;
  if (event.raw === null && event.raw_base64 === null) {
    return h("section", { class: "pane" }, h("h3", {}, title),
      h("p", {}, note(event.forgotten ? `erased with livehooks forget: ${event.forgotten}` : "none")));
  }
  if (event.raw !== null) return pane(title, event.raw, event.is_redacted ? note("secrets redacted") : "");
  return h("section", { class: "pane" }, h("h3", {}, `${event.provider}'s body`, note("not JSON: base64"), copyButton("Copy", () => event.raw_base64)),
    h("pre", { class: "json", tabindex: "0", "aria-label": "Body in base64" }, event.raw_base64));
}

function sendAgain(event, about) {
  const shown = h("pre", { class: "script", tabindex: "0", hidden: true, "aria-label": "What was copied" });
  const said = h("p", { class: "said", role: "status" });
  const take = (form) => async () => {
    try {
      const { text, note } = await ask("/api/again", { provider: event.provider, id: event.id, form });
      shown.textContent = text;
      shown.hidden = false;
      said.textContent = note;
      return text;
    } catch (error) {
      said.textContent = error.message;
      return "";
    }
  };
  const button = (label, form) => copyButton(label, take(form), { "data-form": form });
  return h("section", { class: "again" }, h("h3", {}, "Send again"),
    h("p", {}, note("The original headers are not stored. The copied request has the same body and a new signature.")),
    h("div", { class: "buttons" },
      about.kind === "local" ? button("Copy as curl", "curl") : "",
      button("Copy as sam local invoke", "sam"), button("Copy as fixture", "fixture")),
    about.kind === "deployed" ? h("p", {}, note("No curl command: the keys stay in Secrets Manager.")) : "",
    said, shown);
}
