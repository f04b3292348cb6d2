use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the log must not contain, and what it must.
#[derive(Default, Deserialize, Serialize)]
pub struct Notes {
    pub forbidden: BTreeSet<String>,
    pub expected: BTreeSet<String>,
}

/// Shorter strings may occur by chance.
const CHARACTERS_MIN: usize = 12;

impl Notes {
    /// Forbids a string and each of its parts, if long enough.
    pub fn forbid(&mut self, text: &str) {
        let parts = text.split(['.', ' ', ',', '\n']).chain([text]).map(str::trim);
        self.forbidden.extend(parts.filter(|part| part.len() >= CHARACTERS_MIN).map(str::to_owned));
    }

    /// Forbids every string value in this JSON, unless the log shows it by design.
    pub fn forbid_texts(&mut self, json: &Value, shown: &[&str]) {
        match json {
            Value::String(text) if shown.iter().any(|shown| shown.contains(text.as_str())) => {}
            Value::String(text) if text.len() >= CHARACTERS_MIN => {
                self.forbidden.insert(text.clone());
            }
            Value::Array(list) => list.iter().for_each(|value| self.forbid_texts(value, shown)),
            Value::Object(fields) => fields.values().for_each(|value| self.forbid_texts(value, shown)),
            _ => {}
        }
    }

    /// The forbidden strings in the log, each with the first lines that contain it.
    pub fn found_in(&self, log: &str) -> Vec<String> {
        const START_BYTES: usize = 6;
        let mut by_start: HashMap<&[u8], Vec<&str>> = HashMap::new();
        for text in &self.forbidden {
            by_start.entry(&text.as_bytes()[..START_BYTES]).or_default().push(text);
        }
        const LINES_MAX: usize = 20;
        let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for line in log.lines() {
            for (at, start) in line.as_bytes().windows(START_BYTES).enumerate() {
                let candidates = by_start.get(start).into_iter().flatten();
                let present = candidates.filter(|text| line.as_bytes()[at..].starts_with(text.as_bytes()));
                present.for_each(|text| {
                    found.entry(*text).or_default().insert(line);
                });
            }
        }
        let lines = |lines: BTreeSet<&str>| Vec::from_iter(lines.into_iter().take(LINES_MAX)).join("\n  ");
        found.into_iter().map(|(text, all)| format!("{text:?} in\n  {}", lines(all))).collect()
    }

    pub fn read(file: &Path) -> Self {
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    }

    pub fn write(&self, file: &Path) {
        fs::write(file, serde_json::to_vec(self).unwrap()).unwrap();
    }
}
