//! Finds the cause of a rejection: a change that, when undone, makes the request authentic.

use std::borrow::Cow;

use axum::http::HeaderMap;
use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use livehooks_core::{Delivery, Rejection};
use livehooks_signing::ProviderInfo;
use serde::Serialize;
use serde_json::{Value, json};

use super::request::Request;
use crate::terminal::length;

/// The cause of a rejection and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Cause {
    pub(super) what: String,
    pub(super) advice: String,
}

/// The cause of a rejection, if one can be determined.
pub(super) fn cause(
    provider: &ProviderInfo,
    keys: &Value,
    request: &Request,
    now: Timestamp,
    rejection: &Rejection,
) -> Option<Cause> {
    let check = Check { provider, keys, request, now };
    match rejection {
        Rejection::BodyAltered { .. } => {
            Some(check.body().unwrap_or_else(|| {
                Cause {
                what: format!("the body's content was changed, and not only by {REWRITES}"),
                advice:
                    "compare the body with the one in the provider's log, and check the proxies in between"
                        .into(),
            }
            }))
        }
        Rejection::SignatureMismatch { .. } => Some(check.body().unwrap_or_else(|| Cause {
            what: format!("the signature does not match, and undoing {REWRITES} does not help: a wrong key is likelier than a changed body"),
            advice:
                "compare the key with the provider's, then capture the request closer to the provider".into(),
        })),
        Rejection::Expired { by_s } => Some(check.time(-*by_s)),
        Rejection::NotYetValid { by_s } => Some(check.time(*by_s)),
        Rejection::WrongKey { .. } => check.secrets(),
        Rejection::MissingUrlToken => check.without_url_token(),
        _ => None,
    }
}

const REWRITES: &str = "base64, added or lost whitespace, or re-serialized JSON";

struct Check<'a> {
    provider: &'a ProviderInfo,
    keys: &'a Value,
    request: &'a Request,
    now: Timestamp,
}

impl Check<'_> {
    fn verify(&self, keys: &Value, body: &[u8], now: Timestamp) -> Option<Result<(), Rejection>> {
        let Request { url_token, headers, .. } = self.request;
        let headers: &HeaderMap = headers;
        let delivery = Delivery { headers, url_token: url_token.as_deref(), body };
        (self.provider.verify)(keys, &delivery, now).ok().map(|result| result.map(drop))
    }

    fn is_authentic_with(&self, body: &[u8]) -> bool {
        matches!(self.verify(self.keys, body, self.now), Some(Ok(())))
    }

    fn body(&self) -> Option<Cause> {
        let body = &self.request.body;
        let found = plain_rewrites(body).into_iter().find(|(_, _, body)| self.is_authentic_with(body));
        if let Some((what, advice, _)) = found {
            return Some(Cause { what: what.into(), advice: advice.into() });
        }
        let text = std::str::from_utf8(body).ok()?;
        let (form, _) =
            json_forms(text).into_iter().find(|(_, json)| self.is_authentic_with(json.as_bytes()))?;
        Some(Cause {
            what: format!("the body is the signed JSON, re-serialized: written {form}, it verifies"),
            advice:
                "pass on the exact bytes received: do not parse and re-serialize the body (a body-parser middleware, \
                     a gateway's mapping template)"
                    .into(),
        })
    }

    /// Checks the credential at the time at which it was valid.
    fn time(&self, shift_s: i64) -> Cause {
        let then = self.now + SignedDuration::from_secs(shift_s);
        let by = length(SignedDuration::from_secs(shift_s));
        let when = match shift_s < 0 {
            true => format!("the credential was valid until {then:.0}, {by} earlier"),
            false => format!("the credential is valid from {then:.0}, {by} later"),
        };
        match self.verify(self.keys, &self.request.body, then) {
            Some(Err(rejection)) => Cause {
                what: format!("{when}; but it is not authentic then either: {rejection}"),
                advice: rejection.advice().into(),
            },
            _ => Cause {
                what: format!("{when}; otherwise it is authentic"),
                advice: format!(
                    "to check a captured request, pass its receive time (--now {then:.0}); otherwise compare the \
                     clocks"
                ),
            },
        }
    }

    /// Looks for secrets that were mixed up or copied with whitespace.
    fn secrets(&self) -> Option<Cause> {
        let secrets = self.keys["keys"].as_object()?;
        for issuer in secrets.keys() {
            for (name, secret) in secrets {
                let secret = secret.as_str()?;
                let tries = [(secret, ""), (secret.trim(), " without surrounding whitespace")];
                let tries = tries.into_iter().filter(|(tried, _)| !(name == issuer && *tried == secret));
                for (tried, how) in tries {
                    let mut keys = self.keys.clone();
                    keys["keys"][issuer] = json!(tried);
                    if let Some(Ok(())) = self.verify(&keys, &self.request.body, self.now) {
                        return Some(Cause {
                            what: format!("the signature matches the secret of API key {name:?}{how}"),
                            advice: format!(
                                "store that secret under {issuer:?}, the API key that the token names"
                            ),
                        });
                    }
                }
            }
        }
        None
    }

    fn without_url_token(&self) -> Option<Cause> {
        let mut keys = self.keys.clone();
        keys.as_object_mut()?.remove("url_tokens");
        matches!(self.verify(&keys, &self.request.body, self.now), Some(Ok(()))).then(|| Cause {
            what: "the signature is valid; only the token at the end of the URL is missing".into(),
            advice: format!(
                "set the provider's webhook URL to …/webhooks/{}/<one of url_tokens>, also for rooms with their own URL",
                self.provider.name
            ),
        })
    }
}

/// Undoes what proxies, editors and copying do to a body.
fn plain_rewrites(body: &[u8]) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    const RAW: &str = "pass on the exact bytes received";
    let replaced = |from: &str, to: &str| {
        std::str::from_utf8(body).map(|text| text.replace(from, to).into_bytes()).unwrap_or_default()
    };
    let base64 = BASE64.decode(body.trim_ascii()).unwrap_or_default();
    vec![
        (
            "the body is still base64: decoded, it verifies",
            "decode it first, as API Gateway's isBase64Encoded says, or capture the decoded body",
            base64,
        ),
        (
            "whitespace was added at the end: without it the body verifies",
            "capture the exact bytes: editors and `echo` add a line break (use `curl --data-binary`, `printf %s`)",
            body.trim_ascii_end().to_vec(),
        ),
        (
            "there is whitespace around the body: without it the body verifies",
            RAW,
            body.trim_ascii().to_vec(),
        ),
        ("the final line break is missing: with it the body verifies", RAW, [body, b"\n"].concat()),
        ("the final line break (CR LF) is missing: with it the body verifies", RAW, [body, b"\r\n"].concat()),
        ("line breaks were changed to CR LF: with LF the body verifies", RAW, replaced("\r\n", "\n")),
        (
            "line breaks were changed from CR LF to LF: with CR LF the body verifies",
            RAW,
            replaced("\n", "\r\n"),
        ),
        (
            "a byte order mark was added: without it the body verifies",
            RAW,
            body.strip_prefix(b"\xef\xbb\xbf").unwrap_or_default().to_vec(),
        ),
    ]
}

/// The same JSON as other serializers write it, each form with its name.
fn json_forms(text: &str) -> Vec<(String, String)> {
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
