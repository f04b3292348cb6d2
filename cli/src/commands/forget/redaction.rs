//! Decides what of an item is erased, and makes the item that replaces it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use data_encoding::BASE64;
use jiff::Timestamp;
use livehooks_aws::store::{Item, UnreadableEvent, event_json, sortable};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::person::{Alias, Mention, Person};

/// How much of an event is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Extent {
    /// All, because the event is about this person alone.
    All,
    /// What identifies the person, and the provider's JSON.
    Part,
}

/// What was found in an item.
#[derive(Debug, Default)]
pub(super) struct Finding {
    /// `None` if the person is not in it.
    pub(super) extent: Option<Extent>,
    /// Whether an id is in it only as a part of a longer word.
    pub(super) is_in_word: bool,
    /// The room's id, unless it is erased.
    pub(super) room: Option<String>,
    /// The application's ids of the person that are not searched everywhere, and the names.
    pub(super) others: BTreeSet<String>,
    /// The person's other ids in this room, by its key.
    pub(super) aliases: Option<(String, BTreeSet<Alias>)>,
    /// The item after the erasure.
    redacted: Option<Item>,
}

/// The attributes that a tombstone keeps. What is not listed is erased, also what a later version adds.
const KEPT_OF_ALL: [&str; 6] =
    ["event_key", "occurrence", "type", "received_at", "body_sha256", "expires_at"];
/// The attributes that an event keeps besides, if a part of it is erased.
const KEPT_OF_PART: [&str; 3] = ["occurred_at", "time_shard", "write_id"];
/// Tombstones have their own key in the index `by_time`, so that no lookup reads them.
const TOMBSTONES: &str = "forgotten";
/// Fields with a fixed set of values.
const FIXED: [&str; 2] = ["scope", "protocol"];
/// Fields that are also erased if an id is a part of a longer word in them, such as a file's name.
const FREE: [&str; 5] = ["url", "path", "playback_urls", "destinations", "message"];
/// An item holds 400 KB at most; an event whose normalized part is almost as large is erased completely.
const EVENT_BYTES_MAX: usize = 350 * 1024;

impl Finding {
    /// Searches an item. An event that cannot be read is erased if it has the id.
    ///
    /// # Errors
    /// If the item has no text to search, as a tombstone.
    pub(super) fn of(person: &Person, item: &Item) -> Result<Self, UnreadableEvent> {
        let mut finding = Self::default();
        let json = event_json(item.get("event"), item.get("raw"))?;
        let room_key = item.get("room_key").and_then(|key| key.as_s().ok());
        let within = |session| match room_key {
            Some(room_key) => person.within(room_key, session),
            None => Cow::Borrowed(person),
        };
        // Only a body that is not JSON is hidden from this search.
        let mention = within(None).mention(&json);
        if mention == Mention::None && !json.contains(RAW_BASE64) {
            return Ok(finding);
        }
        let Ok(mut content) = Content::of(&json) else {
            finding.add(mention);
            finding.extent = finding.extent.map(|_| Extent::All);
            return Ok(finding);
        };
        let session = content.session().map(str::to_owned);
        // An event about somebody else by name is not about the person because of an id of the session.
        let here =
            if content.is_of_another(person) { Cow::Borrowed(person) } else { within(session.as_deref()) };
        let person = &*here;
        let own = content.own(person);
        let mention = if own.is_some() { Mention::Word } else { content.mention(person) };
        finding.add(mention);
        if finding.extent.is_none() {
            return Ok(finding);
        }
        if own.is_some() && content.concerns_one_participant() {
            finding.extent = Some(Extent::All);
            finding.room = content.text("subject").map(str::to_owned);
        } else {
            content.redact(person, own.as_ref().map(Own::names));
            finding.room = content.text("subject").map(str::to_owned);
            let json = content.to_json();
            if json.len() > EVENT_BYTES_MAX {
                finding.extent = Some(Extent::All);
            } else {
                finding.redacted = Some(partly_redacted(item, json, finding.room.is_some()));
            }
        }
        if let Some(own) = own {
            let alias = |id: &String| Alias { session: session.clone(), id: id.clone() };
            let aliases = own.ids.iter().filter(|id| !person.has(id)).map(alias);
            finding.aliases = room_key.map(|room_key| (room_key.clone(), aliases.collect()));
            finding.others = own.others.into_iter().filter(|name| !person.has(name)).collect();
        }
        Ok(finding)
    }

    fn add(&mut self, mention: Mention) {
        match mention {
            Mention::None => {}
            Mention::InWord => self.is_in_word = true,
            Mention::Word => self.extent = Some(Extent::Part),
        }
    }

    /// The item that replaces this one; `None` if there is nothing to erase.
    pub(super) fn redacted(self, item: &Item, now: Timestamp) -> Option<Item> {
        let mut redacted = match (self.extent?, self.redacted) {
            (Extent::Part, Some(redacted)) => redacted,
            _ => tombstone(item),
        };
        redacted.insert("forgotten_at".into(), AttributeValue::S(sortable(now)));
        Some(redacted)
    }
}

fn kept(item: &Item, names: &[&str]) -> Item {
    let kept = names.iter().filter_map(|name| Some(((*name).to_owned(), item.get(*name)?.clone())));
    kept.collect()
}

fn tombstone(item: &Item) -> Item {
    let mut tombstone = kept(item, &KEPT_OF_ALL);
    tombstone.insert("time_shard".into(), AttributeValue::S(TOMBSTONES.into()));
    tombstone
}

fn partly_redacted(item: &Item, event: String, has_room: bool) -> Item {
    let mut redacted = kept(item, &KEPT_OF_ALL);
    redacted.extend(kept(item, &KEPT_OF_PART));
    if has_room {
        redacted.extend(kept(item, &["room_key"]));
    }
    redacted.insert("event".into(), AttributeValue::S(event));
    redacted
}

/// What identifies the person in an event whose participant that is.
struct Own {
    ids: BTreeSet<String>,
    others: BTreeSet<String>,
}

impl Own {
    fn names(&self) -> Person {
        Person::new(self.ids.union(&self.others).cloned().collect())
    }
}

const RAW_BASE64: &str = "\"raw_base64\"";

/// An event in the parts that are searched.
struct Content {
    /// The attributes without `data`.
    attributes: Map<String, Value>,
    /// `data` without the provider's body.
    data: Map<String, Value>,
    /// The provider's body: JSON, or text that may be broken.
    raw: String,
}

impl Content {
    fn of(json: &str) -> serde_json::Result<Self> {
        let mut attributes: BTreeMap<String, &RawValue> = serde_json::from_str(json)?;
        let data = attributes.remove("data").map_or("{}", RawValue::get);
        let mut data: BTreeMap<String, &RawValue> = serde_json::from_str(data)?;
        let raw = data.remove("raw").map(|raw| raw.get().to_owned());
        let base64 = data.remove("raw_base64").and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let bytes = base64.and_then(|base64| BASE64.decode(base64.as_bytes()).ok());
        let raw = raw.or_else(|| Some(String::from_utf8_lossy(&bytes?).into_owned())).unwrap_or_default();
        Ok(Self { attributes: values(attributes)?, data: values(data)?, raw })
    }

    fn text(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute)?.as_str()
    }

    fn session(&self) -> Option<&str> {
        self.data.get("session")?.get("id")?.as_str()
    }

    /// Whether the application calls the participant by an id that is not the person's.
    fn is_of_another(&self, person: &Person) -> bool {
        let user_id =
            self.data.get("participant").and_then(|participant| participant.get("user_id")?.as_str());
        user_id.is_some_and(|id| !person.has(id))
    }

    /// The event's participant, if that is the person.
    fn own(&self, person: &Person) -> Option<Own> {
        let participant = self.data.get("participant")?;
        let texts = |names: &[&str]| -> BTreeSet<String> {
            let texts = names.iter().filter_map(|name| participant.get(*name)?.as_str());
            texts.filter(|text| !text.trim().is_empty()).map(str::to_owned).collect()
        };
        let own = Own { ids: texts(&["id", "user_id", "sid"]), others: texts(&["user_id", "name"]) };
        own.ids.iter().any(|id| person.has(id)).then_some(own)
    }

    /// Whether the event says nothing about others than its participant.
    fn concerns_one_participant(&self) -> bool {
        let kind = self.text("type").unwrap_or_default();
        let scope = self.data.get("recording").and_then(|recording| recording.get("scope")?.as_str());
        kind.starts_with("live.participant.")
            || kind.starts_with("live.track.")
            || matches!(scope, Some("participant" | "track"))
    }

    /// Where the parts that can be erased have an id.
    fn mention(&self, person: &Person) -> Mention {
        let subject = self.text("subject").map_or(Mention::None, |room| person.mention(room));
        let data = self.data.values().map(|value| value_mention(person, value)).max();
        person.mention(&self.raw).max(subject).max(data.unwrap_or(Mention::None))
    }

    /// Erases the body, the participant if that is the person, and every other string with an id of the person.
    fn redact(&mut self, person: &Person, names: Option<Person>) {
        self.raw.clear();
        if names.is_some() {
            self.data.remove("participant");
        }
        let is_erased = |field: &str, text: &str| {
            let least = if FREE.contains(&field) { Mention::InWord } else { Mention::Word };
            person.mention(text) >= least
                || names.as_ref().is_some_and(|names| names.mention(text) == Mention::Word)
        };
        erase(&mut self.data, &is_erased);
        if self.text("subject").is_some_and(|room| is_erased("subject", room)) {
            self.attributes.remove("subject");
        }
    }

    fn to_json(&self) -> String {
        let mut event = self.attributes.clone();
        event.insert("data".into(), Value::Object(self.data.clone()));
        Value::Object(event).to_string()
    }
}

fn values(fields: BTreeMap<String, &RawValue>) -> serde_json::Result<Map<String, Value>> {
    fields.into_iter().map(|(name, value)| Ok((name, serde_json::from_str(value.get())?))).collect()
}

fn value_mention(person: &Person, value: &Value) -> Mention {
    let found = match value {
        Value::String(text) => Some(person.mention(text)),
        Value::Array(values) => values.iter().map(|value| value_mention(person, value)).max(),
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(name, _)| !FIXED.contains(&name.as_str()));
            fields.map(|(_, value)| value_mention(person, value)).max()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    };
    found.unwrap_or(Mention::None)
}

/// Removes the strings for which `is_erased` holds, given the name of their field.
fn erase(fields: &mut Map<String, Value>, is_erased: &impl Fn(&str, &str) -> bool) {
    fields.retain(|name, value| {
        FIXED.contains(&name.as_str()) || !value.as_str().is_some_and(|text| is_erased(name, text))
    });
    for (name, value) in fields {
        match value {
            Value::Object(fields) => erase(fields, is_erased),
            Value::Array(values) => {
                values.retain(|value| !value.as_str().is_some_and(|text| is_erased(name, text)));
                let objects = values.iter_mut().filter_map(Value::as_object_mut);
                objects.for_each(|fields| erase(fields, is_erased));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: &str, data: Value) -> Item {
        let event = serde_json::json!({ "id": "1", "type": kind, "subject": "room", "data": data });
        let texts =
            [("event_key", "p#1"), ("room_key", "p#room"), ("type", kind), ("new", "of a later version")];
        let mut item: Item =
            texts.iter().map(|(name, text)| ((*name).into(), AttributeValue::S((*text).into()))).collect();
        item.insert("event".into(), AttributeValue::S(event.to_string()));
        item
    }

    fn ann() -> Person {
        let alias = Alias { session: Some("s".into()), id: "peer".into() };
        let aliases = [("p#room".to_owned(), BTreeSet::from([alias]))];
        Person::new(vec!["ann".into()]).also_known_as(aliases.into())
    }

    fn redacted(kind: &str, data: Value) -> Option<Item> {
        let item = item(kind, data);
        Finding::of(&ann(), &item).unwrap().redacted(&item, Timestamp::UNIX_EPOCH)
    }

    fn event(item: &Item) -> Value {
        serde_json::from_str(item["event"].as_s().unwrap()).unwrap()
    }

    #[test]
    fn an_event_about_the_person_keeps_no_attribute_that_is_not_listed() {
        let data = serde_json::json!({ "participant": { "user_id": "ann" }, "raw": {} });
        let tombstone = redacted("live.participant.joined", data).unwrap();
        let mut names: Vec<&str> = tombstone.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["event_key", "forgotten_at", "time_shard", "type"]);
    }

    #[test]
    fn another_event_loses_its_body_and_every_value_with_the_id() {
        let data = serde_json::json!({
            "session": { "id": "s" }, "participant": { "user_id": "ann-marie", "name": "Ann-Marie" },
            "recording": { "scope": "room", "files": [{ "url": "https://x/ann.mp4", "size_bytes": 1 }, { "url": "y" }] },
            "error": { "message": "ann left" }, "raw": { "users": ["ann"] },
        });
        let item = redacted("live.recording.ready", data).unwrap();
        assert!(!item.contains_key("new") && item.contains_key("room_key"));
        let event = event(&item);
        let expected = serde_json::json!({
            "session": { "id": "s" }, "participant": { "user_id": "ann-marie", "name": "Ann-Marie" },
            "recording": { "scope": "room", "files": [{ "size_bytes": 1 }, { "url": "y" }] }, "error": {},
        });
        assert_eq!((&event["data"], &event["subject"]), (&expected, &"room".into()));
        assert!(Finding::of(&ann(), &item).unwrap().extent.is_none(), "a second run finds nothing");
    }

    #[test]
    fn an_alias_is_no_proof_against_the_applications_id() {
        let data = |participant: Value, session: &str| serde_json::json!({ "session": { "id": session }, "participant": participant, "raw": { "id": "peer" } });
        let join = |participant, session| redacted("live.participant.joined", data(participant, session));
        let peer = serde_json::json!({ "id": "peer" });
        assert!(!join(peer.clone(), "s").unwrap().contains_key("event"));
        assert!(join(peer, "t").is_none(), "another session's");
        assert!(join(serde_json::json!({ "id": "peer", "user_id": "ben" }), "s").is_none());
    }
}
