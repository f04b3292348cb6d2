//! `livehooks event`: prints a signed sample as API Gateway hands it to a function; and writes `events/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use livehooks_core::EventType;
use serde_json::{Value, json};

use crate::envelope::{self, Delivered};
use crate::keys_file::{KeysFile, KeysFileError};
use crate::local::{default_keys_file, lock_file::Running};
use crate::providers::{self, ALL, Entry, Lifetime, SignError, Validity};
use crate::samples::{self, Places, Sample};

/// Which event to print.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks event livekit participant_joined
  cargo livehooks event livekit live.recording.ready --tampered | sam local invoke LivekitFunction -e -
  cargo livehooks event --write events")]
pub struct PrintEvent {
    #[arg(required_unless_present = "write", help = providers::one_of())]
    provider: Option<String>,
    /// The provider's type or the common one (see send --list)
    #[arg(value_name = "TYPE", required_unless_present = "write")]
    kind: Option<String>,
    /// Change one byte of the body after signing (of the secret header, if the body is not signed)
    #[arg(long)]
    tampered: bool,
    /// Sign with a clock that is two days behind
    #[arg(long, conflicts_with = "tampered")]
    expired: bool,
    /// Use a REST API's envelope instead of an HTTP API's
    #[arg(long)]
    rest: bool,
    /// Encode the body in base64
    #[arg(long)]
    base64: bool,
    /// Keys file to sign with [default: the local stack's]
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Write the project's own events, signed with the keys in this folder until 2100
    #[arg(long, value_name = "DIR", conflicts_with_all = ["provider", "tampered", "expired", "rest", "base64", "keys"])]
    write: Option<PathBuf>,
}

/// Why there is no event.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum EventError {
    #[error(transparent)]
    Keys(#[from] KeysFileError),
    #[error("provider: expected one of {expected}, found {found:?}")]
    UnknownProvider { expected: String, found: String },
    #[error(
        "type: expected a type of {provider}, found {found:?}\n  list them with: cargo livehooks send --list"
    )]
    UnknownType { provider: &'static str, found: String },
    #[error("cannot sign as {provider}: {why}")]
    Sign { provider: &'static str, why: SignError },
    #[error("cannot sign as {0}: the keys file has nothing for it")]
    NoKeys(&'static str),
    #[error("deliveries of {0} hold no time, so none of them expires")]
    NeverExpires(&'static str),
    #[error("cannot write to {}: {error}", .folder.display())]
    Io { folder: PathBuf, error: io::Error },
}

impl PrintEvent {
    /// Prints the event, or writes the folder.
    ///
    /// # Errors
    /// Says what is wrong with the arguments or the keys.
    pub fn run(self) -> Result<(), EventError> {
        if let Some(folder) = &self.write {
            return write(folder);
        }
        let keys = match (&self.keys, Running::read()) {
            (Some(file), _) => KeysFile::read(file)?,
            (None, Some(running)) => KeysFile::read(&running.keys)?,
            (None, None) => KeysFile::read_or_make(&default_keys_file())?,
        };
        let provider = self.provider.as_deref().unwrap_or_default();
        let entry = Entry::named(provider).ok_or_else(|| EventError::UnknownProvider {
            expected: ALL.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", "),
            found: provider.into(),
        })?;
        let kind = self.kind.as_deref().unwrap_or_default();
        let now = Timestamp::now();
        let signer =
            Signer { entry, keys: signing(&keys, entry)?, places: places(now), validity: now.into() };
        let sample = signer.sample(kind)?;
        let alteration = match (self.tampered, self.expired) {
            (true, _) => Alteration::Tampered,
            (_, true) => Alteration::Expired,
            _ => Alteration::None,
        };
        let form = Form { rest: self.rest, base64: self.base64 };
        let envelope = signer.envelope(&sample, alteration, form)?;
        anstream::println!("{}", pretty(&envelope));
        Ok(())
    }
}

/// Signs samples of one provider.
struct Signer<'a> {
    entry: &'static Entry,
    keys: &'a Value,
    places: Places,
    validity: Validity,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Alteration {
    None,
    Tampered,
    Expired,
}

#[derive(Clone, Copy, Default)]
struct Form {
    rest: bool,
    base64: bool,
}

impl Signer<'_> {
    fn sample(&self, name: &str) -> Result<Sample<'static>, EventError> {
        for sample in samples::of(self.entry) {
            if sample.is_named(name, self.normalized(&sample)?.kind) {
                return Ok(sample);
            }
        }
        Err(EventError::UnknownType { provider: self.entry.name, found: name.into() })
    }

    fn normalized(&self, sample: &Sample<'_>) -> Result<providers::Normalized, EventError> {
        let normalized =
            (self.entry.normalize)(self.keys, sample.body(&self.places).as_bytes(), self.validity.now);
        normalized.map_err(|why| EventError::Sign { provider: self.entry.name, why })
    }

    fn envelope(&self, sample: &Sample<'_>, alteration: Alteration, form: Form) -> Result<Value, EventError> {
        let mut body = sample.body(&self.places).into_bytes();
        let validity = match alteration {
            Alteration::Expired if !self.entry.lifetime.is_limited() => {
                return Err(EventError::NeverExpires(self.entry.name));
            }
            Alteration::Expired => Validity::from(self.validity.now - SignedDuration::from_hours(48)),
            _ => self.validity,
        };
        let mut signed = (self.entry.sign)(self.keys, &body, validity)
            .map_err(|why| EventError::Sign { provider: self.entry.name, why })?;
        if alteration == Alteration::Tampered {
            match signed.covers_body {
                true => {
                    body.iter_mut().filter(|byte| byte.is_ascii_digit()).take(1).for_each(|byte| *byte ^= 1)
                }
                false => signed.headers.iter_mut().take(1).for_each(|(_, value)| value.push('x')),
            }
        }
        let url_token = signed.url_token.as_deref();
        let path = [&["/webhooks", self.entry.name], url_token.as_slice()].concat().join("/");
        let delivered = Delivered {
            path: &path,
            url_token,
            headers: &signed.headers,
            body: &body,
            base64: form.base64,
            received_at: self.validity.now,
        };
        Ok(if form.rest { delivered.rest_api() } else { delivered.http_api() })
    }
}

fn signing<'a>(keys: &'a KeysFile, entry: &Entry) -> Result<&'a Value, EventError> {
    keys.signing(entry).ok_or(EventError::NoKeys(entry.name))
}

fn places(now: Timestamp) -> Places {
    Places {
        room: "room01".into(),
        participant: "user-42".into(),
        session: "5f9edc6bd238215aec7700df".into(),
        id: uuid::Uuid::new_v4().to_string(),
        now,
    }
}

/// The project's own events: per provider one of each family of types and a duplicate, unless its signatures are too
/// old soon; a tampered one, an expired one where there is such a thing; and a batch of the stream. The same keys make the same files.
fn write(folder: &Path) -> Result<(), EventError> {
    let keys = KeysFile::read_or_make(&folder.join("keys.json"))?;
    let io = |error| EventError::Io { folder: folder.to_owned(), error };
    let now = Timestamp::constant(1_767_225_600, 0);
    let validity = Validity { now, expires: Timestamp::constant(4_102_444_800, 0) };
    let mut stored = Vec::new();
    for entry in ALL {
        let keys = signing(&keys, entry)?;
        let signer = |id: &str| {
            let places = Places { id: format!("{}-{id}", entry.name), ..places(now) };
            Signer { entry, keys, places, validity }
        };
        let mut files = Vec::new();
        let mut families = Vec::new();
        // A signature over the time of signing cannot last until 2100.
        let is_lasting = !matches!(entry.lifetime, Lifetime::SinceSigning(_));
        let typical = signer("typical").normalized(&entry.typical())?.kind;
        let typical_family = family(typical);
        for sample in samples::of(entry) {
            let signer = signer(sample.name);
            let normalized = signer.normalized(&sample)?;
            let family = family(normalized.kind);
            if families.contains(&family) || family == "unknown" {
                continue;
            }
            families.push(family);
            if is_lasting {
                let envelope = signer.envelope(&sample, Alteration::None, Form::default())?;
                files.push((format!("{family}.json"), envelope));
            }
            if family == typical_family {
                if is_lasting {
                    let rest = Form { rest: true, base64: true };
                    files.push(("duplicate.json".into(), signer.envelope(&sample, Alteration::None, rest)?));
                }
                files.push((
                    "tampered.json".into(),
                    signer.envelope(&sample, Alteration::Tampered, Form::default())?,
                ));
                if entry.lifetime.is_limited() {
                    let expired = signer.envelope(&sample, Alteration::Expired, Form::default())?;
                    files.push(("expired.json".into(), expired));
                }
            }
            stored.push((normalized.event_key, normalized.json));
        }
        for (name, envelope) in files {
            save(&folder.join(entry.name).join(name), &envelope).map_err(io)?;
        }
    }
    save(&folder.join("notify/stream.json"), &envelope::stream(&stored)).map_err(io)?;
    save(&folder.join("env.json"), &environment(&keys)).map_err(io)
}

/// The part of a type's name that says what it is about.
fn family(kind: EventType) -> &'static str {
    kind.as_str().split('.').nth(1).unwrap_or_default()
}

/// For `sam local invoke -n`: the keys of this folder, and the DynamoDB of `livehooks dev`.
fn environment(keys: &KeysFile) -> Value {
    let local = json!({
        "TABLE_NAME": "Events",
        "AWS_ENDPOINT_URL": "http://host.docker.internal:3001",
        "FALLBACK_QUEUE_URL": "",
    });
    let function = |entry: &Entry| {
        let mut variables = local.clone();
        variables["PROVIDER_SECRET"] = json!(keys.secret(entry).to_string());
        variables["PROVIDER_SECRET_ID"] = json!("");
        (entry.function.to_owned(), variables)
    };
    let mut functions: serde_json::Map<String, Value> = ALL.iter().map(function).collect();
    functions.insert(
        "NotifyFunction".into(),
        json!({
            "TABLE_NAME": "Events",
            "AWS_ENDPOINT_URL": "http://host.docker.internal:3002",
            "TOPIC_ARN": "arn:aws:sns:us-east-1:000000000000:livehooks",
            "QUARANTINE_QUEUE_URL": "http://host.docker.internal:3002/000000000000/quarantine",
        }),
    );
    Value::Object(functions)
}

fn save(file: &Path, value: &Value) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, pretty(value) + "\n")
}

fn pretty(value: &Value) -> String {
    // Serializing a Value cannot fail.
    serde_json::to_string_pretty(value).unwrap_or_default()
}
