//! What would be erased, by kind of event.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use jiff::Timestamp;
use livehooks_aws::store::Item;
use serde::Serialize;

use super::redaction::{Extent, Finding};
use crate::history::EventKey;
use crate::terminal::{BOLD, column, line, local, safe, styled};

/// The events in which a person was found.
#[derive(Default)]
pub(super) struct Summary {
    groups: BTreeMap<Kind, Group>,
    /// Other ids and names of the person, which are not searched.
    others: BTreeSet<String>,
    /// The events that have an id only as a part of a longer word.
    in_word: BTreeSet<EventKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Kind {
    erased: Extent,
    provider: String,
    r#type: String,
    /// Absent if it is erased.
    room: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Group {
    count: usize,
    first_received_at: Option<Timestamp>,
    last_received_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    kind: &'a Kind,
    #[serde(flatten)]
    group: &'a Group,
}

impl Summary {
    /// Adds what was found in an item; returns the item's key if there is something to erase.
    pub(super) fn add(&mut self, item: &Item, finding: Finding) -> Option<EventKey> {
        let key = key(item);
        if finding.is_in_word {
            self.in_word.insert(key.clone());
        }
        let erased = finding.extent?;
        self.in_word.remove(&key);
        self.others.extend(finding.others);
        let provider = key.event_key.split('#').next().unwrap_or_default().to_owned();
        let kind = Kind { erased, provider, r#type: text(item, "type"), room: finding.room };
        let group = self.groups.entry(kind).or_default();
        let time = key.received_at.parse::<Timestamp>().ok();
        group.count += 1;
        group.first_received_at = [group.first_received_at, time].into_iter().flatten().min();
        group.last_received_at = group.last_received_at.max(time);
        Some(key)
    }

    /// Prints the groups, as a table or as JSON.
    pub(super) fn print(&self, is_json: bool) -> io::Result<()> {
        if !is_json && !self.groups.is_empty() {
            line(styled(
                BOLD,
                "ERASED PROVIDER    TYPE                     ROOM                  COUNT  RECEIVED",
            ))?;
        }
        for (kind, group) in &self.groups {
            if is_json {
                line(serde_json::to_string(&Line { kind, group })?)?;
                continue;
            }
            let time = |time: Option<Timestamp>| {
                time.map_or_else(|| "-".into(), |time| local(time, "%Y-%m-%d %H:%M"))
            };
            let (first, last) = (time(group.first_received_at), time(group.last_received_at));
            let period = if first == last { first } else { format!("{first} to {last}") };
            line(format!(
                "{} {} {} {} {:>5}  {period}",
                column(if kind.erased == Extent::All { "all" } else { "part" }, 6),
                column(&kind.provider, 11),
                column(kind.r#type.strip_prefix("live.").unwrap_or(&kind.r#type), 24),
                column(kind.room.as_deref().unwrap_or("-"), 21),
                group.count,
            ))?;
        }
        Ok(())
    }

    /// How many events there are, and what the search may have missed.
    pub(super) fn text(&self, stack: &str) -> String {
        let count = |extent| {
            let groups = self.groups.iter().filter(|(kind, _)| kind.erased == extent);
            groups.map(|(_, group)| group.count).sum::<usize>()
        };
        let (all, part) = (count(Extent::All), count(Extent::Part));
        let mut text = match all + part {
            0 => format!("no event with this participant in {stack}"),
            total => format!("{total} events in {stack}: {all} to erase completely, {part} in part"),
        };
        if !self.in_word.is_empty() {
            let note = "other events have the id only as a part of a longer word; --in-words adds them";
            text += &format!("\n  {} {note}", self.in_word.len());
        }
        if !self.others.is_empty() {
            let note =
                "events with nothing else of the person are erased only if --participant names these too";
            text += &format!("\n  also called {}: {note}", self.others());
        }
        text
    }

    /// The other ids and names, as a list.
    fn others(&self) -> String {
        const SHOWN: usize = 20;
        let shown = self.others.iter().take(SHOWN).map(|name| format!("\"{}\"", safe(name, 80)));
        let more = if self.others.len() > SHOWN { ", …" } else { "" };
        shown.collect::<Vec<_>>().join(", ") + more
    }
}

/// The item's key.
pub(super) fn key(item: &Item) -> EventKey {
    let number = item.get("occurrence").and_then(|value| value.as_n().ok()?.parse().ok());
    EventKey {
        received_at: text(item, "received_at"),
        event_key: text(item, "event_key"),
        occurrence: number.unwrap_or(0),
    }
}

fn text(item: &Item, name: &str) -> String {
    item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
}
