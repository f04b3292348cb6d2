//! Resends an event: its body, with a new signature. The delivery's own headers are not stored.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use data_encoding::BASE64;
use jiff::Timestamp;
use livehooks_signing::{Lifetime, ProviderInfo, Signed, Validity};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Inspected;
use super::event_detail::{EventQuery, Parts, no_store};
use crate::envelope::Delivered;
use crate::history::Stored;
use crate::keys_file::KeysFile;
use crate::local::problem;
use crate::terminal::length;

/// The public keys in `events/`. Fixtures and container events are signed with them, never with real secrets.
const PUBLIC_KEYS: &str = include_str!("../../../events/keys.json");
/// As for the files in `events/`: 2100-01-01.
const SIGNED_UNTIL: Timestamp = Timestamp::constant(4_102_444_800, 0);
/// Below the length limit of a shell argument.
const ARGUMENT_BYTES_MAX: usize = 100_000;

/// Where to resend a delivery, and with which keys.
#[derive(Clone)]
pub struct Sending {
    /// The stack's base URL.
    pub url: String,
    /// The keys to sign with.
    pub keys: KeysFile,
}

#[derive(Deserialize)]
pub(super) struct Request {
    #[serde(flatten)]
    event: EventQuery,
    form: Form,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Form {
    Curl,
    Sam,
    Fixture,
}

/// A string to copy, and a note for the user.
struct Snippet {
    text: String,
    note: String,
}

pub(super) async fn resend(State(inspected): State<Inspected>, Query(request): Query<Request>) -> Response {
    let stored = match inspected.find(&request.event).await {
        Ok(stored) => stored,
        Err(answer) => return answer,
    };
    let snippet = match (request.form, &inspected.sending) {
        (Form::Curl, Some(sending)) => curl(&stored, sending),
        (Form::Curl, None) => Err("The keys of a deployed stack stay in Secrets Manager.".into()),
        (Form::Sam, _) => sam(&stored),
        (Form::Fixture, _) => fixture(&stored),
    };
    match snippet {
        Ok(Snippet { text, mut note }) => {
            if stored.json.contains(r#""[redacted]""#) {
                note += " Secrets in the body are redacted, so it differs from the body received.";
            }
            no_store(axum::Json(json!({ "text": text, "note": note })))
        }
        Err(why) => problem(StatusCode::CONFLICT, &why),
    }
}

fn provider(stored: &Stored) -> Result<&'static ProviderInfo, String> {
    ProviderInfo::named(&stored.event.provider).ok_or_else(|| "This provider is unknown.".into())
}

fn body(stored: &Stored) -> Result<Vec<u8>, String> {
    let nothing = || "The item contains no body.".to_owned();
    let parts = Parts::of(&stored.json).ok_or_else(nothing)?;
    match (parts.raw, parts.raw_base64) {
        (Some(raw), _) => Ok(raw.as_bytes().to_vec()),
        (None, Some(base64)) => BASE64.decode(base64.as_bytes()).map_err(|_| nothing()),
        (None, None) => Err(nothing()),
    }
}

/// A curl command for the local stack. It does not contain a credential that is the same in every delivery.
fn curl(stored: &Stored, sending: &Sending) -> Result<Snippet, String> {
    let (provider, body) = (provider(stored)?, body(stored)?);
    let keys = sending.keys.signing(provider).ok_or("The keys file has no keys for this provider.")?;
    let now = Timestamp::now();
    let signed = (provider.sign)(&provider.body_keys(keys), &body, now.into());
    let static_credentials = (provider.sign)(keys, &body, now.into()).map_err(|error| error.to_string())?;
    let mut note = match provider.lifetime {
        Lifetime::UntilExpiry => "Signed with the local stack's keys; valid for five minutes.".to_owned(),
        Lifetime::SinceSigning(lifetime) => {
            format!("Signed with the local stack's keys; valid for {}.", length(lifetime))
        }
        Lifetime::Unlimited => "Signed with the local stack's keys.".to_owned(),
    };
    let mut url = format!("{}/webhooks/{}", sending.url, provider.name);
    if static_credentials.url_token.is_some() {
        url += "/$TOKEN";
        note = "First set TOKEN to one of url_tokens in your keys file.".into();
    }
    let headers: Vec<(String, String)> = match signed {
        Ok(signed) => signed.headers,
        Err(_) => {
            note = "First set SECRET to the header's value in your keys file.".into();
            let hidden = |(at, (name, value))| (name, if at == 0 { "$SECRET".into() } else { value });
            static_credentials.headers.into_iter().enumerate().map(hidden).collect()
        }
    };
    let headers = headers.iter().map(|(name, value)| format!(" \\\n  -H \"{name}: {value}\""));
    let head = format!("curl \"{url}\"{}", headers.collect::<String>());
    let text = match std::str::from_utf8(&body) {
        Ok(text) if body.len() <= ARGUMENT_BYTES_MAX && is_visible(text) => {
            format!("{head} \\\n  --data-binary '{}'", text.replace('\'', r"'\''"))
        }
        _ => format!("base64 -d <<'BODY' | {head} \\\n  --data-binary @-\n{}\nBODY", wrapped(&body)),
    };
    Ok(Snippet { text, note })
}

/// Whether a terminal shows every character as it is, without control or bidirectional characters.
fn is_visible(text: &str) -> bool {
    text.chars().all(|c| c == '\'' || c == '"' || c == '\\' || c == '\n' || c.escape_debug().len() == 1)
}

fn wrapped(body: &[u8]) -> String {
    let text = BASE64.encode(body);
    let lines = text.as_bytes().chunks(76).map(String::from_utf8_lossy);
    lines.collect::<Vec<_>>().join("\n")
}

fn signed_with_public_keys(stored: &Stored, validity: Validity) -> Result<(Signed, Vec<u8>, Value), String> {
    let (provider, body) = (provider(stored)?, body(stored)?);
    let keys: Value = serde_json::from_str(PUBLIC_KEYS).map_err(|error| error.to_string())?;
    let keys = KeysFile::from_json(&keys).map_err(|error| error.to_string())?;
    let signing = keys.signing(provider).ok_or("events/keys.json has no keys for this provider.")?;
    let signed = (provider.sign)(signing, &body, validity).map_err(|error| error.to_string())?;
    Ok((signed, body, keys.secret(provider)))
}

fn path(provider: &ProviderInfo, signed: &Signed) -> String {
    let token = signed.url_token.as_ref().map(|token| format!("/{token}")).unwrap_or_default();
    format!("/webhooks/{}{token}", provider.name)
}

/// An event for `sam local invoke`, for the keys in `events/env.json`.
fn sam(stored: &Stored) -> Result<Snippet, String> {
    let provider = provider(stored)?;
    let validity = Validity { now: stored.received_at, expires: SIGNED_UNTIL };
    let (signed, body, _) = signed_with_public_keys(stored, validity)?;
    let delivered = Delivered {
        path: &path(provider, &signed),
        url_token: signed.url_token.as_deref(),
        headers: &signed.headers,
        body: &body,
        base64: false,
        received_at: stored.received_at,
    };
    let text = serde_json::to_string_pretty(&delivered.http_api()).map_err(|error| error.to_string())?;
    let note = format!(
        "Save it as event.json: sam local invoke {} -e event.json -n events/env.json. Signed with the keys in events/; valid until 2100.",
        provider.function
    );
    Ok(Snippet { text, note })
}

/// Commands that create a fixture folder for the conformance tests.
fn fixture(stored: &Stored) -> Result<Snippet, String> {
    let provider = provider(stored)?;
    let now = stored.received_at;
    let (signed, body, keys) = signed_with_public_keys(stored, now.into())?;
    let mut request = format!("POST {} HTTP/1.1\nHost: hooks.example.com\n", path(provider, &signed));
    for (name, value) in &signed.headers {
        request += &format!("{name}: {value}\n");
    }
    let mut request = (request + "\n").into_bytes();
    request.extend(body);
    let context = json!({ "now": now, "keys": keys });
    let context = serde_json::to_string_pretty(&context).map_err(|error| error.to_string())?;
    let kind = stored.event.providertype.as_deref().unwrap_or("unknown");
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let kind: String = kind.chars().filter(is_plain).take(60).collect();
    let hash = stored.body_sha256.get(..8).unwrap_or_default();
    let folder = format!("tests/fixtures/{}/ok/{}-{hash}", provider.name, kind.trim_start_matches('.'));
    let text = format!(
        "mkdir -p {folder}\nbase64 -d > {folder}/request.http <<'REQUEST'\n{}\nREQUEST\n\
         cat > {folder}/context.json <<'CONTEXT'\n{context}\nCONTEXT\n\
         UPDATE_EXPECT=1 cargo test -p livehooks-tests --test conformance\n",
        wrapped(&request)
    );
    let note =
        "Run it in the project: it creates the fixture, and the test writes the expected results.".into();
    Ok(Snippet { text, note })
}
