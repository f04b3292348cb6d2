//! The outcome of a delivery, for the response, the log and the metrics.

use livehooks_core::{EventType, Normalized, Provider, Rejection};
use metrics::counter;
use tracing::{info, warn};

use crate::Fault;
use crate::store::PutOutcome;

/// The outcome of a delivery.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Authentic, and in the table.
    Stored(Receipt),
    /// Authentic, a question of the provider and not an event: answered with this JSON, and not stored. The JSON may be
    /// derived from a secret.
    Answered(String),
    /// In the fallback queue as it was received, because of a fault of ours.
    Queued {
        /// The queue's id of the message.
        id: String,
        /// Why it is not in the table.
        fault: Fault,
    },
    /// Not authentic: the sender's fault.
    Rejected(Rejection),
    /// Too large: the sender's fault.
    TooLarge {
        /// The size found, in bytes; for a compressed body, the least that it can be.
        bytes: usize,
        /// The largest accepted size.
        bytes_max: usize,
    },
    /// Neither stored nor queued: our fault.
    Failed(Fault),
}

/// What the log and the metrics need about a stored event.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the event's attributes")]
pub struct Receipt {
    pub written: PutOutcome,
    pub r#type: EventType,
    pub provider_type: Option<String>,
    /// Whether the provider's type is neither in the vocabulary nor known to have no equivalent there.
    pub is_new_type: bool,
    pub room: Option<String>,
    pub participant: Option<String>,
    pub participant_name: Option<String>,
    /// The JSON with which the provider wants the event to be acknowledged, if it reads the response.
    pub reply: Option<&'static str>,
}

impl From<Rejection> for Outcome {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::TooLarge { bytes_max } => Self::TooLarge { bytes: bytes_max + 1, bytes_max },
            rejection => Self::Rejected(rejection),
        }
    }
}

impl Receipt {
    pub(crate) fn new<P: Provider>(written: PutOutcome, normalized: &Normalized<'_>) -> Self {
        let event = &normalized.event;
        let provider_type = event.providertype.as_deref();
        let is_unmapped = |name: &str| P::UNMAPPED_TYPES.iter().any(|unmapped| name.starts_with(unmapped));
        let participant = event.data.participant.as_ref();
        Self {
            written,
            r#type: event.r#type,
            provider_type: provider_type.map(str::to_owned),
            is_new_type: event.r#type == EventType::Unknown && !provider_type.is_some_and(is_unmapped),
            room: event.subject.as_deref().map(str::to_owned),
            participant: participant
                .and_then(|participant| participant.user_id.as_ref().or(participant.id.as_ref()))
                .map(|id| id.clone().into_owned()),
            participant_name: participant
                .and_then(|participant| participant.name.clone())
                .map(|name| name.into_owned()),
            reply: normalized.reply,
        }
    }

    /// Logs and counts a stored event.
    pub(crate) fn record(&self, provider: &'static str) {
        let kind = self.r#type.as_str();
        let (PutOutcome::New { id } | PutOutcome::Duplicate { id, .. }) = &self.written;
        let id = cut(id);
        match &self.written {
            PutOutcome::New { .. } => {
                counter!("Accepted", "provider" => provider).increment(1);
                if self.is_new_type {
                    counter!("UnknownType", "provider" => provider).increment(1);
                }
                info!(provider, r#type = kind, id, "accepted");
                if self.is_new_type {
                    let providertype = self.provider_type.as_deref().map(cut);
                    warn!(provider, providertype, id, "unknown event type");
                }
            }
            PutOutcome::Duplicate { altered, .. } => {
                counter!("Duplicate", "provider" => provider).increment(1);
                if *altered {
                    counter!("DuplicateAltered", "provider" => provider).increment(1);
                }
                info!(provider, r#type = kind, id, "duplicate");
                if *altered {
                    warn!(provider, id, "a repeated id came with another body: the first one is kept");
                }
            }
        }
    }
}

/// Text from a delivery, made safe for a log line.
pub(crate) fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(TEXT_CHARACTERS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(TEXT_CHARACTERS_MAX).is_some() {
        cut.push('…');
    }
    cut
}

const TEXT_CHARACTERS_MAX: usize = 64;
