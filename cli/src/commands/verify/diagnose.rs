//! Finds the cause of a rejection: a change that, when undone, makes the request authentic.

use axum::http::{HeaderMap, header};
use jiff::{SignedDuration, Timestamp};
use livehooks_core::{Delivery, Rejection};
use livehooks_signing::ProviderInfo;
use serde::Serialize;
use serde_json::{Value, json};

use super::json_forms::json_forms;
use super::request::Request;
use super::undo::{Undone, unwrapped, without_edits};
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
        Rejection::Expired { by_s } => Some(check.time(-*by_s)),
        Rejection::NotYetValid { by_s } => Some(check.time(*by_s)),
        _ => check.cause(rejection),
    }
}

const REWRITES: &str = "another encoding, a wrapping, added or lost whitespace, or re-serialized JSON";

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

    /// The cause of a rejection for any reason but the time.
    fn cause(&self, rejection: &Rejection) -> Option<Cause> {
        match rejection {
            Rejection::BodyAltered { .. } => {
                Some(self.body().or_else(|| self.cut_body()).unwrap_or_else(|| Cause {
                    what: format!("the body's content was changed, and not only by {REWRITES}"),
                    advice: "compare the body with the one in the provider's log, and check the proxies in between"
                        .into(),
                }))
            }
            Rejection::SignatureMismatch { .. } => {
                Some(self.body().or_else(|| self.cut_body()).unwrap_or_else(|| Cause {
                    what: format!(
                        "the signature does not match, and undoing {REWRITES} does not help: a wrong key is likelier \
                         than a changed body"
                    ),
                    advice: "compare the key with the provider's, then capture the request closer to the provider"
                        .into(),
                }))
            }
            Rejection::WrongKey { .. } => self.cut_token().or_else(|| self.secrets()),
            Rejection::MalformedCredential { .. } => self.cut_token(),
            Rejection::MissingUrlToken => self.without_url_token(),
            _ => None,
        }
    }

    fn is_authentic_with(&self, body: &[u8]) -> bool {
        matches!(self.verify(self.keys, body, self.now), Some(Ok(())))
    }

    /// One change of the body, or a wrapping and one change inside.
    fn body(&self) -> Option<Cause> {
        let body = &self.request.body;
        if let Some(undone) = self.undo(body) {
            return Some(Cause {
                what: format!("{}: {}, it verifies", undone.what, undone.how),
                advice: undone.advice,
            });
        }
        for outer in unwrapped(body) {
            if let Some(inner) = self.undo(&outer.body) {
                return Some(Cause {
                    what: format!(
                        "{}, and {}: {} and {}, it verifies",
                        outer.what, inner.what, outer.how, inner.how
                    ),
                    advice: format!("{}; {}", outer.advice, inner.advice),
                });
            }
        }
        None
    }

    /// The change after which the body is authentic.
    fn undo(&self, body: &[u8]) -> Option<Undone> {
        let is_authentic = |undone: &Undone| self.is_authentic_with(&undone.body);
        let changed = without_edits(body).into_iter().chain(unwrapped(body)).find(is_authentic);
        changed.or_else(|| {
            let forms = json_forms(std::str::from_utf8(body).ok()?).into_iter();
            let mut forms = forms.map(|(form, json)| Undone {
                what: "the body is the signed JSON, re-serialized".into(),
                how: format!("written {form}"),
                advice:
                    "pass on the exact bytes received: do not parse and re-serialize the body (a body-parser \
                         middleware, a gateway's mapping template)"
                        .into(),
                body: json.into_bytes(),
            });
            forms.find(is_authentic)
        })
    }

    /// Whether the end of the body is missing, which cannot be undone.
    fn cut_body(&self) -> Option<Cause> {
        let Request { headers, body, .. } = self.request;
        let content_length =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let json = serde_json::from_slice::<serde::de::IgnoredAny>(body);
        let found = match content_length {
            Some(bytes) if body.len() < bytes => {
                format!("it has {} bytes, and Content-Length says {bytes}", body.len())
            }
            _ if json.is_err_and(|error| error.is_eof()) => {
                format!("its JSON does not end within these {} bytes", body.len())
            }
            _ => return None,
        };
        Some(Cause {
            what: format!("the body is cut short: {found}"),
            advice: "capture the complete body: a limit of the log, a proxy or the terminal cut it".into(),
        })
    }

    /// Checks the credential at the time at which it was valid, and the rest at that time.
    fn time(&self, shift_s: i64) -> Cause {
        let then = self.now + SignedDuration::from_secs(shift_s);
        let by = length(SignedDuration::from_secs(shift_s));
        let when = match shift_s < 0 {
            true => format!("the credential was valid until {then:.0}, {by} earlier"),
            false => format!("the credential is valid from {then:.0}, {by} later"),
        };
        let pass = format!(
            "to check a captured request, pass its receive time (--now {then:.0}); otherwise compare the clocks"
        );
        let check = Check { now: then, ..*self };
        match self.verify(self.keys, &self.request.body, then) {
            Some(Err(rejection)) => match check.cause(&rejection) {
                Some(Cause { what, advice }) => {
                    Cause { what: format!("{when}; also, {what}"), advice: format!("{advice}; {pass}") }
                }
                None => Cause {
                    what: format!("{when}; but it is not authentic then either: {rejection}"),
                    advice: rejection.advice().into(),
                },
            },
            _ => Cause { what: format!("{when}; otherwise it is authentic"), advice: pass },
        }
    }

    /// Whether the end of the token is missing. Of an HMAC-SHA256 in base64url, it would be the signature's.
    fn cut_token(&self) -> Option<Cause> {
        const SIGNATURE: usize = 43;
        let names = (self.provider.credential_headers)(self.keys);
        let values = names.iter().filter_map(|name| self.request.headers.get(name)?.to_str().ok());
        let tokens = values.filter_map(|value| value.split(' ').next_back());
        // Every token's header begins like this: `{"`.
        for token in tokens.filter(|token| token.starts_with("eyJ")) {
            let found = match token.split('.').collect::<Vec<_>>()[..] {
                [_, _, signature] if signature.len() < SIGNATURE => {
                    format!("its signature has {} characters instead of {SIGNATURE}", signature.len())
                }
                [_] | [_, _] => "it has no signature".to_owned(),
                _ => continue,
            };
            return Some(Cause {
                what: format!("the token is cut short: {found}"),
                advice: "capture the complete header: a limit of the log, a proxy or the terminal cut it"
                    .into(),
            });
        }
        None
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
