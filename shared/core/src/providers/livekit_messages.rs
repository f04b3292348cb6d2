//! Protobuf's JSON, and the LiveKit messages that plugNmeet forwards.
//!
//! Source: protobuf.dev `programming-guides/json`; livekit/protocol `protobufs/livekit_models.proto`. The sender
//! chooses camel case or the proto's own field names; zero values are absent.

use std::borrow::Cow;

use crate::event::lower;
use crate::json::Object;
use crate::{Participant, Track};

/// The field names whose spelling depends on the sender.
pub(crate) struct Names {
    joined_at: &'static str,
    joined_at_ms: &'static str,
    disconnect_reason: &'static str,
    mime_type: &'static str,
}

/// The proto's own names.
pub(crate) const SNAKE_CASE: Names = Names {
    joined_at: "joined_at",
    joined_at_ms: "joined_at_ms",
    disconnect_reason: "disconnect_reason",
    mime_type: "mime_type",
};

/// The default of protobuf's JSON.
pub(crate) const CAMEL_CASE: Names = Names {
    joined_at: "joinedAt",
    joined_at_ms: "joinedAtMs",
    disconnect_reason: "disconnectReason",
    mime_type: "mimeType",
};

/// A `ParticipantInfo`.
pub(crate) fn participant<'a>(participant: Object<'_, 'a>, names: &Names) -> Participant<'a> {
    Participant {
        id: participant.id("identity"),
        sid: participant.id("sid"),
        name: participant.text("name"),
        joined_at: participant.unix_ms(names.joined_at_ms).or_else(|| participant.unix_s(names.joined_at)),
        reason: participant.text(names.disconnect_reason).map(lower),
        ..Participant::default()
    }
}

/// A `TrackInfo`.
pub(crate) fn track<'a>(track: Object<'_, 'a>, names: &Names) -> Track<'a> {
    if track.is_empty() {
        return Track::default();
    }
    Track {
        id: track.id("sid"),
        // The zero value, AUDIO, is not sent.
        kind: match track.raw("type") {
            None => Some("audio".into()),
            Some(_) => track.text("type").map(lower),
        },
        source: track.text("source").map(lower),
        mime_type: track.text(names.mime_type),
    }
}

/// The lower-case name of an enum's value, even if the sender wrote its number.
pub(crate) fn enum_name<'a>(
    object: Object<'_, 'a>,
    field: &str,
    by_number: &[&'static str],
) -> Option<Cow<'a, str>> {
    let by_number = || {
        let number = usize::try_from(object.int(field)?).ok()?;
        by_number.get(number).map(|name| Cow::Borrowed(*name))
    };
    object.text(field).map(lower).or_else(by_number)
}
