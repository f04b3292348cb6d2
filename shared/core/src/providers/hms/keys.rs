//! The keys of 100ms.

use hmac::Hmac;
use http::HeaderName;
use serde_json::Value;
use sha2::Sha256;

use crate::keys::{self, Keys, KeysError};
use crate::providers::signing_secrets;
use crate::weakness;

/// The keys of 100ms; any one of them authenticates a delivery.
pub struct HmsKeys {
    pub(super) signing_secrets: Vec<Hmac<Sha256>>,
    pub(super) headers: Vec<SecretHeader>,
    weakness: Option<String>,
}

pub(super) struct SecretHeader {
    pub(super) name: HeaderName,
    pub(super) values: Vec<String>,
}

impl Keys for HmsKeys {
    const SHAPE: &'static str =
        r#"{"signing_secrets": ["<secret>"], "headers": [{"name": "<header>", "values": ["<value>"]}]}"#;

    fn from_json(secret: &Value) -> Result<Self, KeysError> {
        let object = keys::object(".", secret, &["signing_secrets", "headers"])?;
        let secrets = keys::strings(".", object, "signing_secrets")?;
        let signing_secrets = signing_secrets::hmacs("signing_secrets", &secrets)?;
        let headers: Vec<_> = match object.get("headers") {
            None => Vec::new(),
            Some(Value::Array(headers)) => {
                headers.iter().enumerate().map(secret_header).collect::<Result<_, _>>()?
            }
            Some(other) => return Err(KeysError::new("headers", "an array of headers", keys::kind(other))),
        };
        if signing_secrets.is_empty() && headers.is_empty() {
            return Err(KeysError::placeholder(".", "at least one of signing_secrets and headers"));
        }
        let weak_secret = secrets.iter().find_map(|secret| weakness::of_secret("signing_secrets", secret));
        let weak_value = headers.iter().find_map(SecretHeader::weakness);
        Ok(Self { signing_secrets, headers, weakness: weak_secret.or(weak_value) })
    }

    fn weakness(&self) -> Option<&str> {
        self.weakness.as_deref()
    }
}

impl SecretHeader {
    fn weakness(&self) -> Option<String> {
        let at = format!("headers.{}", self.name);
        self.values.iter().find_map(|value| weakness::of_secret(&at, value))
    }
}

fn secret_header((index, header): (usize, &Value)) -> Result<SecretHeader, KeysError> {
    let at = format!("headers[{index}]");
    let object = keys::object(&at, header, &["name", "values"])?;
    let name_at = format!("{at}.name");
    let name = object.get("name").ok_or_else(|| KeysError::new(&name_at, "a string", "nothing"))?;
    let name = HeaderName::try_from(keys::string(&name_at, name)?)
        .map_err(|_| KeysError::new(&name_at, "the name of an HTTP header", "a string that is not one"))?;
    let values: Vec<_> = keys::strings(&at, object, "values")?.into_iter().map(str::to_owned).collect();
    match values.is_empty() {
        true => Err(KeysError::new(format!("{at}.values"), "at least one value", "none")),
        false => Ok(SecretHeader { name, values }),
    }
}
