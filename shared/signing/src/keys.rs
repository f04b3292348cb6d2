//! Keys, as a keys file and a provider's secret hold them.

use livehooks_core::Keys;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Signer;

/// Adds keys to a secret, so that both sets count: arrays are joined, and so are objects.
pub fn merge_keys(secret: &mut Value, more: &Value) {
    match (secret, more) {
        (Value::Object(there), Value::Object(more)) => {
            for (name, value) in more {
                match there.get_mut(name) {
                    Some(there) => merge_keys(there, value),
                    None => drop(there.insert(name.clone(), value.clone())),
                }
            }
        }
        (Value::Array(there), Value::Array(more)) => {
            for value in more {
                if !there.contains(value) {
                    there.push(value.clone());
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

/// A secret for development.
pub(crate) fn secret() -> String {
    format!("dev-{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// The same API keys with other secrets.
pub(crate) fn other_secrets(keys: &Value) -> Value {
    let names = keys["keys"].as_object().into_iter().flat_map(|keys| keys.keys());
    json!({ "keys": names.map(|name| (name.clone(), json!("another secret"))).collect::<Value>() })
}
