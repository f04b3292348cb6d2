//! Reads a provider's secret: strictly, and without ever repeating a value.

use hmac::{Hmac, KeyInit};
use serde_json::{Map, Value};
use sha2::Sha256;

/// The keys of one provider, as its secret holds them.
pub trait Keys: Sized + Send + Sync + 'static {
    /// The secret's shape, for error messages and documentation.
    const SHAPE: &'static str;

    /// Reads the secret.
    ///
    /// # Errors
    /// Names the first invalid field, what was expected and what was found.
    fn from_json(secret: &Value) -> Result<Self, KeysError>;

    /// Why a well-formed key protects nothing: it is published, or short enough to guess. The key works nevertheless.
    /// Names the field, never a value.
    fn weakness(&self) -> Option<&str>;
}

/// A provider's secret has the wrong shape: our fault, never the sender's.
///
/// Names the type of the value found, never the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field {field}: expected {expected}, found {found}")]
pub struct KeysError {
    /// The path of the field, `.` for the secret itself.
    pub field: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// Whether the secret is still the placeholder of a new stack, without keys.
    pub is_placeholder: bool,
}

impl KeysError {
    /// A field that does not hold what it should.
    pub fn new(field: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { field: field.into(), expected: expected.into(), found: found.into(), is_placeholder: false }
    }

    pub(crate) fn placeholder(field: &str, expected: &str) -> Self {
        Self { is_placeholder: true, ..Self::new(field, expected, "none") }
    }
}

/// The secret as an object with no fields but these.
pub(crate) fn object<'a>(
    at: &str,
    value: &'a Value,
    fields: &[&str],
) -> Result<&'a Map<String, Value>, KeysError> {
    let names = || fields.join(", ");
    if value.is_null() {
        return Err(KeysError::placeholder(at, &format!("an object with {}", names())));
    }
    let object = value
        .as_object()
        .ok_or_else(|| KeysError::new(at, format!("an object with {}", names()), kind(value)))?;
    match object.keys().find(|key| !fields.contains(&key.as_str())) {
        Some(other) => Err(KeysError::new(at, format!("only the fields {}", names()), format!("{other:?}"))),
        None => Ok(object),
    }
}

/// The strings of an array; an absent array is empty.
pub(crate) fn strings<'a>(
    at: &str,
    object: &'a Map<String, Value>,
    name: &str,
) -> Result<Vec<&'a str>, KeysError> {
    let at = if at == "." { name.to_owned() } else { format!("{at}.{name}") };
    match object.get(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) => {
            values.iter().enumerate().map(|(i, value)| string(&format!("{at}[{i}]"), value)).collect()
        }
        Some(other) => Err(KeysError::new(at, "an array of strings", kind(other))),
    }
}

/// A non-empty string.
pub(crate) fn string<'a>(at: &str, value: &'a Value) -> Result<&'a str, KeysError> {
    match value {
        Value::String(string) if string.trim().is_empty() => {
            Err(KeysError::new(at, "a string", "an empty string"))
        }
        Value::String(string) => Ok(string),
        other => Err(KeysError::new(at, "a string", kind(other))),
    }
}

/// A signing secret, set up once for all deliveries.
pub(crate) fn hmac(at: &str, secret: &str) -> Result<Hmac<Sha256>, KeysError> {
    let other =
        |_| KeysError::new(at, "a key for HMAC-SHA256", format!("a string of {} bytes", secret.len()));
    Hmac::new_from_slice(secret.as_bytes()).map_err(other)
}

/// The name of a value's type, for messages that must not repeat the value.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
