//! Secrets in bodies: stored in the table, never published or shown.
//!
//! LiveKit, say, sends the room's TURN password and the stream key of an ingress. Subscribers need neither.

use std::borrow::Cow;

use crate::json::fields;
use crate::{Provider, for_each_provider};

/// The fields whose values are redacted for every provider, at any depth. A name that is common elsewhere is in
/// [`Provider::SECRET_FIELDS`].
const SECRET_FIELDS: [&str; 4] = ["turnPassword", "turn_password", "streamKey", "stream_key"];

/// The providers' own, by the provider's name.
const PROVIDER_SECRET_FIELDS: &[(&str, &[&str])] =
    &for_each_provider!(P => (<P as Provider>::NAME, <P as Provider>::SECRET_FIELDS));

const REDACTED: &str = "\"[redacted]\"";

/// An event or body of this provider, byte for byte, except for the values of its secret fields.
pub fn redact<'a>(provider: &str, json: &'a str) -> Cow<'a, str> {
    let own =
        PROVIDER_SECRET_FIELDS.iter().find(|(name, _)| *name == provider).map_or(&[][..], |(_, own)| own);
    redact_fields(&[&SECRET_FIELDS, own].concat(), json)
}

fn redact_fields<'a>(names: &[&str], json: &'a str) -> Cow<'a, str> {
    // A letter can be escaped only as \u.
    if !names.iter().any(|name| json.contains(name)) && !json.contains("\\u") {
        return Cow::Borrowed(json);
    }
    let (mut redacted, mut copied) = (String::with_capacity(json.len()), 0);
    for field in fields(json).iter().filter(|field| names.contains(&&*field.name)) {
        // Skip fields inside a value that is already redacted.
        if field.start >= copied {
            redacted += &json[copied..field.start];
            redacted += REDACTED;
            copied = field.end;
        }
    }
    redacted += &json[copied..];
    Cow::Owned(redacted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tests::{escaped, tree};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn the_values_of_secret_fields_are_redacted_and_nothing_else_changes() {
        for (json, expected) in [
            (r#"{"turnPassword":"s\"}e", "a":1}"#, r#"{"turnPassword":"[redacted]", "a":1}"#),
            (r#"{"a":{"streamKey" : {"x":[1,"]"]} ,"b":2}}"#, r#"{"a":{"streamKey" : "[redacted]" ,"b":2}}"#),
            (r#"{"stream_key":7}"#, r#"{"stream_key":"[redacted]"}"#),
            (
                r#"{"stream\u004bey":7,"\u0073\u0074ream_key":8}"#,
                r#"{"stream\u004bey":"[redacted]","\u0073\u0074ream_key":"[redacted]"}"#,
            ),
            (r#"["streamKey", "turnPassword"]"#, r#"["streamKey", "turnPassword"]"#),
            (r#"{"metadata":"{\"streamKey\":\"x\"}"}"#, r#"{"metadata":"{\"streamKey\":\"x\"}"}"#),
        ] {
            assert_eq!(redact("p", json), expected);
        }
    }

    #[test]
    fn a_field_of_one_provider_is_redacted_for_no_other() {
        let json = r#"{"password":"x","a":{"srt_passphrase":"y"}}"#;
        assert_eq!(
            redact_fields(&["password"], json),
            r#"{"password":"[redacted]","a":{"srt_passphrase":"y"}}"#
        );
        for (provider, own) in PROVIDER_SECRET_FIELDS {
            for (other, others) in PROVIDER_SECRET_FIELDS {
                for name in own.iter().filter(|name| !SECRET_FIELDS.contains(name)) {
                    let json = format!(r#"{{"{name}":1}}"#);
                    let is_redacted = redact(other, &json) != json;
                    assert_eq!(is_redacted, others.contains(name), "{name} of {provider} for {other}");
                }
            }
        }
    }

    fn without_secrets(value: &Value) -> Value {
        match value {
            Value::Array(values) => values.iter().map(without_secrets).collect(),
            Value::Object(fields) => {
                let field = |(name, value): (&String, &Value)| match SECRET_FIELDS.contains(&name.as_str()) {
                    true => (name.clone(), json!("[redacted]")),
                    false => (name.clone(), without_secrets(value)),
                };
                Value::Object(fields.iter().map(field).collect())
            }
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn only_the_secrets_of_any_json_are_redacted(tree in tree(), pretty: bool) {
            let json = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) }.unwrap();
            let redacted: Value = serde_json::from_str(&redact("p", &json)).unwrap();
            prop_assert_eq!(redacted, without_secrets(&tree));
        }

        #[test]
        fn escaping_a_secret_fields_name_does_not_hide_it(tree in tree()) {
            let json = escaped(&serde_json::to_string(&tree).unwrap());
            let redacted: Value = serde_json::from_str(&redact("p", &json)).unwrap();
            prop_assert_eq!(redacted, without_secrets(&tree));
        }

        #[test]
        fn no_text_causes_a_panic(text in ".{0,40}", at in 0_usize..40) {
            let mut text = text;
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.insert_str(at, "\"streamKey\":");
            redact("p", &text);
        }
    }
}
