// One event in full.

import { ask, between, clock, copyButton, h, isToday, plain, span } from "./dom.js";
import { block, indented } from "./json.js";
import { outcome } from "./list.js";

const ASSURANCE = {
  "signed": "a key of this account, over exactly this body",
  "provider-signed": "the provider signed this body, for whichever of its accounts",
  "shared-secret": "a static secret; the body itself is not covered",
};
const BASIS = {
  "provider-id": "the provider's id: what comes under it again is a duplicate",
  "sequence": "the provider gives no id: only a repeat of the latest event of its sequence, within ten seconds, is a duplicate",
};

/** The parts of an event as the server reports it; `about` is the stack that is shown. */
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
  const after = (from, to) => h("span", { class: "lag" }, `+${span(between(from, to))}`);
  const unknown = note("not on record");
  return facts("Times", [
    ["occurred", at(occurred), note(basis === "provider" ? "by the provider's clock" : "no time from the provider: when received")],
    ["received", at(received), basis === "provider" ? after(occurred, received) : ""],
    ["stored", ...(stored ? [at(stored), after(received, stored)] : [unknown])],
    ["published", ...(published ? [at(published), after(stored ?? received, published)] : [unknown])],
  ]);
}

function verification({ verification }) {
  return facts("Verification", [
    ["assurance", h("b", { class: `assurance ${verification.assurance}` }, verification.assurance), note(ASSURANCE[verification.assurance] ?? "")],
    ["scheme", verification.scheme],
    ["key", verification.key ? h("code", {}, plain(verification.key)) : note("the event does not say which")],
  ]);
}

function dedupe(event, about) {
  const { basis, event_key, occurrence } = event.dedupe;
  const repeats = event.deliveries.filter((row) => row.became === "duplicate");
  const since = repeats.length ? h("b", {}, `${repeats.length} duplicate${repeats.length > 1 ? "s" : ""} since`) : "";
  const deliveries = h("ol", { class: "deliveries" }, event.deliveries.map((row) =>
    h("li", {}, h("time", { datetime: row.received }, clock(row.received)), outcome(row.became),
      row.altered ? note("another body under the same id: the first one stays") : "")));
  return facts("Dedupe", [
    ["decision", h("span", {}, event.dedupe.decision), since],
    ["basis", h("b", {}, basis), note(BASIS[basis] ?? "")],
    ["key", h("code", {}, plain(event_key)), occurrence ? note(`occurrence ${occurrence}`) : ""],
    ["body", h("code", { title: `SHA-256 ${event.body_sha256}` }, `${event.body_sha256.slice(0, 16)}…`), note(`${event.raw_bytes.toLocaleString("en")} bytes`)],
  ], repeats.length ? deliveries : "", about.kind === "deployed" ? note("Duplicates leave no trace in the table: they are in CloudWatch.") : "");
}

function pane(title, text, ...notes) {
  return h("section", { class: "pane" },
    h("h3", {}, title, ...notes, copyButton("Copy", () => indented(text))), block(text, `${title} JSON`));
}

function raw(event) {
  const title = `${event.provider}'s JSON`;
  if (event.raw !== null) return pane(title, event.raw, event.is_redacted ? note("secrets redacted") : "");
  return h("section", { class: "pane" }, h("h3", {}, `${event.provider}'s body`, note("no JSON: base64"), copyButton("Copy", () => event.raw_base64)),
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
    h("p", {}, note("The delivery's own headers are not kept: the copy is this body, signed again.")),
    h("div", { class: "buttons" },
      about.kind === "local" ? button("Copy as curl", "curl") : "",
      button("Copy as sam local invoke", "sam"), button("Copy as fixture", "fixture")),
    about.kind === "deployed" ? h("p", {}, note("No curl here: the keys stay in Secrets Manager.")) : "",
    said, shown);
}
