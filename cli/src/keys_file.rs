//! The keys file of the local stack: every provider's secret in one JSON object.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use livehooks_core::KeysError;
use livehooks_signing::{PROVIDERS, ProviderInfo};
use serde_json::Value;

use crate::local::private;

/// The keys of all providers, checked.
#[derive(Clone)]
pub struct KeysFile(BTreeMap<&'static str, Value>);

/// Why a keys file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysFileError {
    /// It cannot be read or written.
    #[error("keys file {}: {error}\n  check the path, or omit --keys to create a keys file", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// It is not JSON.
    #[error("keys file {}: invalid JSON at line {line} column {column}", .file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// The line of the first invalid character.
        line: usize,
        /// Its column.
        column: usize,
    },
    /// A field is invalid.
    #[error("keys file {}: {error}", .file.display())]
    Shape {
        /// The file.
        file: PathBuf,
        /// The field, what was expected, and what was found.
        error: KeysError,
    },
}

impl KeysFile {
    /// Reads a keys file and checks each provider's keys.
    ///
    /// # Errors
    /// Names the file, the field, what was expected and what was found, but never a value.
    pub fn read(file: &Path) -> Result<Self, KeysFileError> {
        let io = |error| KeysFileError::Io { file: file.to_owned(), error };
        let text = fs::read_to_string(file).map_err(io)?;
        let json: Value = serde_json::from_str(&text).map_err(|error| KeysFileError::Json {
            file: file.to_owned(),
            line: error.line(),
            column: error.column(),
        })?;
        Self::from_json(&json).map_err(|error| KeysFileError::Shape { file: file.to_owned(), error })
    }

    /// Reads the keys of all providers from one JSON object.
    ///
    /// # Errors
    /// Names the field, what was expected and what was found.
    pub fn from_json(json: &Value) -> Result<Self, KeysError> {
        let names: Vec<&str> = PROVIDERS.iter().map(|provider| provider.name).collect();
        let expected = || format!("an object of providers ({})", names.join(", "));
        let invalid = |found: String| KeysError::new(".", expected(), found);
        let object = json.as_object().ok_or_else(|| invalid("another JSON type".into()))?;
        let mut keys = BTreeMap::new();
        for (name, secret) in object {
            let provider = ProviderInfo::named(name).ok_or_else(|| invalid(format!("{name:?}")))?;
            let within = |error: KeysError| KeysError { field: within(name, &error.field), ..error };
            (provider.check_keys)(&provider.public_keys(secret)).map_err(within)?;
            keys.insert(provider.name, secret.clone());
        }
        Ok(Self(keys))
    }

    /// New keys for every provider.
    pub fn make() -> Self {
        Self(PROVIDERS.iter().map(|provider| (provider.name, (provider.make_keys)())).collect())
    }

    /// Reads the file, or creates one that only its owner can read.
    ///
    /// # Errors
    /// As [`KeysFile::read`]. An existing file is never overwritten.
    pub fn read_or_make(file: &Path) -> Result<Self, KeysFileError> {
        if file.exists() {
            return Self::read(file);
        }
        let keys = Self::make();
        keys.write(file).map_err(|error| KeysFileError::Io { file: file.to_owned(), error })?;
        Ok(keys)
    }

    fn write(&self, file: &Path) -> io::Result<()> {
        if let Some(folder) = file.parent() {
            private::folder(folder)?;
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let text = serde_json::to_string_pretty(&self.0)?;
        options.open(file)?.write_all((text + "\n").as_bytes())
    }

    /// The keys that a provider's function verifies with, or `null` if the file has none.
    pub fn secret(&self, provider: &ProviderInfo) -> Value {
        self.0.get(provider.name).map_or(Value::Null, |secret| provider.public_keys(secret))
    }

    /// Weaknesses of the keys, by provider.
    pub fn weaknesses(&self) -> Vec<String> {
        let weakness = |provider: &ProviderInfo| {
            let weakness = (provider.check_keys)(&self.secret(provider)).ok().flatten()?;
            Some(format!("{}: {weakness}", provider.name))
        };
        PROVIDERS.iter().filter_map(weakness).collect()
    }

    /// The keys that a sender signs with.
    pub fn signing(&self, provider: &ProviderInfo) -> Option<&Value> {
        self.0.get(provider.name)
    }
}

fn within(provider: &str, field: &str) -> String {
    if field == "." { provider.to_owned() } else { format!("{provider}.{field}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(json: Value) -> String {
        KeysFile::from_json(&json).err().unwrap().to_string()
    }

    #[test]
    fn an_error_names_the_field_and_never_its_value() {
        assert_eq!(
            error(json!({ "livekit": { "keys": { "a": 7 } } })),
            "field livekit.keys.a: expected a string, found a number"
        );
        assert_eq!(
            error(json!({ "100ms": { "signing_secret": ["hunter2"] } })),
            "field 100ms: expected only the fields signing_secrets, headers, found \"signing_secret\""
        );
        assert_eq!(
            error(json!({ "videosdk": { "public_keys": ["hunter2"] } })),
            "field videosdk.public_keys[0]: expected an RSA public key of 2048 to 8192 bits in PEM, \
             found a string that is not PEM"
        );
        assert!(error(json!({ "skype": {} })).ends_with("found \"skype\""));
    }

    #[test]
    fn generated_keys_are_valid_and_the_private_key_is_for_signing_only() {
        let made = KeysFile::make();
        let read = KeysFile::from_json(&serde_json::to_value(&made.0).unwrap()).unwrap();
        let videosdk = ProviderInfo::named("videosdk").unwrap();
        assert!(read.secret(videosdk).get("private_key").is_none());
        assert!(read.signing(videosdk).unwrap().get("private_key").is_some());
    }

    #[cfg(unix)]
    #[test]
    fn a_generated_file_is_private_and_is_not_overwritten() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/keys.json");
        KeysFile::read_or_make(&file).unwrap();
        let first = fs::read(&file).unwrap();
        KeysFile::read_or_make(&file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), first);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
