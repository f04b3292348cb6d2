//! The same JSON as other serializers write it.

use std::borrow::Cow;

use serde_json::Value;

/// The same JSON as other serializers write it, each form with its name.
pub(super) fn json_forms(text: &str) -> Vec<(String, String)> {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return Vec::new() };
    let orders = [("", Cow::Borrowed(text)), (" with its fields sorted", Cow::Owned(value.to_string()))];
    let mut forms = Vec::new();
    for (order, text) in &orders {
        for (spaces, written) in spacings(text) {
            for (escapes, written) in escapings(&written) {
                forms.push((format!("{spaces}{order}{escapes}"), written));
            }
        }
    }
    forms
}

fn spacings(text: &str) -> Vec<(&'static str, String)> {
    vec![
        ("compactly", spaced(text, ",", ":", None)),
        ("with a space after commas", spaced(text, ", ", ":", None)),
        ("with a space after colons", spaced(text, ",", ": ", None)),
        ("with spaces after commas and colons", spaced(text, ", ", ": ", None)),
        ("indented by 2", spaced(text, ",", ": ", Some("  "))),
        ("indented by 4", spaced(text, ",", ": ", Some("    "))),
        ("indented by tabs", spaced(text, ",", ": ", Some("\t"))),
    ]
}

/// The same tokens in the same order with different whitespace.
fn spaced(text: &str, comma: &str, colon: &str, indent: Option<&str>) -> String {
    let mut written = String::with_capacity(text.len());
    let mut depth = 0_usize;
    let mut chars = text.chars().peekable();
    let new_line = |written: &mut String, depth: usize| {
        if let Some(indent) = indent {
            written.push('\n');
            written.push_str(&indent.repeat(depth));
        }
    };
    let is_space = |c: &char| matches!(c, ' ' | '\t' | '\r' | '\n');
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                written.push(c);
                let mut is_escaped = false;
                for c in chars.by_ref() {
                    written.push(c);
                    match c {
                        '"' if !is_escaped => break,
                        '\\' => is_escaped = !is_escaped,
                        _ => is_escaped = false,
                    }
                }
            }
            '{' | '[' => {
                written.push(c);
                while chars.next_if(is_space).is_some() {}
                if matches!(chars.peek(), Some('}' | ']')) {
                    written.extend(chars.next());
                } else {
                    // Deeper than any webhook; limits the memory for indentation.
                    depth = (depth + 1).min(200);
                    new_line(&mut written, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut written, depth);
                written.push(c);
            }
            ',' => {
                written.push_str(comma);
                new_line(&mut written, depth);
            }
            ':' => written.push_str(colon),
            c if is_space(&c) => {}
            c => written.push(c),
        }
    }
    written
}

/// The same strings, escaped as Go, Python and PHP do by default, or not at all.
fn escapings(text: &str) -> Vec<(&'static str, String)> {
    let html = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026")];
    let plain = unescaped(text);
    let go = html.iter().fold(plain.clone(), |text, (c, escape)| text.replace(*c, escape));
    let ascii: String = plain.chars().map(|c| if c.is_ascii() { c.to_string() } else { utf16(c) }).collect();
    let mut forms = vec![
        ("", text.to_owned()),
        (", without optional escapes", plain.clone()),
        (", with <, > and & escaped as Go does", go),
        (", in ASCII as Python writes it", ascii),
        (", with slashes escaped as PHP does", plain.replace('/', "\\/")),
    ];
    forms.dedup_by(|one, other| one.1 == other.1);
    forms
}

fn utf16(c: char) -> String {
    c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// Rewrites every string as serde_json writes it, and keeps everything else.
fn unescaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('"') {
        written.push_str(&rest[..start]);
        let mut strings = serde_json::Deserializer::from_str(&rest[start..]).into_iter::<String>();
        match strings.next() {
            Some(Ok(text)) => {
                let end = start + strings.byte_offset();
                written.push_str(&Value::from(text).to_string());
                rest = &rest[end..];
            }
            // A lone surrogate is not a valid string; keep it.
            _ => {
                written.push('"');
                rest = &rest[start + 1..];
            }
        }
    }
    written + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whitespace_changes() {
        let text = r#"{ "a" : [1, {"b":"x: \", {"}, [ ]], "c":{}}"#;
        assert_eq!(spaced(text, ",", ":", None), r#"{"a":[1,{"b":"x: \", {"},[]],"c":{}}"#);
        assert_eq!(spaced(r#"{"a":[1]}"#, ",", ": ", Some("  ")), "{\n  \"a\": [\n    1\n  ]\n}");
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(spaced(text, ",", ": ", Some("  ")), serde_json::to_string_pretty(&value).unwrap());
        for text in ["", "{", "\"", "{\"a", "]]]", "\\"] {
            spaced(text, ",", ":", None);
            unescaped(text);
        }
    }

    #[test]
    fn escapes_match_each_language() {
        let shown = |text| escapings(text).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        let forms = shown("[\"Zo\\u00eb <\\/b>\"]");
        for form in
            ["[\"Zoë </b>\"]", "[\"Zoë \\u003c/b\\u003e\"]", "[\"Zo\\u00eb </b>\"]", "[\"Zoë <\\/b>\"]"]
        {
            assert!(forms.iter().any(|found| found == form), "{form} is not in {forms:?}");
        }
    }
}
