//! Stores a provider's keys in Secrets Manager or a keys file. Neither is overwritten if it has changed since it was
//! read.

use std::fs;
use std::path::PathBuf;

use aws_sdk_secretsmanager::Client;
use livehooks_aws::describe;
use livehooks_signing::ProviderInfo;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::CommandError;
use crate::history::{HistoryError, Source};
use crate::keys_file::KeysFileError;

/// Where the keys are stored.
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

/// A secret and the version that was read.
pub(super) struct Loaded {
    pub(super) secret: Value,
    version: Version,
}

enum Version {
    Text(Vec<u8>),
    Id(String),
}

impl KeysStore {
    /// The provider's secret in a deployed stack.
    pub(super) fn of_stack(source: &Source, provider: &ProviderInfo) -> Result<Self, CommandError> {
        let output = provider.function.replace("Function", "SecretId");
        let stack = source.stack.as_ref();
        let id = stack.and_then(|stack| stack.outputs.get(&output)).cloned();
        let id = id.ok_or_else(|| HistoryError::NoSecret {
            name: stack.map_or_else(String::new, |stack| stack.name.clone()),
            provider: provider.name,
        })?;
        Ok(Self::Secret { client: Client::new(&source.sdk), id })
    }

    pub(super) async fn read(&self, provider: &ProviderInfo) -> Result<Loaded, CommandError> {
        match self {
            Self::File(file) => {
                let text = fs::read(file).map_err(|error| KeysFileError::Io { file: file.clone(), error })?;
                let keys = self.parse(&text)?;
                let secret = keys.get(provider.name).cloned().unwrap_or_else(|| json!({}));
                Ok(Loaded { secret, version: Version::Text(text) })
            }
            Self::Secret { client, id } => {
                let answer = client.get_secret_value().secret_id(id).send().await;
                let answer = answer.map_err(|error| stopped("reading the secret", describe(&error)))?;
                let secret = self.parse(answer.secret_string().unwrap_or_default().as_bytes())?;
                Ok(Loaded { secret, version: Version::Id(answer.version_id.unwrap_or_default()) })
            }
        }
    }

    pub(super) async fn write(
        &self,
        provider: &ProviderInfo,
        loaded: &Loaded,
        secret: &Value,
    ) -> Result<(), CommandError> {
        match (self, &loaded.version) {
            (Self::File(file), Version::Text(text)) => self.replace(file, text, provider, secret),
            (Self::Secret { client, id }, Version::Id(version)) => swap(client, id, version, secret).await,
            _ => Ok(()),
        }
    }

    fn replace(
        &self,
        file: &PathBuf,
        text: &[u8],
        provider: &ProviderInfo,
        secret: &Value,
    ) -> Result<(), CommandError> {
        let failed = |error| CommandError::from(KeysFileError::Io { file: file.clone(), error });
        let mut keys = self.parse(text)?;
        keys[provider.name] = secret.clone();
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        // A temporary file is readable by its owner only, as the keys file must be.
        let mut new = tempfile::NamedTempFile::new_in(folder.unwrap_or(".".as_ref())).map_err(failed)?;
        serde_json::to_writer_pretty(&mut new, &keys).map_err(|error| failed(error.into()))?;
        if fs::read(file).map_err(failed)? != text {
            return Err(changed());
        }
        new.persist(file).map(drop).map_err(|error| failed(error.error))
    }

    /// Reports only the position of an error, because serde_json's messages quote the content.
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

/// Writes a new version under a temporary stage, then makes it current if the version that was read still is.
async fn swap(client: &Client, id: &str, version: &str, secret: &Value) -> Result<(), CommandError> {
    let token = Uuid::new_v4().to_string();
    let temporary = format!("livehooks-{token}");
    let put = client.put_secret_value().secret_id(id).client_request_token(&token);
    let put = put.secret_string(secret.to_string()).version_stages(&temporary).send().await;
    put.map_err(|error| stopped("writing the secret", describe(&error)))?;
    let stage = || client.update_secret_version_stage().secret_id(id);
    let current =
        stage().version_stage("AWSCURRENT").move_to_version_id(&token).remove_from_version_id(version);
    let swapped = current.send().await;
    // Without its temporary stage the version is either current or deprecated.
    let _ = stage().version_stage(&temporary).remove_from_version_id(&token).send().await;
    swapped.map(drop).map_err(|error| {
        use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
        match error.code() {
            Some("InvalidParameterException" | "InvalidRequestException") => changed(),
            _ => stopped("making the new keys current", describe(&error)),
        }
    })
}

fn changed() -> CommandError {
    stopped("the change", "the keys were changed by someone else in the meantime".into())
}

fn stopped(what: &'static str, why: String) -> CommandError {
    let advice = "check the keys with `cargo livehooks keys show`, then run the command again".into();
    CommandError::Stopped { what, why, advice }
}
