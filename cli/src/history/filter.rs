//! Which stored events are wanted.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use livehooks_aws::store::Item;

use super::stored::text;
use super::{HistoryError, Stored};

/// Which events are wanted; what is not set does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The provider's name.
    pub provider: Option<String>,
    /// The type: exact, or with `*` for any text (`live.recording.*`).
    pub r#type: Option<String>,
    /// The room's id.
    pub room: Option<String>,
    /// The participant's id, by the provider or by the application.
    pub participant: Option<String>,
    /// A text that the event holds anywhere, in whichever case.
    pub text: Option<String>,
    /// Received at this time or later.
    pub since: Option<Timestamp>,
    /// Received before this time.
    pub until: Option<Timestamp>,
    /// How many, the newest of them.
    pub limit: Option<usize>,
}

impl Filter {
    /// Whether the filter takes an item, and the item, if it had to be read for that.
    pub(super) fn takes_item(&self, item: &Item) -> Result<bool, HistoryError> {
        let provider = text(item, "event_key").and_then(|key| key.split_once('#')).map(|(name, _)| name);
        let received_at = text(item, "received_at").and_then(|time| time.parse::<Timestamp>().ok());
        let attributes = is(&self.provider, provider)
            && self.takes_type(text(item, "type").unwrap_or_default())
            && self.takes_time(received_at);
        if !attributes || (self.room.is_none() && self.participant.is_none() && self.text.is_none()) {
            return Ok(attributes);
        }
        Ok(self.takes(&Stored::read(item)?))
    }

    /// Whether the filter takes an event.
    pub fn takes(&self, stored: &Stored) -> bool {
        let event = &stored.event;
        is(&self.provider, Some(&event.provider))
            && self.takes_type(&event.r#type)
            && self.takes_time(Some(stored.received_at))
            && is(&self.room, event.subject.as_deref())
            && self.takes_participant(stored)
            && self.text.as_deref().is_none_or(|text| holds(&stored.json, text))
    }

    /// Whether it takes every event.
    pub fn takes_all(&self) -> bool {
        let texts = [&self.provider, &self.r#type, &self.room, &self.participant, &self.text];
        texts.into_iter().all(Option::is_none) && self.since.is_none() && self.until.is_none()
    }

    fn takes_participant(&self, stored: &Stored) -> bool {
        let Some(wanted) = &self.participant else { return true };
        let found = stored.event.data.participant.as_ref();
        found.is_some_and(|found| {
            [&found.user_id, &found.id, &found.sid].into_iter().flatten().any(|id| id == wanted)
        })
    }

    fn takes_type(&self, found: &str) -> bool {
        self.r#type.as_deref().is_none_or(|pattern| matches(pattern, found))
    }

    fn takes_time(&self, received_at: Option<Timestamp>) -> bool {
        self.since.is_none_or(|since| received_at.is_some_and(|time| time >= since))
            && self.until.is_none_or(|until| received_at.is_some_and(|time| time < until))
    }

    /// What DynamoDB can leave out on its side, so that it does not cross the wire.
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

/// Whether a text is what the pattern says, `*` standing for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(first) else { return false };
    match rest.contains('*') {
        false => text.ends_with(rest),
        true => (0..=text.len()).any(|at| text.is_char_boundary(at) && matches(rest, &text[at..])),
    }
}

fn holds(json: &str, text: &str) -> bool {
    json.contains(text) || json.to_lowercase().contains(&text.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
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
            assert_eq!(matches(pattern, found), expected, "{pattern} {found}");
        }
    }
}
