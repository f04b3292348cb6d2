//! `livehooks send`: sends sample events, signed as a provider signs them.

use std::path::PathBuf;

use jiff::Timestamp;
use livehooks_core::EventType;
use livehooks_signing::{PROVIDERS, ProviderInfo, Sample, SampleValues};
use reqwest::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::options::{keys_of, providers_named, signing_keys};
use super::webhooks::{Answer, Webhooks};
use crate::error::{CommandError, Ending};
use crate::keys_file::KeysFile;
use crate::providers;
use crate::terminal::{BOLD, DIM, GREEN, RED, YELLOW, styled};

/// A command to try first.
pub const TRY: &str = "cargo livehooks send plugnmeet participant_joined";

/// The arguments of `send`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks send plugnmeet participant_joined
  cargo livehooks send 100ms live.recording.ready --room standup
  cargo livehooks send videosdk participant-joined --duplicate
  cargo livehooks send all
  cargo livehooks send --list")]
pub struct Send {
    #[arg(required_unless_present = "list", help = format!("{}, or `all` for every type of every provider", providers::name_choices()))]
    provider: Option<String>,
    /// The provider's event type or the common one (see --list), or `all`
    #[arg(value_name = "TYPE")]
    kind: Option<String>,
    /// List all samples with their common types
    #[arg(long)]
    list: bool,
    /// The room's id
    #[arg(long, default_value = "room01")]
    room: String,
    /// The participant's id
    #[arg(long, default_value = "user-42")]
    participant: String,
    /// The stack's base URL [default: this folder's local stack]
    #[arg(long)]
    url: Option<String>,
    /// Keys file to sign with [default: the local stack's]
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Number of different events to send
    #[arg(long, default_value_t = 1)]
    count: u32,
    /// Send each event twice, with the same body
    #[arg(long)]
    duplicate: bool,
}

impl Send {
    /// Sends the events and prints each answer.
    ///
    /// # Errors
    /// If the arguments or the keys are invalid, or the stack cannot be reached.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let keys = signing_keys(self.keys.as_deref())?;
        if self.list {
            return list(&keys).map(|()| Ending::Fine);
        }
        let samples = self.samples(&keys)?;
        let webhooks = Webhooks::at(self.url.as_deref()).await?;
        let mut all_accepted = true;
        for round in 0..self.count.max(1) {
            let session = Uuid::new_v4().simple().to_string()[..24].to_owned();
            for (provider, sample) in &samples {
                let body = sample.body(&self.values(&session, round));
                for _ in 0..=u32::from(self.duplicate) {
                    let answer = webhooks.post(provider, keys_of(&keys, provider)?, &body).await?;
                    all_accepted &= print(provider, sample, &answer);
                }
            }
        }
        Ok(if all_accepted { Ending::Fine } else { Ending::No })
    }

    fn samples(
        &self,
        keys: &KeysFile,
    ) -> Result<Vec<(&'static ProviderInfo, Sample<'static>)>, CommandError> {
        let name = self.provider.as_deref().unwrap_or("all");
        let providers = providers_named(name)?;
        let [provider] = providers[..] else {
            let all = providers.into_iter().map(|provider| known(provider, keys));
            return all.collect::<Result<Vec<_>, _>>().map(|all| all.concat());
        };
        let unknown_type = |found: &str| CommandError::Usage {
            option: "type",
            expected: format!("a type of {} or all", provider.name),
            found: found.into(),
            advice: "\n  list them with: cargo livehooks send --list",
        };
        let kind = self.kind.as_deref().ok_or_else(|| unknown_type(""))?;
        if kind == "all" {
            return known(provider, keys);
        }
        let signing = keys_of(keys, provider)?;
        for sample in provider.samples().into_iter().chain(provider.questions()) {
            if sample.is_named(kind, event_type(provider, &sample, signing)?) {
                return Ok(vec![(provider, sample)]);
            }
        }
        Err(unknown_type(kind))
    }

    fn values(&self, session: &str, round: u32) -> SampleValues {
        let suffix = if round == 0 { String::new() } else { format!("-{round}") };
        SampleValues {
            room: self.room.clone(),
            participant: format!("{}{suffix}", self.participant),
            session: session.into(),
            ..SampleValues::of(Uuid::new_v4().to_string(), Timestamp::now())
        }
    }
}

/// The samples of all known types.
fn known(
    provider: &'static ProviderInfo,
    keys: &KeysFile,
) -> Result<Vec<(&'static ProviderInfo, Sample<'static>)>, CommandError> {
    let mut known = Vec::new();
    for sample in provider.samples() {
        if event_type(provider, &sample, keys_of(keys, provider)?)? != EventType::Unknown {
            known.push((provider, sample));
        }
    }
    Ok(known)
}

fn event_type(provider: &ProviderInfo, sample: &Sample<'_>, keys: &Value) -> Result<EventType, CommandError> {
    let values = SampleValues::of("id", Timestamp::now());
    let normalized = (provider.normalize)(keys, sample.body(&values).as_bytes(), values.now);
    normalized
        .map(|normalized| normalized.kind)
        .map_err(|why| CommandError::Sign { provider: provider.name, why })
}

fn list(keys: &KeysFile) -> Result<(), CommandError> {
    for provider in PROVIDERS {
        anstream::println!("{}", styled(BOLD, provider.name));
        for sample in provider.samples() {
            let kind = event_type(provider, &sample, keys_of(keys, provider)?)?;
            anstream::println!("  {:42} {}", sample.name, styled(DIM, kind));
        }
        for question in provider.questions() {
            anstream::println!("  {:42} {}", question.name, styled(DIM, "a question, not an event"));
        }
    }
    Ok(())
}

/// Prints the answer to a delivery. Returns whether it was accepted.
fn print(provider: &ProviderInfo, sample: &Sample<'_>, answer: &Answer) -> bool {
    let id = answer.json["id"].as_str().unwrap_or_default();
    let (style, said) = match answer.status() {
        Some("duplicate") => (YELLOW, format!("duplicate  {id}")),
        Some(said) => (GREEN, format!("{said:9}  {id}")),
        None if answer.code.is_success() => (GREEN, format!("answered   {}", answer.text)),
        None => (RED, answer.detail().to_owned()),
    };
    let code = answer.code.as_u16();
    anstream::println!("{:10} {:42} {code} {}", provider.name, sample.name, styled(style, said));
    answer.code == StatusCode::OK
}
