//! `livehooks verify`: checks a captured request offline and explains a rejection.

mod diagnose;
mod json_forms;
mod request;
mod undo;

use std::fs;
use std::path::{Path, PathBuf};

use axum::http::HeaderName;
use jiff::Timestamp;
use livehooks_signing::{Checked, ProviderInfo};
use serde::Serialize;
use serde_json::Value;

use super::Moment;
use super::options::provider;
use crate::error::{CommandError, Ending};
use crate::keys_file::{KeysFile, KeysFileError};
use crate::providers::name_choices;
use crate::terminal::{GREEN, RED, line, local, safe, styled};
use diagnose::Cause;
use request::Request;

/// The arguments of `verify`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks verify --provider livekit --keys .livehooks/keys.json request.http
  cargo livehooks verify --provider livekit --keys secret.json --now 2026-01-31T22:00:05Z request.http
  aws secretsmanager get-secret-value --secret-id ID --query SecretString --output text >secret.json

request.http contains the request as received: request line, headers, an empty line, and the exact bytes of the body \
(`-` reads standard input). The keys are a keys file of the local stack or the provider's secret alone. The command \
sends nothing and shows no secrets.

Exit status: 0 authentic, 1 rejected, 2 error.")]
pub struct Verify {
    #[arg(long, help = name_choices(), value_parser = provider)]
    provider: String,
    /// The keys to verify with
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// When it was received: 30m, 2h, 7d (ago), or a time [default: now]
    #[arg(long, value_name = "TIME")]
    now: Option<Moment>,
    /// The captured request
    #[arg(value_name = "REQUEST.HTTP")]
    request: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The result of a check.
#[derive(Serialize)]
struct Report<'a> {
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
    /// Checks the request.
    ///
    /// # Errors
    /// If the request or the keys cannot be read.
    pub fn run(self) -> Result<Ending, CommandError> {
        let provider = ProviderInfo::named(&self.provider).ok_or_else(|| CommandError::Usage {
            option: "--provider",
            expected: "a provider".into(),
            found: self.provider.clone(),
            advice: "",
        })?;
        let keys = keys(&self.keys, provider)?;
        let request = Request::read(&self.request)?;
        let now = self.now.as_ref().map_or_else(Timestamp::now, |now| now.time);
        let shape = |error| KeysFileError::Shape { file: self.keys.clone(), error };
        let result = (provider.verify)(&keys, &request.delivery(), now).map_err(shape)?;
        let (rejection, cause) = match &result {
            Ok(_) => (None, None),
            Err(rejection) => (Some(rejection), diagnose::cause(provider, &keys, &request, now, rejection)),
        };
        let report = Report {
            is_authentic: rejection.is_none(),
            provider: provider.name,
            checked: result.as_ref().ok().cloned(),
            reason: rejection.map(|rejection| rejection.code()),
            detail: rejection.map(ToString::to_string),
            advice: rejection.map(|rejection| rejection.advice()),
            cause: cause.as_ref(),
        };
        match self.json {
            true => line(serde_json::to_string(&report).unwrap_or_default())?,
            false => report.print(&request, now)?,
        }
        Ok(if report.is_authentic { Ending::Fine } else { Ending::No })
    }
}

impl Report<'_> {
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
                true => "  answered as a question of the provider, and not stored".to_owned(),
                false => format!("  stored as {} with id {}", checked.r#type, safe(&checked.id, 120)),
            })?;
            return Ok(());
        }
        let (reason, detail) = (self.reason.unwrap_or_default(), self.detail.as_deref().unwrap_or_default());
        line(format!("{}  {detail}", styled(RED, format!("rejected: {reason}"))))?;
        match self.cause {
            Some(cause) => line(format!("  cause     {}\n  advice    {}", cause.what, cause.advice))?,
            None => line(format!("  advice    {}", self.advice.unwrap_or_default()))?,
        }
        let names: Vec<&str> = request.headers.keys().map(HeaderName::as_str).collect();
        let names = if names.is_empty() { "none".into() } else { names.join(", ") };
        line(format!("  checked   {} bytes of body at {at}; headers: {names}", request.body.len()))?;
        Ok(())
    }
}

/// Reads the provider's secret from a keys file, or from a file that contains only the secret.
fn keys(file: &Path, provider: &ProviderInfo) -> Result<Value, CommandError> {
    let text = fs::read(file).map_err(|error| KeysFileError::Io { file: file.to_owned(), error })?;
    let json: Value = serde_json::from_slice(&text).map_err(|error| KeysFileError::Json {
        file: file.to_owned(),
        line: error.line(),
        column: error.column(),
    })?;
    let is_keys_file =
        json.as_object().is_some_and(|object| object.keys().any(|name| ProviderInfo::named(name).is_some()));
    if !is_keys_file {
        return Ok(json);
    }
    let keys = KeysFile::from_json(&json);
    let keys = keys.map_err(|error| KeysFileError::Shape { file: file.to_owned(), error })?;
    Ok(keys.secret(provider))
}
