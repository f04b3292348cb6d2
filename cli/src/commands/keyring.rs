//! The keys in a provider's secret, in any of its shapes: arrays of strings, headers with values, secrets by API key.

use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::error::CommandError;

/// The recommended length of a secret.
const SECRET_BYTES: usize = 32;

/// What can be shown of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) field: String,
    /// The API key, or the header's name.
    pub(super) label: Option<String>,
    /// The first bytes of its SHA-256.
    pub(super) fingerprint: String,
}

/// All keys, in the secret's order.
pub(super) fn list(secret: &Value) -> Vec<Key> {
    let mut keys = Vec::new();
    visit(secret, &mut |field, label, value| keys.push(key(field, label, value)));
    keys
}

/// The field to add a key to: the named one, or the only one.
///
/// # Errors
/// If the provider's secret has no such field, or several and none is named.
pub(super) fn field(fields: &[String], named: Option<&str>) -> Result<String, CommandError> {
    let expected = || match fields {
        [only] => only.clone(),
        _ => format!("one of {}", fields.join(", ")),
    };
    match (named, fields) {
        (None, [only]) => Ok(only.clone()),
        (Some(named), _) if fields.iter().any(|field| field == named) => Ok(named.to_owned()),
        _ => Err(usage("--field", expected(), named.unwrap_or_default())),
    }
}

/// Adds a key to an array of strings, a header's values or the API keys.
///
/// # Errors
/// If `label` is missing or does not match the secret, or the key exists.
pub(super) fn add(
    secret: &mut Value,
    field: &str,
    label: Option<&str>,
    value: &str,
) -> Result<(), CommandError> {
    let label = label.unwrap_or_default();
    insert(secret, field, label, value).map_err(|expected| usage("--label", expected.into(), label))
}

fn insert(secret: &mut Value, field: &str, label: &str, value: &str) -> Result<(), &'static str> {
    let object = secret.as_object_mut().ok_or("a secret that is a JSON object")?;
    match field {
        "keys" if label.is_empty() => return Err("the secret's API key"),
        "keys" => {
            let keys = object.entry(field).or_insert_with(|| json!({}));
            let keys = keys.as_object_mut().ok_or("an object of API keys")?;
            if keys.contains_key(label) {
                return Err("a new API key; to replace its secret, retire the old one first");
            }
            keys.insert(label.to_owned(), json!(value));
        }
        "headers" if label.is_empty() => return Err("the name of the secret header"),
        "headers" => {
            let headers = object.entry(field).or_insert_with(|| json!([]));
            let headers = headers.as_array_mut().ok_or("an array of headers")?;
            let is_it = |header: &&mut Value| {
                header["name"].as_str().is_some_and(|found| found.eq_ignore_ascii_case(label))
            };
            match headers.iter_mut().find(is_it).and_then(|header| header.get_mut("values")?.as_array_mut()) {
                Some(values) => push(values, value)?,
                None => headers.push(json!({ "name": label, "values": [value] })),
            }
        }
        _ => {
            let list = object.entry(field).or_insert_with(|| json!([]));
            push(list.as_array_mut().ok_or("an array of strings")?, value)?;
        }
    }
    Ok(())
}

fn push(values: &mut Vec<Value>, value: &str) -> Result<(), &'static str> {
    if values.iter().any(|found| found == value) {
        return Err("a key that is not in use yet");
    }
    values.push(json!(value));
    Ok(())
}

/// A warning if a secret is shorter than HMAC-SHA256's output: then it may be the weakest part of the scheme.
pub(super) fn shortness(field: &str, value: &str) -> Option<String> {
    let bytes = value.len();
    (field != "public_keys" && bytes < SECRET_BYTES).then(|| {
        format!(
            "the secret has {bytes} bytes; use at least {SECRET_BYTES} random ones (openssl rand -hex 32)"
        )
    })
}

/// Removes the key with this fingerprint or unambiguous prefix.
///
/// # Errors
/// If not exactly one key has it.
pub(super) fn retire(secret: &mut Value, fingerprint: &str) -> Result<(), CommandError> {
    const DIGITS_MIN: usize = 6;
    let is_it = |found: &str| fingerprint.len() >= DIGITS_MIN && found.starts_with(fingerprint);
    let all = list(secret);
    match all.iter().filter(|key| is_it(&key.fingerprint)).count() {
        1 => {}
        0 => {
            let all: Vec<_> = all.iter().map(|key| key.fingerprint.as_str()).collect();
            return Err(usage("FINGERPRINT", format!("one of {}", all.join(", ")), fingerprint));
        }
        _ => {
            let expected = "more digits: several keys have this prefix".into();
            return Err(usage("FINGERPRINT", expected, fingerprint));
        }
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

fn usage(option: &'static str, expected: String, found: &str) -> CommandError {
    CommandError::Usage { option, expected, found: found.into(), advice: "" }
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
        add(&mut secret, "keys", Some("b"), "2").unwrap();
        assert_eq!(secret, json!({ "keys": { "a": "1", "b": "2" } }));
        assert!(add(&mut secret, "keys", Some("b"), "3").unwrap_err().to_string().contains("retire"));
        assert!(add(&mut secret, "keys", None, "3").unwrap_err().to_string().contains("--label"));
        retire(&mut secret, &fingerprint_of("1")).unwrap();
        assert_eq!(secret, json!({ "keys": { "b": "2" } }));

        let mut secret = json!({ "headers": [{ "name": "X-S", "values": ["1"] }] });
        add(&mut secret, "headers", Some("x-s"), "2").unwrap();
        add(&mut secret, "signing_secrets", None, "3").unwrap();
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
    fn a_field_is_named_unless_there_is_only_one() {
        for provider in livehooks_signing::PROVIDERS {
            let fields = provider.fields();
            let of = |named| field(&fields, named).map_err(|error| error.to_string());
            let only = (fields.len() == 1).then(|| fields[0].clone());
            assert_eq!(of(None).ok(), only, "{}", provider.name);
            assert_eq!(of(Some(&fields[0])), Ok(fields[0].clone()));
            let error = of(Some("nope")).unwrap_err();
            assert!(
                error.starts_with("--field: expected ") && error.ends_with(", found \"nope\""),
                "{error}"
            );
            assert!(fields.iter().all(|field| error.contains(field.as_str())), "{error}");
        }
    }

    #[test]
    fn a_fingerprint_identifies_one_key_and_reveals_none() {
        let mut secret = json!({ "url_tokens": ["hunter2"] });
        let fingerprint = list(&secret)[0].fingerprint.clone();
        assert_eq!(fingerprint.len(), 12);
        assert!(retire(&mut secret, &fingerprint[..5]).is_err());
        assert!(retire(&mut secret, "ffffffffffff").unwrap_err().to_string().contains(&fingerprint));
        assert_eq!(secret, json!({ "url_tokens": ["hunter2"] }));
    }
}
