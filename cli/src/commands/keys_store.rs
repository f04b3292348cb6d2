//! Where a provider's keys are kept: Secrets Manager, or a keys file. Neither is overwritten where it has changed
//! since it was read.

use std::fs;
use std::path::PathBuf;

use aws_sdk_secretsmanager::Client;
use livehooks_aws::describe;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::CommandError;
use crate::history::{HistoryError, Source};
use crate::keys_file::KeysFileError;
use crate::providers::Entry;

/// Where the keys are.
pub(super) enum KeysStore {
    /// A keys file of the local stack.
    File(PathBuf),
    /// A secret of a deployed stack.
    Secret {
        /// Secrets Manager.
        client: Client,
        /// The secret's ARN.
        id: String,
    },
}

/// What was read, and which version it was.
pub(super) struct Held {
    pub(super) secret: Value,
    version: Version,
}

enum Version {
    Text(Vec<u8>),
    Id(String),
}

impl KeysStore {
    /// The provider's secret in a deployed stack.
    pub(super) fn of_stack(source: &Source, entry: &Entry) -> Result<Self, CommandError> {
        let output = entry.function.replace("Function", "SecretId");
        let stack = source.stack.as_ref();
        let id = stack.and_then(|stack| stack.outputs.get(&output)).cloned();
        let id = id.ok_or_else(|| HistoryError::NoSecret {
            name: stack.map_or_else(String::new, |stack| stack.name.clone()),
            provider: entry.name,
        })?;
        Ok(Self::Secret { client: Client::new(&source.sdk), id })
    }

    pub(super) async fn read(&self, entry: &Entry) -> Result<Held, CommandError> {
        match self {
            Self::File(file) => {
                let text = fs::read(file).map_err(|error| KeysFileError::Io { file: file.clone(), error })?;
                let whole = self.parse(&text)?;
                let secret = whole.get(entry.name).cloned().unwrap_or_else(|| json!({}));
                Ok(Held { secret, version: Version::Text(text) })
            }
            Self::Secret { client, id } => {
                let answer = client.get_secret_value().secret_id(id).send().await;
                let answer = answer.map_err(|error| stopped("reading the secret", describe(&error)))?;
                let secret = self.parse(answer.secret_string().unwrap_or_default().as_bytes())?;
                Ok(Held { secret, version: Version::Id(answer.version_id.unwrap_or_default()) })
            }
        }
    }

    pub(super) async fn write(&self, entry: &Entry, held: &Held, secret: &Value) -> Result<(), CommandError> {
        match (self, &held.version) {
            (Self::File(file), Version::Text(text)) => self.replace(file, text, entry, secret),
            (Self::Secret { client, id }, Version::Id(version)) => swap(client, id, version, secret).await,
            _ => Ok(()),
        }
    }

    fn replace(
        &self,
        file: &PathBuf,
        text: &[u8],
        entry: &Entry,
        secret: &Value,
    ) -> Result<(), CommandError> {
        let failed = |error| CommandError::from(KeysFileError::Io { file: file.clone(), error });
        let mut whole = self.parse(text)?;
        whole[entry.name] = secret.clone();
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        // A temporary file is its owner's alone, as the keys file has to be.
        let mut new = tempfile::NamedTempFile::new_in(folder.unwrap_or(".".as_ref())).map_err(failed)?;
        serde_json::to_writer_pretty(&mut new, &whole).map_err(|error| failed(error.into()))?;
        if fs::read(file).map_err(failed)? != text {
            return Err(changed());
        }
        new.persist(file).map(drop).map_err(|error| failed(error.error))
    }

    /// serde_json's own messages quote what they stumble over: only the position is reported.
    fn parse(&self, text: &[u8]) -> Result<Value, CommandError> {
        let file = match self {
            Self::File(file) => file.clone(),
            Self::Secret { id, .. } => id.into(),
        };
        let parsed = serde_json::from_slice::<Value>(text);
        let json = parsed.map_err(|error| KeysFileError::Json {
            file: file.clone(),
            line: error.line(),
            column: error.column(),
        })?;
        match json.is_object() {
            true => Ok(json),
            false => Err(KeysFileError::Json { file, line: 1, column: 1 }.into()),
        }
    }
}

/// Writes a new version aside, then makes it the current one, provided that the one that was read still is.
async fn swap(client: &Client, id: &str, version: &str, secret: &Value) -> Result<(), CommandError> {
    let token = Uuid::new_v4().to_string();
    let aside = format!("livehooks-{token}");
    let put = client.put_secret_value().secret_id(id).client_request_token(&token);
    let put = put.secret_string(secret.to_string()).version_stages(&aside).send().await;
    put.map_err(|error| stopped("writing the secret", describe(&error)))?;
    let stage = || client.update_secret_version_stage().secret_id(id);
    let current =
        stage().version_stage("AWSCURRENT").move_to_version_id(&token).remove_from_version_id(version);
    let swapped = current.send().await;
    // Without a stage the version is deprecated, or the current one under its proper name.
    let _ = stage().version_stage(&aside).remove_from_version_id(&token).send().await;
    swapped.map(drop).map_err(|error| {
        use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
        match error.code() {
            Some("InvalidParameterException" | "InvalidRequestException") => changed(),
            _ => stopped("making the new keys current", describe(&error)),
        }
    })
}

fn changed() -> CommandError {
    stopped("nothing was changed: it", "somebody else has changed the keys meanwhile".into())
}

fn stopped(what: &'static str, why: String) -> CommandError {
    let advice = "look at the keys with `keys show`, then run the same command again".into();
    CommandError::Stopped { what, why, advice }
}
