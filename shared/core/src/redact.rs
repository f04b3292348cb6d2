//! Secrets in bodies: stored in the table, never published or shown.
//!
//! LiveKit sends the room's TURN password and the stream key of an ingress. Subscribers need neither.

use std::borrow::Cow;

use crate::json::fields;

/// The fields whose values are redacted, at any depth.
pub const SECRET_FIELDS: [&str; 4] = ["turnPassword", "turn_password", "streamKey", "stream_key"];

const REDACTED: &str = "\"[redacted]\"";

/// The same JSON, byte for byte, except for the values of [`SECRET_FIELDS`].
pub fn redact(json: &str) -> Cow<'_, str> {
    // A letter can be escaped only as \u.
    if !SECRET_FIELDS.iter().any(|name| json.contains(name)) && !json.contains("\\u") {
        return Cow::Borrowed(json);
    }
    let (mut redacted, mut copied) = (String::with_capacity(json.len()), 0);
    for field in fields(json).iter().filter(|field| SECRET_FIELDS.contains(&&*field.name)) {
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
            assert_eq!(redact(json), expected);
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
            let redacted: Value = serde_json::from_str(&redact(&json)).unwrap();
            prop_assert_eq!(redacted, without_secrets(&tree));
        }

        #[test]
        fn escaping_a_secret_fields_name_does_not_hide_it(tree in tree()) {
            let json = escaped(&serde_json::to_string(&tree).unwrap());
            let redacted: Value = serde_json::from_str(&redact(&json)).unwrap();
            prop_assert_eq!(redacted, without_secrets(&tree));
        }

        #[test]
        fn no_text_causes_a_panic(text in ".{0,40}", at in 0_usize..40) {
            let mut text = text;
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.insert_str(at, "\"streamKey\":");
            redact(&text);
        }
    }
}
