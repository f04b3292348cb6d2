//! `livehooks verify`: a captured request, checked offline, and precisely why it is rejected.

mod diagnose;
mod request;

use std::fs;
use std::path::{Path, PathBuf};

use axum::http::HeaderName;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::Moment;
use super::options::provider;
use crate::error::{CommandError, Ending};
use crate::keys_file::{KeysFile, KeysFileError};
use crate::providers::{Checked, Entry, one_of};
use crate::terminal::{GREEN, RED, line, local, safe, styled};
use diagnose::Cause;
use request::Request;

/// What to check, and with which keys.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks verify --provider livekit --keys .livehooks/keys.json request.http
  cargo livehooks verify --provider livekit --keys secret.json --now 2026-01-31T22:00:05Z request.http
  aws secretsmanager get-secret-value --secret-id ID --query SecretString --output text >secret.json

request.http holds the request as it came: request line, headers, an empty line, and the body's exact bytes \
(`-` reads it from the standard input). The keys are a keys file of the local stack, or the provider's secret \
alone. Nothing is sent anywhere, and no secret is shown.

Exit status: 0 authentic, 1 rejected, 2 it could not be checked.")]
pub struct Verify {
    #[arg(long, help = one_of(), value_parser = provider)]
    provider: String,
    /// The keys to verify with
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// When it was received: so long ago, or a time [default: now]
    #[arg(long, value_name = "TIME")]
    now: Option<Moment>,
    /// The captured request
    #[arg(value_name = "REQUEST.HTTP")]
    request: PathBuf,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// What came of the check.
#[derive(Serialize)]
struct VerifyResult<'a> {
    is_authentic: bool,
    provider: &'a str,
    #[serde(flatten)]
    checked: Option<Checked>,
    reason: Option<&'a str>,
    detail: Option<String>,
    advice: Option<&'a str>,
    cause: Option<&'a Cause>,
}

impl Verify {
    /// Checks it.
    ///
    /// # Errors
    /// Where the request or the keys cannot be read.
    pub fn run(self) -> Result<Ending, CommandError> {
        let entry = Entry::named(&self.provider).ok_or_else(|| CommandError::Usage {
            option: "--provider",
            expected: "a provider".into(),
            found: self.provider.clone(),
            advice: "",
        })?;
        let keys = keys(&self.keys, entry)?;
        let request = Request::read(&self.request)?;
        let now = self.now.as_ref().map_or_else(Timestamp::now, |now| now.time);
        let shape = |error| KeysFileError::Shape { file: self.keys.clone(), error };
        let verdict = (entry.verify)(&keys, &request.delivery(), now).map_err(shape)?;
        let (rejection, cause) = match &verdict {
            Ok(_) => (None, None),
            Err(rejection) => (Some(rejection), diagnose::cause(entry, &keys, &request, now, rejection)),
        };
        let verdict = VerifyResult {
            is_authentic: rejection.is_none(),
            provider: entry.name,
            checked: verdict.as_ref().ok().cloned(),
            reason: rejection.map(|rejection| rejection.code()),
            detail: rejection.map(ToString::to_string),
            advice: rejection.map(|rejection| rejection.advice()),
            cause: cause.as_ref(),
        };
        match self.json {
            true => line(serde_json::to_string(&verdict).unwrap_or_default())?,
            false => verdict.print(&request, now)?,
        }
        Ok(if verdict.is_authentic { Ending::Fine } else { Ending::No })
    }
}

impl VerifyResult<'_> {
    fn print(&self, request: &Request, now: Timestamp) -> Result<(), CommandError> {
        let at = local(now, "%Y-%m-%d %H:%M:%S %Z");
        if let Some(checked) = &self.checked {
            line(format!(
                "{}  {}, {}, at {at}",
                styled(GREEN, "authentic"),
                self.provider,
                checked.assurance
            ))?;
            line(match checked.is_question {
                true => "  it is a question of the provider, answered and not stored".to_owned(),
                false => format!("  it becomes {} with id {}", checked.r#type, safe(&checked.id, 120)),
            })?;
            return Ok(());
        }
        let (reason, detail) = (self.reason.unwrap_or_default(), self.detail.as_deref().unwrap_or_default());
        line(format!("{}  {detail}", styled(RED, format!("rejected: {reason}"))))?;
        match self.cause {
            Some(cause) => line(format!("  because   {}\n  so        {}", cause.what, cause.advice))?,
            None => line(format!("  so        {}", self.advice.unwrap_or_default()))?,
        }
        let names: Vec<&str> = request.headers.keys().map(HeaderName::as_str).collect();
        let names = if names.is_empty() { "none".into() } else { names.join(", ") };
        line(format!("  checked   {} bytes of body at {at}; headers: {names}", request.body.len()))?;
        Ok(())
    }
}

/// The provider's secret: out of a keys file, or alone in its file.
fn keys(file: &Path, entry: &Entry) -> Result<Value, CommandError> {
    let text = fs::read(file).map_err(|error| KeysFileError::Io { file: file.to_owned(), error })?;
    let json: Value = serde_json::from_slice(&text).map_err(|error| KeysFileError::Json {
        file: file.to_owned(),
        line: error.line(),
        column: error.column(),
    })?;
    let is_keys_file =
        json.as_object().is_some_and(|object| object.keys().any(|name| Entry::named(name).is_some()));
    if !is_keys_file {
        return Ok(json);
    }
    let keys = KeysFile::from_json(&json);
    let keys = keys.map_err(|error| KeysFileError::Shape { file: file.to_owned(), error })?;
    Ok(keys.secret(entry))
}
