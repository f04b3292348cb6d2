//! Keys as JSON, in keys files and in providers' secrets.

use livehooks_core::Keys;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Signer;

/// Adds keys to a secret, so that both sets are valid: arrays and objects are merged.
pub fn merge_keys(secret: &mut Value, more: &Value) {
    match (secret, more) {
        (Value::Object(fields), Value::Object(more)) => {
            for (name, value) in more {
                match fields.get_mut(name) {
                    Some(field) => merge_keys(field, value),
                    None => drop(fields.insert(name.clone(), value.clone())),
                }
            }
        }
        (Value::Array(values), Value::Array(more)) => {
            for value in more {
                if !values.contains(value) {
                    values.push(value.clone());
                }
            }
        }
        _ => {}
    }
}

/// The keys without these fields.
pub(crate) fn without(keys: &Value, fields: &[&str]) -> Value {
    let mut rest = keys.clone();
    if let Some(object) = rest.as_object_mut() {
        object.retain(|name, _| !fields.contains(&name.as_str()));
    }
    rest
}

/// The keys to verify with.
pub(crate) fn verifying<P: Signer>(keys: &Value) -> Result<P::Keys, livehooks_core::KeysError> {
    P::Keys::from_json(&without(keys, P::PRIVATE_FIELDS))
}

/// Makes a secret for development.
pub(crate) fn secret() -> String {
    format!("dev-{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// The same API keys with other secrets.
pub(crate) fn other_secrets(keys: &Value) -> Value {
    let names = keys["keys"].as_object().into_iter().flat_map(|keys| keys.keys());
    json!({ "keys": names.map(|name| (name.clone(), json!("another secret"))).collect::<Value>() })
}
