//! Why a request is rejected: what would have to be undone for it to be authentic.

use std::borrow::Cow;

use axum::http::HeaderMap;
use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use livehooks_core::{Delivery, Rejection};
use serde::Serialize;
use serde_json::{Value, json};

use super::request::Request;
use crate::providers::Entry;
use crate::terminal::length;

/// What was found to be wrong, proven by undoing it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Cause {
    pub(super) what: String,
    pub(super) advice: String,
}

/// The cause of a rejection, where undoing something makes the request authentic.
pub(super) fn cause(
    entry: &Entry,
    keys: &Value,
    request: &Request,
    now: Timestamp,
    rejection: &Rejection,
) -> Option<Cause> {
    let check = Check { entry, keys, request, now };
    match rejection {
        Rejection::BodyAltered { .. } => {
            Some(check.body().unwrap_or_else(|| {
                Cause {
                what: format!("the body's content was changed; it is not one of {REWRITINGS}"),
                advice:
                    "compare the body with the one in the provider's log, and look at what lies in between"
                        .into(),
            }
            }))
        }
        Rejection::SignatureMismatch { .. } => Some(check.body().unwrap_or_else(|| Cause {
            what: format!("none of {REWRITINGS} explains it: another key is likelier than another body"),
            advice:
                "compare the key with the provider's, then capture the request nearer to the provider".into(),
        })),
        Rejection::Expired { by_s } => Some(check.time(-*by_s)),
        Rejection::NotYetValid { by_s } => Some(check.time(*by_s)),
        Rejection::WrongKey { .. } => check.secrets(),
        Rejection::MissingUrlToken => check.without_url_token(),
        _ => None,
    }
}

const REWRITINGS: &str = "base64, space or line ends added or lost, and JSON re-serialized";

struct Check<'a> {
    entry: &'a Entry,
    keys: &'a Value,
    request: &'a Request,
    now: Timestamp,
}

impl Check<'_> {
    fn verdict(&self, keys: &Value, body: &[u8], now: Timestamp) -> Option<Result<(), Rejection>> {
        let Request { url_token, headers, .. } = self.request;
        let headers: &HeaderMap = headers;
        let delivery = Delivery { headers, url_token: url_token.as_deref(), body };
        (self.entry.verify)(keys, &delivery, now).ok().map(|verdict| verdict.map(drop))
    }

    fn is_authentic_with(&self, body: &[u8]) -> bool {
        matches!(self.verdict(self.keys, body, self.now), Some(Ok(())))
    }

    fn body(&self) -> Option<Cause> {
        let body = &self.request.body;
        let found = plain_rewritings(body).into_iter().find(|(_, _, body)| self.is_authentic_with(body));
        if let Some((what, advice, _)) = found {
            return Some(Cause { what: what.into(), advice: advice.into() });
        }
        let text = std::str::from_utf8(body).ok()?;
        let (form, _) =
            json_forms(text).into_iter().find(|(_, json)| self.is_authentic_with(json.as_bytes()))?;
        Some(Cause {
            what: format!("the body is the signed JSON re-serialised: written {form}, it verifies"),
            advice:
                "hand on the bytes that came: whatever parses the body must not re-serialize it (a body-parser \
                     middleware, a gateway's mapping template)"
                    .into(),
        })
    }

    /// The credential is right at another time; or it would be wrong then too.
    fn time(&self, shift_s: i64) -> Cause {
        let then = self.now + SignedDuration::from_secs(shift_s);
        let by = length(SignedDuration::from_secs(shift_s));
        let (was, off) = if shift_s < 0 { ("counted until", "ago") } else { ("counts from", "from then") };
        let when = format!("it {was} {then:.0}, {by} {off}");
        match self.verdict(self.keys, &self.request.body, then) {
            Some(Err(rejection)) => Cause {
                what: format!("{when}; and it was not authentic then either: {rejection}"),
                advice: rejection.advice().into(),
            },
            _ => Cause {
                what: format!("{when}; but for that it is authentic"),
                advice: format!(
                    "to check a captured request give the time at which it came (--now {then:.0}); else compare \
                     the clocks"
                ),
            },
        }
    }

    /// Secrets that were mixed up, or copied with something around them.
    fn secrets(&self) -> Option<Cause> {
        let secrets = self.keys["keys"].as_object()?;
        for issuer in secrets.keys() {
            for (name, secret) in secrets {
                let secret = secret.as_str()?;
                let tries = [(secret, ""), (secret.trim(), " without the space around it")];
                let tries = tries.into_iter().filter(|(tried, _)| !(name == issuer && *tried == secret));
                for (tried, how) in tries {
                    let mut keys = self.keys.clone();
                    keys["keys"][issuer] = json!(tried);
                    if let Some(Ok(())) = self.verdict(&keys, &self.request.body, self.now) {
                        return Some(Cause {
                            what: format!("the signature fits the secret of API key {name:?}{how}"),
                            advice: format!("put that secret under {issuer:?}, which the token names"),
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
        matches!(self.verdict(&keys, &self.request.body, self.now), Some(Ok(()))).then(|| Cause {
            what: "the signature is right; only the token at the end of the URL is missing".into(),
            advice: format!(
                "set the provider's webhook URL to …/webhooks/{}/<one of url_tokens>, also where a room has its own",
                self.entry.name
            ),
        })
    }
}

/// What proxies, editors and copying do to a body, undone.
fn plain_rewritings(body: &[u8]) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    const RAW: &str = "hand on the exact bytes that came";
    let replaced = |from: &str, to: &str| {
        std::str::from_utf8(body).map(|text| text.replace(from, to).into_bytes()).unwrap_or_default()
    };
    let base64 = BASE64.decode(body.trim_ascii()).unwrap_or_default();
    vec![
        (
            "the body is still base64: decoded, it verifies",
            "decode it first, as API Gateway's isBase64Encoded says; or capture what is inside",
            base64,
        ),
        (
            "something was added at the end (a line end, a space): without it the body verifies",
            "capture the exact bytes: editors and `echo` add a line end (`curl --data-binary`, `printf %s`)",
            body.trim_ascii_end().to_vec(),
        ),
        ("there is space around the body: without it the body verifies", RAW, body.trim_ascii().to_vec()),
        ("a line end is missing at the end: with it the body verifies", RAW, [body, b"\n"].concat()),
        (
            "a line end (CR LF) is missing at the end: with it the body verifies",
            RAW,
            [body, b"\r\n"].concat(),
        ),
        ("line ends were turned into CR LF: undone, the body verifies", RAW, replaced("\r\n", "\n")),
        ("line ends were turned from CR LF into LF: undone, the body verifies", RAW, replaced("\n", "\r\n")),
        (
            "a byte order mark was put in front: without it the body verifies",
            RAW,
            body.strip_prefix(b"\xef\xbb\xbf").unwrap_or_default().to_vec(),
        ),
    ]
}

/// The same JSON as other writers write it, each with a name for its form.
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

/// The same tokens in the same order with other space between them.
fn spaced(text: &str, comma: &str, colon: &str, indent: Option<&str>) -> String {
    let mut written = String::with_capacity(text.len());
    let mut depth = 0_usize;
    let mut chars = text.chars().peekable();
    let turn = |written: &mut String, depth: usize| {
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
                    // Deeper than any webhook: indentation would only cost memory.
                    depth = (depth + 1).min(200);
                    turn(&mut written, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                turn(&mut written, depth);
                written.push(c);
            }
            ',' => {
                written.push_str(comma);
                turn(&mut written, depth);
            }
            ':' => written.push_str(colon),
            c if is_space(&c) => {}
            c => written.push(c),
        }
    }
    written
}

/// The same texts, escaped as Go, Python and PHP do by default, or not at all.
fn escapings(text: &str) -> Vec<(&'static str, String)> {
    let html = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026")];
    let plain = unescaped(text);
    let go = html.iter().fold(plain.clone(), |text, (c, escape)| text.replace(*c, escape));
    let ascii: String = plain.chars().map(|c| if c.is_ascii() { c.to_string() } else { utf16(c) }).collect();
    let mut forms = vec![
        ("", text.to_owned()),
        (", nothing escaped that need not be", plain.clone()),
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

/// Every text as serde_json writes it; what stands between the texts stays.
fn unescaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('"') {
        written.push_str(&rest[..start]);
        let mut texts = serde_json::Deserializer::from_str(&rest[start..]).into_iter::<String>();
        match texts.next() {
            Some(Ok(text)) => {
                let end = start + texts.byte_offset();
                written.push_str(&Value::from(text).to_string());
                rest = &rest[end..];
            }
            // A lone surrogate is no text; it stays as it is.
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
    fn spaces_change_and_nothing_else() {
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
    fn escapes_are_those_of_each_language() {
        let shown = |text| escapings(text).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        let forms = shown("[\"Zo\\u00eb <\\/b>\"]");
        for form in
            ["[\"Zoë </b>\"]", "[\"Zoë \\u003c/b\\u003e\"]", "[\"Zo\\u00eb </b>\"]", "[\"Zoë <\\/b>\"]"]
        {
            assert!(forms.iter().any(|found| found == form), "{form} is not in {forms:?}");
        }
    }
}
