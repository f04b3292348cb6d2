//! The keys file of the local stack: every provider's secret in one JSON object.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use livehooks_core::KeysError;
use serde_json::{Map, Value};

use crate::local::private;
use crate::providers::{ALL, Entry};

/// The keys of all providers, checked.
#[derive(Clone)]
pub struct KeysFile(BTreeMap<&'static str, Value>);

/// Why a keys file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysFileError {
    /// It cannot be read or written.
    #[error("keys file {}: {error}\n  expected a readable file; write one, or leave --keys out to have one made", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is not JSON.
    #[error("keys file {}: expected JSON, found none at line {line} column {column}", .file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// Where it stops being JSON.
        line: usize,
        /// Where it stops being JSON.
        column: usize,
    },
    /// A field is not as it should be.
    #[error("keys file {}: {error}", .file.display())]
    Shape {
        /// The file.
        file: PathBuf,
        /// The field, what was expected and what was found.
        error: KeysError,
    },
}

impl KeysFile {
    /// Reads a keys file, checking each provider's part.
    ///
    /// # Errors
    /// Names the file, the field, what was expected and what was found; never a value.
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
        let names: Vec<&str> = ALL.iter().map(|entry| entry.name).collect();
        let expected = || format!("an object of providers ({})", names.join(", "));
        let wrong = |found: String| KeysError::new(".", expected(), found);
        let object = json.as_object().ok_or_else(|| wrong("another kind of JSON".into()))?;
        let mut keys = BTreeMap::new();
        for (name, secret) in object {
            let entry = Entry::named(name).ok_or_else(|| wrong(format!("{name:?}")))?;
            let within = |error: KeysError| KeysError { field: within(name, &error.field), ..error };
            (entry.check_keys)(&public(entry, secret)).map_err(within)?;
            keys.insert(entry.name, secret.clone());
        }
        Ok(Self(keys))
    }

    /// New keys for every provider.
    pub fn make() -> Self {
        Self(ALL.iter().map(|entry| (entry.name, (entry.make_keys)())).collect())
    }

    /// Reads the file, or makes one that only its owner can read.
    ///
    /// # Errors
    /// As [`KeysFile::read`]; a file that is there is never overwritten.
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

    /// What a provider's function verifies with; `null` where the file has nothing for it.
    pub fn secret(&self, entry: &Entry) -> Value {
        self.0.get(entry.name).map_or(Value::Null, |secret| public(entry, secret))
    }

    /// What is weak about the keys, by provider.
    pub fn weaknesses(&self) -> Vec<String> {
        let weakness = |entry: &Entry| {
            let weakness = (entry.check_keys)(&self.secret(entry)).ok().flatten()?;
            Some(format!("{}: {weakness}", entry.name))
        };
        ALL.iter().filter_map(weakness).collect()
    }

    /// What a sender signs with.
    pub fn signing(&self, entry: &Entry) -> Option<&Value> {
        self.0.get(entry.name)
    }
}

fn public(entry: &Entry, secret: &Value) -> Value {
    let keep = |object: &Map<String, Value>| {
        let fields = object.iter().filter(|(name, _)| !entry.private_fields.contains(&name.as_str()));
        fields.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    secret.as_object().map_or_else(|| secret.clone(), |object| Value::Object(keep(object)))
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
    fn what_is_wrong_is_named_by_its_path_and_never_by_its_value() {
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
    fn made_keys_are_read_back_and_the_private_key_stays_with_the_sender() {
        let made = KeysFile::make();
        let read = KeysFile::from_json(&serde_json::to_value(&made.0).unwrap()).unwrap();
        let videosdk = Entry::named("videosdk").unwrap();
        assert!(read.secret(videosdk).get("private_key").is_none());
        assert!(read.signing(videosdk).unwrap().get("private_key").is_some());
    }

    #[cfg(unix)]
    #[test]
    fn a_made_file_is_for_its_owner_alone_and_stays_the_same() {
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
