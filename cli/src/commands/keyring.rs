//! The keys in a provider's secret, whatever its shape: lists of texts, headers with values, secrets by API key.

use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::providers::Entry;

/// One key, by what may be shown of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) field: String,
    /// The API key, or the header's name.
    pub(super) label: Option<String>,
    /// The first bytes of its SHA-256.
    pub(super) fingerprint: String,
}

/// The secret without what only senders need.
pub(super) fn public(entry: &Entry, secret: &Value) -> Value {
    let mut public = secret.clone();
    if let Some(object) = public.as_object_mut() {
        object.retain(|name, _| !entry.private_fields.contains(&name.as_str()));
    }
    public
}

/// All keys, in the secret's order.
pub(super) fn list(secret: &Value) -> Vec<Key> {
    let mut keys = Vec::new();
    visit(secret, &mut |field, label, value| keys.push(key(field, label, value)));
    keys
}

/// Adds a key to a list of texts, a header's values or the API keys.
pub(super) fn add(
    secret: &mut Value,
    field: Option<&str>,
    label: Option<&str>,
    value: &str,
) -> Result<(), String> {
    let Some(object) = secret.as_object_mut() else { return Err("a secret that is a JSON object".into()) };
    let field = match field {
        Some(field) => field.to_owned(),
        None if object.contains_key("keys") => "keys".to_owned(),
        None => return Err("--field, one of signing_secrets, headers, public_keys, url_tokens".into()),
    };
    let labelled = || label.filter(|label| !label.is_empty()).map(str::to_owned);
    match field.as_str() {
        "keys" => {
            let api_key = labelled().ok_or("--label with the API key that the secret belongs to")?;
            let keys = object.entry(field).or_insert_with(|| json!({}));
            let keys = keys.as_object_mut().ok_or("an object of API keys")?;
            if keys.contains_key(&api_key) {
                return Err("an API key that is not there yet; retire the old secret first".into());
            }
            keys.insert(api_key, json!(value));
        }
        "headers" => {
            let name = labelled().ok_or("--label with the name of the secret header")?;
            let headers = object.entry(field).or_insert_with(|| json!([]));
            let headers = headers.as_array_mut().ok_or("a list of headers")?;
            let is_it = |header: &&mut Value| {
                header["name"].as_str().is_some_and(|found| found.eq_ignore_ascii_case(&name))
            };
            match headers.iter_mut().find(is_it).and_then(|header| header.get_mut("values")?.as_array_mut()) {
                Some(values) => push(values, value)?,
                None => headers.push(json!({ "name": name, "values": [value] })),
            }
        }
        _ => {
            let list = object.entry(field).or_insert_with(|| json!([]));
            push(list.as_array_mut().ok_or("a list of texts")?, value)?;
        }
    }
    Ok(())
}

fn push(values: &mut Vec<Value>, value: &str) -> Result<(), String> {
    if values.iter().any(|found| found == value) {
        return Err("a key that is not there yet".into());
    }
    values.push(json!(value));
    Ok(())
}

/// Takes out the one key with this fingerprint, or whose fingerprint begins like this.
pub(super) fn retire(secret: &mut Value, fingerprint: &str) -> Result<(), String> {
    const DIGITS_MIN: usize = 6;
    let is_it = |found: &str| fingerprint.len() >= DIGITS_MIN && found.starts_with(fingerprint);
    let all = list(secret);
    match all.iter().filter(|key| is_it(&key.fingerprint)).count() {
        1 => {}
        0 => {
            let all: Vec<_> = all.iter().map(|key| key.fingerprint.as_str()).collect();
            return Err(format!("one of {}", all.join(", ")));
        }
        _ => return Err("the fingerprint of one key; give more of it".into()),
    }
    let is_kept = |value: &Value| !value.as_str().is_some_and(|value| is_it(&fingerprint_of(value)));
    let Some(object) = secret.as_object_mut() else { return Ok(()) };
    for value in object.values_mut() {
        match value {
            Value::Object(keys) => keys.retain(|_, value| is_kept(value)),
            Value::Array(values) => {
                for values in values.iter_mut().filter_map(|header| header.get_mut("values")?.as_array_mut())
                {
                    values.retain(is_kept);
                }
                values.retain(|value| is_kept(value) && value["values"] != json!([]));
            }
            _ => {}
        }
    }
    object.retain(|name, value| name == "keys" || *value != json!([]));
    Ok(())
}

fn visit(secret: &Value, each: &mut dyn FnMut(&str, Option<&str>, &str)) {
    let empty = Map::new();
    for (field, value) in secret.as_object().unwrap_or(&empty) {
        match value {
            Value::Object(keys) => {
                let keys = keys.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
                keys.for_each(|(name, value)| each(field, Some(name), value));
            }
            Value::Array(values) => {
                for value in values {
                    if let Some(text) = value.as_str() {
                        each(field, None, text);
                    }
                    let of_header = value["values"].as_array().into_iter().flatten();
                    of_header
                        .filter_map(Value::as_str)
                        .for_each(|text| each(field, value["name"].as_str(), text));
                }
            }
            _ => {}
        }
    }
}

fn key(field: &str, label: Option<&str>, value: &str) -> Key {
    Key { field: field.into(), label: label.map(str::to_owned), fingerprint: fingerprint_of(value) }
}

fn fingerprint_of(value: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(value)[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(secret: &Value) -> Vec<(String, Option<String>)> {
        list(secret).into_iter().map(|key| (key.field, key.label)).collect()
    }

    #[test]
    fn keys_of_every_shape_are_added_and_retired() {
        let mut secret = json!({ "keys": { "a": "1" } });
        add(&mut secret, None, Some("b"), "2").unwrap();
        assert_eq!(secret, json!({ "keys": { "a": "1", "b": "2" } }));
        assert!(add(&mut secret, None, Some("b"), "3").unwrap_err().contains("retire"));
        assert!(add(&mut secret, None, None, "3").unwrap_err().contains("--label"));
        retire(&mut secret, &fingerprint_of("1")).unwrap();
        assert_eq!(secret, json!({ "keys": { "b": "2" } }));

        let mut secret = json!({ "headers": [{ "name": "X-S", "values": ["1"] }] });
        add(&mut secret, Some("headers"), Some("x-s"), "2").unwrap();
        add(&mut secret, Some("signing_secrets"), None, "3").unwrap();
        assert_eq!(
            secret,
            json!({ "headers": [{ "name": "X-S", "values": ["1", "2"] }], "signing_secrets": ["3"] })
        );
        let header = || ("headers".to_owned(), Some("X-S".to_owned()));
        assert_eq!(shown(&secret), [header(), header(), ("signing_secrets".to_owned(), None)]);
        for value in ["1", "2"] {
            retire(&mut secret, &fingerprint_of(value)).unwrap();
        }
        assert_eq!(secret, json!({ "signing_secrets": ["3"] }));
    }

    #[test]
    fn a_fingerprint_names_one_key_and_shows_none() {
        let mut secret = json!({ "url_tokens": ["hunter2"] });
        let fingerprint = list(&secret)[0].fingerprint.clone();
        assert_eq!(fingerprint.len(), 12);
        assert!(retire(&mut secret, &fingerprint[..5]).is_err());
        assert!(retire(&mut secret, "ffffffffffff").unwrap_err().contains(&fingerprint));
        assert_eq!(secret, json!({ "url_tokens": ["hunter2"] }));
    }
}
