//! `livehooks event`: prints a signed sample as an API Gateway event, or writes `events/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use livehooks_core::EventType;
use livehooks_signing::{Lifetime, PROVIDERS, ProviderInfo, Sample, SampleValues, Validity};
use serde_json::{Value, json};
use uuid::Uuid;

use super::options::{keys_of, signing_keys};
use crate::envelope::{self, Delivered};
use crate::error::{CommandError, Ending};
use crate::keys_file::KeysFile;
use crate::providers;

/// The arguments of `event`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks event livekit participant_joined
  cargo livehooks event livekit live.recording.ready --tampered | sam local invoke LivekitFunction -e -
  cargo livehooks event --write events")]
pub struct PrintEvent {
    #[arg(required_unless_present = "write", help = providers::name_choices())]
    provider: Option<String>,
    /// The provider's event type or the common one (see send --list)
    #[arg(value_name = "TYPE", required_unless_present = "write")]
    kind: Option<String>,
    /// Change one byte after signing: of the body, or of the secret header if the body is not signed
    #[arg(long)]
    tampered: bool,
    /// Sign with a clock that is two days behind
    #[arg(long, conflicts_with = "tampered")]
    expired: bool,
    /// Print a REST API event instead of an HTTP API event
    #[arg(long)]
    rest: bool,
    /// Encode the body in base64
    #[arg(long)]
    base64: bool,
    /// Keys file to sign with [default: the local stack's]
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Write the project's sample events, signed with this folder's keys and valid until 2100
    #[arg(long, value_name = "DIR", conflicts_with_all = ["provider", "tampered", "expired", "rest", "base64", "keys"])]
    write: Option<PathBuf>,
}

impl PrintEvent {
    /// Prints the event, or writes the folder.
    ///
    /// # Errors
    /// If the arguments or the keys are invalid.
    pub fn run(self) -> Result<Ending, CommandError> {
        if let Some(folder) = &self.write {
            return write(folder).map(|()| Ending::Fine);
        }
        let keys = signing_keys(self.keys.as_deref())?;
        let name = self.provider.as_deref().unwrap_or_default();
        let provider = ProviderInfo::named(name).ok_or_else(|| CommandError::Usage {
            option: "provider",
            expected: providers::expected_name(),
            found: name.into(),
            advice: "",
        })?;
        let kind = self.kind.as_deref().unwrap_or_default();
        let now = Timestamp::now();
        let values = SampleValues::of(Uuid::new_v4().to_string(), now);
        let signer = Signer { provider, keys: keys_of(&keys, provider)?, values, validity: now.into() };
        let sample = signer.sample(kind)?;
        let alteration = match (self.tampered, self.expired) {
            (true, _) => Alteration::Tampered,
            (_, true) => Alteration::Expired,
            _ => Alteration::None,
        };
        let form = Form { rest: self.rest, base64: self.base64 };
        let envelope = signer.envelope(&sample, alteration, form)?;
        anstream::println!("{}", pretty(&envelope));
        Ok(Ending::Fine)
    }
}

/// Signs samples of one provider.
struct Signer<'a> {
    provider: &'static ProviderInfo,
    keys: &'a Value,
    values: SampleValues,
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
    fn sample(&self, name: &str) -> Result<Sample<'static>, CommandError> {
        for sample in self.provider.samples() {
            if sample.is_named(name, self.normalized(&sample)?.kind) {
                return Ok(sample);
            }
        }
        Err(CommandError::Usage {
            option: "type",
            expected: format!("a type of {}", self.provider.name),
            found: name.into(),
            advice: "\n  list them with: cargo livehooks send --list",
        })
    }

    fn normalized(&self, sample: &Sample<'_>) -> Result<livehooks_signing::Normalized, CommandError> {
        let normalized =
            (self.provider.normalize)(self.keys, sample.body(&self.values).as_bytes(), self.validity.now);
        normalized.map_err(|why| CommandError::Sign { provider: self.provider.name, why })
    }

    fn envelope(
        &self,
        sample: &Sample<'_>,
        alteration: Alteration,
        form: Form,
    ) -> Result<Value, CommandError> {
        let mut body = sample.body(&self.values).into_bytes();
        let validity = match alteration {
            Alteration::Expired if !self.provider.lifetime.is_limited() => {
                return Err(CommandError::NeverExpires(self.provider.name));
            }
            Alteration::Expired => Validity::from(self.validity.now - SignedDuration::from_hours(48)),
            _ => self.validity,
        };
        let mut signed = (self.provider.sign)(self.keys, &body, validity)
            .map_err(|why| CommandError::Sign { provider: self.provider.name, why })?;
        if alteration == Alteration::Tampered {
            match signed.covers_body {
                true => {
                    body.iter_mut().filter(|byte| byte.is_ascii_digit()).take(1).for_each(|byte| *byte ^= 1)
                }
                false => signed.headers.iter_mut().take(1).for_each(|(_, value)| value.push('x')),
            }
        }
        let url_token = signed.url_token.as_deref();
        let path = [&["/webhooks", self.provider.name], url_token.as_slice()].concat().join("/");
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

/// Writes the project's sample events: for each provider one per family of types, a duplicate unless its signatures
/// expire by their own time, a tampered one, and an expired one if its deliveries expire; and a batch of the stream. The
/// same keys write the same files.
fn write(folder: &Path) -> Result<(), CommandError> {
    let keys = KeysFile::read_or_make(&folder.join("keys.json"))?;
    let io = |error| CommandError::File { file: folder.to_owned(), error };
    let now = Timestamp::constant(1_767_225_600, 0);
    let validity = Validity { now, expires: Timestamp::constant(4_102_444_800, 0) };
    let mut stored = Vec::new();
    for provider in PROVIDERS {
        let keys = keys_of(&keys, provider)?;
        let signer = |id: &str| {
            let values = SampleValues::of(format!("{}-{id}", provider.name), now);
            Signer { provider, keys, values, validity }
        };
        let mut files = Vec::new();
        let mut families = Vec::new();
        // A signature over the time of signing cannot last until 2100.
        let is_lasting = !matches!(provider.lifetime, Lifetime::SinceSigning(_));
        let typical = signer("typical").normalized(&provider.typical())?.kind;
        let typical_family = family(typical);
        for sample in provider.samples() {
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
                if provider.lifetime.is_limited() {
                    let expired = signer.envelope(&sample, Alteration::Expired, Form::default())?;
                    files.push(("expired.json".into(), expired));
                }
            }
            stored.push((normalized.event_key, normalized.json));
        }
        for (name, envelope) in files {
            save(&folder.join(provider.name).join(name), &envelope).map_err(io)?;
        }
    }
    save(&folder.join("notify/stream.json"), &envelope::stream(&stored)).map_err(io)?;
    save(&folder.join("env.json"), &environment(&keys)).map_err(io)
}

/// The part of a type's name that says what it is about.
fn family(kind: EventType) -> &'static str {
    kind.as_str().split('.').nth(1).unwrap_or_default()
}

/// Environment variables for `sam local invoke -n`: the keys of this folder, and the local stack's DynamoDB.
fn environment(keys: &KeysFile) -> Value {
    let local = json!({
        "TABLE_NAME": "Events",
        "AWS_ENDPOINT_URL": "http://host.docker.internal:3001",
        "FALLBACK_QUEUE_URL": "",
    });
    let function = |provider: &ProviderInfo| {
        let mut variables = local.clone();
        variables["PROVIDER_SECRET"] = json!(keys.secret(provider).to_string());
        variables["PROVIDER_SECRET_ID"] = json!("");
        (provider.function.to_owned(), variables)
    };
    let mut functions: serde_json::Map<String, Value> = PROVIDERS.iter().map(function).collect();
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
