//! Secrets that travel in bodies: kept in the table, never published or shown.
//!
//! LiveKit sends the room's TURN password and the key with which an ingress is fed. Who subscribes to events
//! has no business with either.

use std::borrow::Cow;

use crate::json::fields;

/// The fields whose values are redacted, anywhere in the JSON.
pub const SECRET_FIELDS: [&str; 4] = ["turnPassword", "turn_password", "streamKey", "stream_key"];

const STRUCK_OUT: &str = "\"[redacted]\"";

/// The same JSON, byte for byte, but for the values of [`SECRET_FIELDS`].
pub fn redact(json: &str) -> Cow<'_, str> {
    // A letter of a name can be escaped in one way only.
    if !SECRET_FIELDS.iter().any(|name| json.contains(name)) && !json.contains("\\u") {
        return Cow::Borrowed(json);
    }
    let (mut shown, mut copied) = (String::with_capacity(json.len()), 0);
    for field in fields(json).iter().filter(|field| SECRET_FIELDS.contains(&&*field.name)) {
        // What is inside a redacted value is gone already.
        if field.start >= copied {
            shown += &json[copied..field.start];
            shown += STRUCK_OUT;
            copied = field.end;
        }
    }
    shown += &json[copied..];
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tests::{escaped, tree};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn the_values_of_secret_fields_are_struck_out_and_nothing_else_changes() {
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

    fn struck_out(value: &Value) -> Value {
        match value {
            Value::Array(values) => values.iter().map(struck_out).collect(),
            Value::Object(fields) => {
                let field = |(name, value): (&String, &Value)| match SECRET_FIELDS.contains(&name.as_str()) {
                    true => (name.clone(), json!("[redacted]")),
                    false => (name.clone(), struck_out(value)),
                };
                Value::Object(fields.iter().map(field).collect())
            }
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn any_json_is_the_same_json_with_its_secrets_struck_out(tree in tree(), pretty: bool) {
            let json = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) }.unwrap();
            let redacted: Value = serde_json::from_str(&redact(&json)).unwrap();
            prop_assert_eq!(redacted, struck_out(&tree));
        }

        #[test]
        fn escaping_a_secret_fields_name_does_not_hide_it(tree in tree()) {
            let json = escaped(&serde_json::to_string(&tree).unwrap());
            let redacted: Value = serde_json::from_str(&redact(&json)).unwrap();
            prop_assert_eq!(redacted, struck_out(&tree));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}", at in 0_usize..40) {
            let mut text = text;
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.insert_str(at, "\"streamKey\":");
            redact(&text);
        }
    }
}
