//! The schema and the crate `livehooks-event` name the same values, and the schema's conditions follow from the fixtures.

use std::collections::BTreeSet;
use std::fs;

use livehooks_core::{EventType, PROVIDER_NAMES};
use livehooks_event as event;
use serde_json::Value;

use crate::{read, root};

const FILE: &str = "schema/event.schema.json";

#[test]
fn the_schema_and_the_crate_have_exactly_the_vocabulary() {
    let schema: Value = serde_json::from_str(&read(FILE)).unwrap();
    let values = |name: &str| -> Vec<&str> {
        let values = schema["$defs"][name]["enum"].as_array().unwrap();
        values.iter().map(|value| value.as_str().unwrap()).collect()
    };
    let types: Vec<&str> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(values("EventType"), types);
    macro_rules! same {
        ($($name:ident)*) => {
            $(
                let known: Vec<&str> = event::$name::KNOWN.iter().map(event::$name::as_str).collect();
                assert_eq!(values(stringify!($name)), known);
            )*
        };
    }
    same!(EventType TimeBasis Assurance DedupeBasis RecordingScope StreamProtocol);
}

#[test]
fn the_schema_names_all_providers_and_the_objects_of_each_type() {
    let schema = read(FILE);
    let names: Vec<String> = PROVIDER_NAMES.iter().map(|name| format!("\"{name}\"")).collect();
    let provider = r#""Provider": {
      "description": "The provider that sent the webhook.",
      "type": "string",
      "enum": ["#;
    let expected = replaced(&schema, provider, "]", &names.join(", "));
    let expected = replaced(&expected, "    \"allOf\": [\n", "\n    ]\n", &conditions());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(root().join(FILE), expected).unwrap();
        return;
    }
    assert_eq!(schema, expected);
}

#[test]
fn the_description_of_the_topic_has_all_message_attributes() {
    let description = read("schema/asyncapi.yaml");
    let (_, headers) = description.split_once("\n      headers:\n").unwrap();
    let (headers, _) = headers.split_once("\n      payload:").unwrap();
    let (_, properties) = headers.split_once("\n        properties:\n").unwrap();
    let lines = properties.lines().filter_map(|line| line.strip_prefix("          "));
    let names = lines.filter_map(|line| line.split_once(':')).map(|(name, _)| name);
    let names: Vec<&str> = names.filter(|name| !name.starts_with(' ')).collect();
    assert_eq!(names, livehooks_aws::notification::ATTRIBUTES);
}

/// Replaces what lies between the first `start` and the next `end`.
fn replaced(text: &str, start: &str, end: &str, new: &str) -> String {
    let (before, rest) = text.split_once(start).unwrap_or_else(|| panic!("{FILE} lacks {start}"));
    let (_, after) = rest.split_once(end).unwrap();
    [before, start, new, end, after].concat()
}

type Objects = BTreeSet<String>;

/// Types of one family that require the same objects.
struct Group {
    family: &'static str,
    types: Vec<&'static str>,
    /// What every documented body gives them.
    required: Objects,
    /// What any fixture gives them.
    possible: Objects,
}

/// The conditions in the schema, one for each group.
fn conditions() -> String {
    let events = events();
    let mut groups: Vec<Group> = Vec::new();
    for kind in EventType::ALL.iter().map(|kind| kind.as_str()) {
        let of_type = || events.iter().filter(|event| event.kind == kind);
        let documented = of_type().filter(|event| event.is_documented).map(|event| event.objects.clone());
        let required = documented.reduce(|one, other| &one & &other).unwrap_or_default();
        if required.is_empty() {
            continue;
        }
        let possible: Objects = of_type().flat_map(|event| event.objects.clone()).collect();
        let family = kind.split('.').nth(1).unwrap();
        let is_same = |group: &&mut Group| group.family == family && group.required == required;
        match groups.iter_mut().find(is_same) {
            Some(group) => {
                group.types.push(kind);
                group.possible.extend(possible);
            }
            None => groups.push(Group { family, types: vec![kind], required, possible }),
        }
    }
    groups.iter().map(Group::condition).collect::<Vec<_>>().join(",\n")
}

impl Group {
    fn condition(&self) -> String {
        let quoted = |name: &str| format!("\"{name}\"");
        let types: Vec<String> = self.types.iter().map(|name| quoted(name)).collect();
        let required: Vec<String> = self.required.iter().map(|name| quoted(name)).collect();
        let possible: Vec<String> = self.possible.iter().map(|name| format!("\"{name}\": true")).collect();
        format!(
            r#"      {{
        "if": {{ "properties": {{ "type": {{ "enum": [{}] }} }} }},
        "then": {{ "properties": {{ "data": {{ "required": [{}], "properties": {{ {} }} }} }} }}
      }}"#,
            types.join(", "),
            required.join(", "),
            possible.join(", ")
        )
    }
}

struct Expected {
    kind: String,
    objects: Objects,
    is_documented: bool,
}

/// The events that are expected for the fixtures.
fn events() -> Vec<Expected> {
    let mut events = Vec::new();
    for provider in PROVIDER_NAMES {
        let folder = format!("tests/fixtures/{provider}/ok");
        for case in fs::read_dir(root().join(&folder)).unwrap() {
            let case = case.unwrap().file_name().into_string().unwrap();
            let expected: Value =
                serde_json::from_str(&read(&format!("{folder}/{case}/expected.json"))).unwrap();
            // A question has an answer instead.
            let Some(event) = expected.get("event") else { continue };
            events.push(Expected {
                kind: event["type"].as_str().unwrap().to_owned(),
                objects: event["data"].as_object().unwrap().keys().cloned().collect(),
                is_documented: !case.starts_with("edge-"),
            });
        }
    }
    events
}
