//! Filters stored events.

use jiff::Timestamp;
use livehooks_aws::store::{self, Item};
use livehooks_signing::PROVIDERS;

use super::attributes::text;
use super::{HistoryError, Stored};

/// Conditions that an event must meet; `None` matches every event.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The provider's name.
    pub provider: Option<String>,
    /// The type; `*` matches any characters (`live.recording.*`).
    pub r#type: Option<String>,
    /// A prefix of the event's id.
    pub id: Option<String>,
    /// The room's id.
    pub room: Option<String>,
    /// The participant's id, assigned by the provider or by the application.
    pub participant: Option<String>,
    /// A string that occurs anywhere in the event, ignoring case.
    pub text: Option<String>,
    /// Received at this time or later.
    pub since: Option<Timestamp>,
    /// Received before this time.
    pub until: Option<Timestamp>,
    /// The maximum number of events; the newest are kept.
    pub limit: Option<usize>,
}

impl Filter {
    /// Whether an item matches; its event is read only if necessary.
    pub(super) fn matches_item(&self, item: &Item) -> Result<bool, HistoryError> {
        let (provider, name) =
            text(item, "event_key").and_then(|key| key.split_once('#')).unwrap_or_default();
        let received_at = text(item, "received_at").and_then(|time| time.parse::<Timestamp>().ok());
        let is_in_room = |keys: Vec<String>| {
            text(item, "room_key").is_some_and(|found| keys.iter().any(|key| key == found))
        };
        let attributes = is(&self.provider, Some(provider))
            && self.id_part().is_none_or(|part| name.starts_with(part))
            && self.matches_type(text(item, "type").unwrap_or_default())
            && self.matches_time(received_at)
            && self.room_keys().is_none_or(is_in_room);
        if !attributes || !self.needs_event() {
            return Ok(attributes);
        }
        Ok(self.matches(&Stored::read(item)?))
    }

    /// Whether only the event itself shows if the item matches.
    pub(super) fn needs_event(&self) -> bool {
        let has_room_key = self.room.is_none() || self.room_keys().is_some();
        self.id.is_some() || self.participant.is_some() || self.text.is_some() || !has_room_key
    }

    /// What the keys of events with this id start with, after the provider: an id may end with the occurrence, which the
    /// key does not have.
    pub(super) fn id_part(&self) -> Option<&str> {
        self.id.as_deref().map(|id| id.split_once('.').map_or(id, |(part, _)| part))
    }

    /// The room's keys in the table, one per provider; `None` without a room, or if its id is too long for a key.
    pub(super) fn room_keys(&self) -> Option<Vec<String>> {
        let room = self.room.as_deref()?;
        let providers = PROVIDERS.iter().map(|provider| provider.name);
        let wanted = providers.filter(|name| is(&self.provider, Some(name)));
        wanted.map(|provider| store::room_key(provider, room)).collect()
    }

    /// Whether an event matches.
    pub fn matches(&self, stored: &Stored) -> bool {
        let event = &stored.event;
        is(&self.provider, Some(&event.provider))
            && self.matches_type(event.r#type.as_str())
            && self.matches_time(Some(stored.received_at))
            && self.id.as_deref().is_none_or(|id| event.id.starts_with(id))
            && is(&self.room, event.subject.as_deref())
            && self.matches_participant(stored)
            && self.text.as_deref().is_none_or(|text| holds(&stored.json, text))
    }

    /// Whether every event matches.
    pub fn matches_all(&self) -> bool {
        let texts = [&self.provider, &self.r#type, &self.id, &self.room, &self.participant, &self.text];
        texts.into_iter().all(Option::is_none) && self.since.is_none() && self.until.is_none()
    }

    fn matches_participant(&self, stored: &Stored) -> bool {
        let Some(wanted) = &self.participant else { return true };
        let found = stored.event.data.participant.as_ref();
        found.is_some_and(|found| {
            [&found.user_id, &found.id, &found.sid].into_iter().flatten().any(|id| id == wanted)
        })
    }

    fn matches_type(&self, found: &str) -> bool {
        self.r#type.as_deref().is_none_or(|pattern| matches_pattern(pattern, found))
    }

    fn matches_time(&self, received_at: Option<Timestamp>) -> bool {
        self.since.is_none_or(|since| received_at.is_some_and(|time| time >= since))
            && self.until.is_none_or(|until| received_at.is_some_and(|time| time < until))
    }
}

fn is(wanted: &Option<String>, found: Option<&str>) -> bool {
    wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
}

/// Whether a string matches a pattern in which `*` matches any characters.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(first) else { return false };
    match rest.contains('*') {
        false => text.ends_with(rest),
        true => (0..=text.len()).any(|at| text.is_char_boundary(at) && matches_pattern(rest, &text[at..])),
    }
}

fn holds(json: &str, text: &str) -> bool {
    json.contains(text) || json.to_lowercase().contains(&text.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_any_characters() {
        for (pattern, found, expected) in [
            ("live.session.ended", "live.session.ended", true),
            ("live.session.ended", "live.session.ended2", false),
            ("live.recording.*", "live.recording.ready", true),
            ("live.recording.*", "live.stream.failed", false),
            ("*.failed", "live.stream.failed", true),
            ("live.*.failed", "live.stream.failed", true),
            ("live.*.failed", "live.failed", false),
            ("*re*m*", "live.stream.failed", true),
            ("*", "", true),
        ] {
            assert_eq!(matches_pattern(pattern, found), expected, "{pattern} {found}");
        }
    }
}
