//! Protobuf's JSON, and the messages of LiveKit that others pass on.
//!
//! Source: protobuf.dev `programming-guides/json`; livekit/protocol `protobufs/livekit_models.proto`. Fields are
//! spelled in camel case or as in the proto, by the sender's choice; zero values are absent.

use std::borrow::Cow;

use crate::event::lower;
use crate::json::Object;
use crate::{Participant, Track};

/// How a sender spells those fields that are spelled in two ways.
pub(crate) struct Names {
    joined_at: &'static str,
    joined_at_ms: &'static str,
    disconnect_reason: &'static str,
    mime_type: &'static str,
}

/// As in the proto.
pub(crate) const SNAKE_CASE: Names = Names {
    joined_at: "joined_at",
    joined_at_ms: "joined_at_ms",
    disconnect_reason: "disconnect_reason",
    mime_type: "mime_type",
};

/// Protobuf's default.
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

/// The name of an enum's value in lower case, also where the value came as its number.
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
