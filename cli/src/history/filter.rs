//! Filters stored events.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use livehooks_aws::store::Item;

use super::stored::text;
use super::{HistoryError, Stored};

/// Conditions that an event must meet; `None` matches every event.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The provider's name.
    pub provider: Option<String>,
    /// The type; `*` matches any characters (`live.recording.*`).
    pub r#type: Option<String>,
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
        let provider = text(item, "event_key").and_then(|key| key.split_once('#')).map(|(name, _)| name);
        let received_at = text(item, "received_at").and_then(|time| time.parse::<Timestamp>().ok());
        let attributes = is(&self.provider, provider)
            && self.matches_type(text(item, "type").unwrap_or_default())
            && self.matches_time(received_at);
        if !attributes || (self.room.is_none() && self.participant.is_none() && self.text.is_none()) {
            return Ok(attributes);
        }
        Ok(self.matches(&Stored::read(item)?))
    }

    /// Whether an event matches.
    pub fn matches(&self, stored: &Stored) -> bool {
        let event = &stored.event;
        is(&self.provider, Some(&event.provider))
            && self.matches_type(&event.r#type)
            && self.matches_time(Some(stored.received_at))
            && is(&self.room, event.subject.as_deref())
            && self.matches_participant(stored)
            && self.text.as_deref().is_none_or(|text| holds(&stored.json, text))
    }

    /// Whether every event matches.
    pub fn matches_all(&self) -> bool {
        let texts = [&self.provider, &self.r#type, &self.room, &self.participant, &self.text];
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

    /// The conditions that DynamoDB can check itself.
    pub(super) fn expression(&self) -> Option<(String, Vec<(&'static str, AttributeValue)>)> {
        let sortable = |time: Timestamp| AttributeValue::S(format!("{time:.9}"));
        let provider = self.provider.as_ref().map(|name| AttributeValue::S(format!("{name}#")));
        let conditions = [
            ("begins_with(event_key, :provider)", ":provider", provider),
            ("received_at >= :since", ":since", self.since.map(sortable)),
            ("received_at < :until", ":until", self.until.map(sortable)),
        ];
        let known = conditions.into_iter().filter_map(|(text, name, value)| Some((text, name, value?)));
        let (texts, values): (Vec<_>, Vec<_>) =
            known.map(|(text, name, value)| (text, (name, value))).unzip();
        (!texts.is_empty()).then(|| (texts.join(" AND "), values))
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
