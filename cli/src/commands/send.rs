//! `livehooks send`: sends sample events, signed as a provider signs them.

use std::path::PathBuf;

use jiff::Timestamp;
use livehooks_core::EventType;
use livehooks_signing::{PROVIDERS, ProviderInfo, Sample, SampleValues};
use reqwest::redirect::Policy;
use serde_json::Value;
use uuid::Uuid;

use super::options::signing_keys;
use crate::error::{CommandError, Ending};
use crate::forward::describe;
use crate::keys_file::KeysFile;
use crate::local::lock_file::RunningStack;
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
        let base = match &self.url {
            Some(url) => url.clone(),
            None => RunningStack::find().await.map_err(CommandError::NowhereToSend)?.url,
        };
        let client = reqwest::Client::builder().redirect(Policy::none()).build();
        let client =
            client.map_err(|error| CommandError::Unreachable { url: base.clone(), why: describe(error) })?;
        let mut all_accepted = true;
        for round in 0..self.count.max(1) {
            let session = Uuid::new_v4().simple().to_string()[..24].to_owned();
            for (provider, sample) in &samples {
                let body = sample.body(&self.values(&session, round));
                for _ in 0..=u32::from(self.duplicate) {
                    all_accepted &=
                        post(&client, &base, provider, sample, signing(&keys, provider)?, &body).await?;
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
        if name == "all" {
            return PROVIDERS
                .iter()
                .map(|provider| known(provider, keys))
                .collect::<Result<Vec<_>, _>>()
                .map(|all| all.concat());
        }
        let provider = ProviderInfo::named(name).ok_or_else(|| CommandError::Usage {
            option: "provider",
            expected: format!("{} or all", providers::expected_name()),
            found: name.into(),
            advice: "",
        })?;
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
        let signing = signing(keys, provider)?;
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
            id: Uuid::new_v4().to_string(),
            now: Timestamp::now(),
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
        if event_type(provider, &sample, signing(keys, provider)?)? != EventType::Unknown {
            known.push((provider, sample));
        }
    }
    Ok(known)
}

fn signing<'a>(keys: &'a KeysFile, provider: &ProviderInfo) -> Result<&'a Value, CommandError> {
    keys.signing(provider).ok_or(CommandError::NoKeys(provider.name))
}

fn event_type(provider: &ProviderInfo, sample: &Sample<'_>, keys: &Value) -> Result<EventType, CommandError> {
    let values = SampleValues {
        room: "room".into(),
        participant: "participant".into(),
        session: "session".into(),
        id: "id".into(),
        now: Timestamp::now(),
    };
    let normalized = (provider.normalize)(keys, sample.body(&values).as_bytes(), values.now);
    normalized
        .map(|normalized| normalized.kind)
        .map_err(|why| CommandError::Sign { provider: provider.name, why })
}

fn list(keys: &KeysFile) -> Result<(), CommandError> {
    for provider in PROVIDERS {
        anstream::println!("{}", styled(BOLD, provider.name));
        for sample in provider.samples() {
            let kind = event_type(provider, &sample, signing(keys, provider)?)?;
            anstream::println!("  {:42} {}", sample.name, styled(DIM, kind));
        }
        for question in provider.questions() {
            anstream::println!("  {:42} {}", question.name, styled(DIM, "a question, not an event"));
        }
    }
    Ok(())
}

async fn post(
    client: &reqwest::Client,
    base: &str,
    provider: &ProviderInfo,
    sample: &Sample<'_>,
    keys: &Value,
    body: &str,
) -> Result<bool, CommandError> {
    let signed = (provider.sign)(keys, body.as_bytes(), Timestamp::now().into())
        .map_err(|why| CommandError::Sign { provider: provider.name, why })?;
    let mut url = format!("{}/webhooks/{}", base.trim_end_matches('/'), provider.name);
    if let Some(token) = &signed.url_token {
        url = format!("{url}/{token}");
    }
    let unreachable =
        |error: reqwest::Error| CommandError::Unreachable { url: base.to_owned(), why: describe(error) };
    let request =
        signed.headers.iter().fold(client.post(&url), |request, (name, value)| request.header(name, value));
    let answer = request.body(body.to_owned()).send().await.map_err(unreachable)?;
    let status = answer.status();
    let text = answer.text().await.map_err(unreachable)?;
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let (style, said) = match json["status"].as_str() {
        Some("duplicate") => (YELLOW, format!("duplicate  {}", json["id"].as_str().unwrap_or_default())),
        Some(said) => (GREEN, format!("{said:9}  {}", json["id"].as_str().unwrap_or_default())),
        None if status.is_success() => (GREEN, format!("answered   {text}")),
        None => (RED, json["detail"].as_str().unwrap_or(&text).to_owned()),
    };
    anstream::println!("{:10} {:42} {} {}", provider.name, sample.name, status.as_u16(), styled(style, said));
    Ok(status == reqwest::StatusCode::OK)
}
