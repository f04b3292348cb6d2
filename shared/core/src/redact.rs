//! Secrets that travel in bodies: kept in the table, never announced or shown.
//!
//! LiveKit sends the room's TURN password and the key with which an ingress is fed. Whoever subscribes to events
//! has no business with either.

use std::borrow::Cow;

/// The fields whose values are struck out, wherever in the JSON they stand.
pub const SECRET_FIELDS: [&str; 4] = ["turnPassword", "turn_password", "streamKey", "stream_key"];

const STRUCK_OUT: &str = "\"[redacted]\"";

/// The same JSON, byte for byte, but for the values of [`SECRET_FIELDS`].
pub fn redact(json: &str) -> Cow<'_, str> {
    if !SECRET_FIELDS.iter().any(|name| json.contains(name)) {
        return Cow::Borrowed(json);
    }
    let bytes = json.as_bytes();
    let (mut shown, mut copied, mut at) = (String::with_capacity(json.len()), 0, 0);
    while at < bytes.len() {
        if bytes[at] != b'"' {
            at += 1;
            continue;
        }
        let end = end_of_text(bytes, at);
        let colon = skip_space(bytes, end);
        let is_field = bytes.get(colon) == Some(&b':');
        let name = json.get(at + 1..end - 1).unwrap_or_default();
        at = end;
        if is_field && SECRET_FIELDS.contains(&name) {
            let value = skip_space(bytes, colon + 1);
            at = end_of_value(bytes, value);
            shown += &json[copied..value];
            shown += STRUCK_OUT;
            copied = at;
        }
    }
    shown += &json[copied..];
    Cow::Owned(shown)
}

/// Behind the quote that ends the text which begins at `at`.
fn end_of_text(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Behind the value that begins at `at`.
fn end_of_value(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = end_of_text(bytes, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    let space = bytes.iter().skip(at).take_while(|byte| byte.is_ascii_whitespace());
    at + space.count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn the_values_of_secret_fields_are_struck_out_and_nothing_else_changes() {
        for (json, expected) in [
            (r#"{"turnPassword":"s\"}e", "a":1}"#, r#"{"turnPassword":"[redacted]", "a":1}"#),
            (r#"{"a":{"streamKey" : {"x":[1,"]"]} ,"b":2}}"#, r#"{"a":{"streamKey" : "[redacted]" ,"b":2}}"#),
            (r#"{"stream_key":7}"#, r#"{"stream_key":"[redacted]"}"#),
            (r#"["streamKey", "turnPassword"]"#, r#"["streamKey", "turnPassword"]"#),
            (r#"{"metadata":"{\"streamKey\":\"x\"}"}"#, r#"{"metadata":"{\"streamKey\":\"x\"}"}"#),
        ] {
            assert_eq!(redact(json), expected);
        }
    }

    fn tree() -> impl Strategy<Value = Value> {
        let name = prop::sample::select(vec!["a", "streamKey", "turnPassword", "x\"y", "\\"]);
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<i32>().prop_map(Value::from),
            "[\"\\\\a{},:]*".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..4)
                    .prop_map(|m| json!(m)),
            ]
        })
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
        fn no_text_makes_it_panic(text in ".{0,40}", at in 0_usize..40) {
            let mut text = text;
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.insert_str(at, "\"streamKey\":");
            redact(&text);
        }
    }
}
