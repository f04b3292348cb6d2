//! `livehooks send`: signs sample events as a provider does, and sends them.

use std::path::PathBuf;

use jiff::Timestamp;
use livehooks_core::EventType;
use serde_json::Value;
use uuid::Uuid;

use crate::error::causes;
use crate::keys_file::{KeysFile, KeysFileError};
use crate::local::{default_keys_file, lock_file::Running};
use crate::providers::{self, ALL, Entry, SignError};
use crate::samples::{self, Places, Sample};
use crate::terminal::{BOLD, DIM, GREEN, RED, YELLOW, styled};

/// A command to try first.
pub const TRY: &str = "cargo livehooks send plugnmeet participant_joined";

/// What to send, and where to.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks send plugnmeet participant_joined
  cargo livehooks send 100ms live.recording.ready --room standup
  cargo livehooks send videosdk participant-joined --duplicate
  cargo livehooks send all
  cargo livehooks send --list")]
pub struct Send {
    #[arg(required_unless_present = "list", help = format!("{}; or `all` for one of each type of every provider", providers::one_of()))]
    provider: Option<String>,
    /// The provider's type or the common one (see --list); or `all`
    #[arg(value_name = "TYPE")]
    kind: Option<String>,
    /// List the samples and what each becomes
    #[arg(long)]
    list: bool,
    /// The room's id
    #[arg(long, default_value = "room01")]
    room: String,
    /// The participant's id
    #[arg(long, default_value = "user-42")]
    participant: String,
    /// Base address of the stack [default: the running local stack, or http://127.0.0.1:3000]
    #[arg(long)]
    url: Option<String>,
    /// Keys file to sign with [default: the local stack's]
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Number of different events to send
    #[arg(long, default_value_t = 1)]
    count: u32,
    /// Send each event twice, byte for byte
    #[arg(long)]
    duplicate: bool,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum SendError {
    #[error(transparent)]
    Keys(#[from] KeysFileError),
    #[error("provider: expected one of {expected} or all, found {found:?}")]
    UnknownProvider { expected: String, found: String },
    #[error(
        "type: expected a type of {provider} or all, found {found:?}\n  list them with: cargo livehooks send --list"
    )]
    UnknownType { provider: &'static str, found: String },
    #[error("type: expected a type of {0} or all, found none\n  list them with: cargo livehooks send --list")]
    NoType(&'static str),
    #[error("cannot sign as {provider}: {why}")]
    Sign { provider: &'static str, why: SignError },
    #[error("cannot sign as {0}: the keys file has nothing for it")]
    NoKeys(&'static str),
    #[error("cannot reach {url}: {why}\n  start the local stack with: cargo livehooks dev")]
    Unreachable { url: String, why: String },
}

impl Send {
    /// Sends, and prints each answer. Returns whether every answer was 200.
    ///
    /// # Errors
    /// Says what is wrong with the arguments or the keys, or that nobody listens.
    pub async fn run(self) -> Result<bool, SendError> {
        let running = Running::read();
        let keys = match (&self.keys, &running) {
            (Some(file), _) => KeysFile::read(file)?,
            (None, Some(running)) => KeysFile::read(&running.keys)?,
            (None, None) => KeysFile::read_or_make(&default_keys_file())?,
        };
        if self.list {
            return list(&keys).map(|()| true);
        }
        let default = || running.map_or_else(|| "http://127.0.0.1:3000".into(), |running| running.url);
        let base = self.url.clone().unwrap_or_else(default);
        let client = reqwest::Client::new();
        let mut all_accepted = true;
        for round in 0..self.count.max(1) {
            let session = Uuid::new_v4().simple().to_string()[..24].to_owned();
            for (entry, sample) in self.samples(&keys)? {
                let body = sample.body(&self.places(&session, round));
                for _ in 0..=u32::from(self.duplicate) {
                    all_accepted &=
                        post(&client, &base, entry, &sample, signing(&keys, entry)?, &body).await?;
                }
            }
        }
        Ok(all_accepted)
    }

    fn samples(&self, keys: &KeysFile) -> Result<Vec<(&'static Entry, Sample<'static>)>, SendError> {
        let provider = self.provider.as_deref().unwrap_or("all");
        if provider == "all" {
            return ALL
                .iter()
                .map(|entry| known(entry, keys))
                .collect::<Result<Vec<_>, _>>()
                .map(|all| all.concat());
        }
        let entry = Entry::named(provider).ok_or_else(|| SendError::UnknownProvider {
            expected: ALL.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", "),
            found: provider.into(),
        })?;
        let kind = self.kind.as_deref().ok_or(SendError::NoType(entry.name))?;
        if kind == "all" {
            return known(entry, keys);
        }
        let signing = signing(keys, entry)?;
        for sample in samples::of(entry).into_iter().chain(entry.questions()) {
            if sample.is_named(kind, event_type(entry, &sample, signing)?) {
                return Ok(vec![(entry, sample)]);
            }
        }
        Err(SendError::UnknownType { provider: entry.name, found: kind.into() })
    }

    fn places(&self, session: &str, round: u32) -> Places {
        let suffix = if round == 0 { String::new() } else { format!("-{round}") };
        Places {
            room: self.room.clone(),
            participant: format!("{}{suffix}", self.participant),
            session: session.into(),
            id: Uuid::new_v4().to_string(),
            now: Timestamp::now(),
        }
    }
}

/// The samples of all types that are in the vocabulary.
fn known(
    entry: &'static Entry,
    keys: &KeysFile,
) -> Result<Vec<(&'static Entry, Sample<'static>)>, SendError> {
    let mut known = Vec::new();
    for sample in samples::of(entry) {
        if event_type(entry, &sample, signing(keys, entry)?)? != EventType::Unknown {
            known.push((entry, sample));
        }
    }
    Ok(known)
}

fn signing<'a>(keys: &'a KeysFile, entry: &Entry) -> Result<&'a Value, SendError> {
    keys.signing(entry).ok_or(SendError::NoKeys(entry.name))
}

fn event_type(entry: &Entry, sample: &Sample<'_>, keys: &Value) -> Result<EventType, SendError> {
    let places = Places {
        room: "room".into(),
        participant: "participant".into(),
        session: "session".into(),
        id: "id".into(),
        now: Timestamp::now(),
    };
    let normalized = (entry.normalize)(keys, sample.body(&places).as_bytes(), places.now);
    normalized.map(|normalized| normalized.kind).map_err(|why| SendError::Sign { provider: entry.name, why })
}

fn list(keys: &KeysFile) -> Result<(), SendError> {
    for entry in ALL {
        anstream::println!("{}", styled(BOLD, entry.name));
        for sample in samples::of(entry) {
            let kind = event_type(entry, &sample, signing(keys, entry)?)?;
            anstream::println!("  {:42} {}", sample.name, styled(DIM, kind));
        }
        for question in entry.questions() {
            anstream::println!("  {:42} {}", question.name, styled(DIM, "a question, not an event"));
        }
    }
    Ok(())
}

async fn post(
    client: &reqwest::Client,
    base: &str,
    entry: &Entry,
    sample: &Sample<'_>,
    keys: &Value,
    body: &str,
) -> Result<bool, SendError> {
    let signed = (entry.sign)(keys, body.as_bytes(), Timestamp::now().into())
        .map_err(|why| SendError::Sign { provider: entry.name, why })?;
    let mut url = format!("{}/webhooks/{}", base.trim_end_matches('/'), entry.name);
    if let Some(token) = &signed.url_token {
        url = format!("{url}/{token}");
    }
    let unreachable =
        |error: reqwest::Error| SendError::Unreachable { url: base.to_owned(), why: causes(&error) };
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
    anstream::println!("{:10} {:42} {} {}", entry.name, sample.name, status.as_u16(), styled(style, said));
    Ok(status == reqwest::StatusCode::OK)
}
