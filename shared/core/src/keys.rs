//! Reading a provider's secret: strict, and without ever repeating a value.

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
    /// Names the first field that is not as it should be, what was expected and what was found.
    fn from_json(secret: &Value) -> Result<Self, KeysError>;

    /// Why a key protects nothing though it is well-formed: published, or short enough to be guessed. It counts all
    /// the same. Names the field, never a value.
    fn weakness(&self) -> Option<&str>;
}

/// A provider's secret has not the shape it should have: our fault, never the sender's.
///
/// Says what kind of value was found, never the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field {field}: expected {expected}, found {found}")]
pub struct KeysError {
    /// The path of the field, `.` for the whole.
    pub field: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// Whether nobody has put keys in yet: the secret is as a new stack makes it.
    pub is_placeholder: bool,
}

impl KeysError {
    /// A field that holds something else than it should.
    pub fn new(field: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { field: field.into(), expected: expected.into(), found: found.into(), is_placeholder: false }
    }

    pub(crate) fn placeholder(field: &str, expected: &str) -> Self {
        Self { is_placeholder: true, ..Self::new(field, expected, "none") }
    }
}

/// The secret as an object that has no other fields than these.
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

/// The texts of a list; an absent list is empty.
pub(crate) fn texts<'a>(
    at: &str,
    object: &'a Map<String, Value>,
    name: &str,
) -> Result<Vec<&'a str>, KeysError> {
    let at = if at == "." { name.to_owned() } else { format!("{at}.{name}") };
    match object.get(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) => {
            values.iter().enumerate().map(|(i, value)| text(&format!("{at}[{i}]"), value)).collect()
        }
        Some(other) => Err(KeysError::new(at, "a list of texts", kind(other))),
    }
}

/// A text that is not empty.
pub(crate) fn text<'a>(at: &str, value: &'a Value) -> Result<&'a str, KeysError> {
    match value {
        Value::String(text) if text.trim().is_empty() => Err(KeysError::new(at, "a text", "an empty text")),
        Value::String(text) => Ok(text),
        other => Err(KeysError::new(at, "a text", kind(other))),
    }
}

/// A secret to sign with, set up once for all deliveries.
pub(crate) fn hmac(at: &str, secret: &str) -> Result<Hmac<Sha256>, KeysError> {
    let other = |_| KeysError::new(at, "a key for HMAC-SHA256", format!("a text of {} bytes", secret.len()));
    Hmac::new_from_slice(secret.as_bytes()).map_err(other)
}

/// The name of a value's kind, for messages that must not repeat the value.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
