//! The keys of the provider, the forger and another account, and secrets made from them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use livehooks_signing::{PROVIDERS, ProviderInfo};
use serde_json::{Value, json};

/// Keys are shared by all scenarios, because generating an RSA key is slow.
pub static OLD: LazyLock<Keys> = LazyLock::new(|| Keys::make("old"));
/// Added to the secrets during a scenario, and used some time later.
pub static NEW: LazyLock<Keys> = LazyLock::new(|| Keys::make("new"));
pub static FORGERS: LazyLock<Keys> = LazyLock::new(|| Keys::make("forger"));
/// Named like the old keys, with other secrets.
static OTHER_ACCOUNT: LazyLock<Keys> = LazyLock::new(|| Keys::make("old"));

/// The signing keys of all providers.
pub struct Keys(BTreeMap<&'static str, Value>);

impl Keys {
    /// Names API keys after the owner.
    fn make(owner: &str) -> Self {
        let keys = PROVIDERS.iter().map(|entry| {
            let mut keys = (entry.make_keys)();
            if let Some(Value::Object(secrets)) = keys.get_mut("keys") {
                let secret = secrets.values().next().unwrap().clone();
                keys["keys"] = json!({ owner: secret });
            }
            (entry.name, keys)
        });
        Self(keys.collect())
    }

    pub fn of(&self, entry: &ProviderInfo) -> &Value {
        &self.0[entry.name]
    }
}

/// The old keys, optionally together with the new ones.
pub fn secret(entry: &ProviderInfo, has_new_keys: bool) -> String {
    let mut secret = OLD.of(entry).clone();
    if has_new_keys {
        merge(&mut secret, NEW.of(entry));
    }
    public(entry, secret)
}

/// The new keys alone.
pub fn new_secret(entry: &ProviderInfo) -> String {
    public(entry, NEW.of(entry).clone())
}

pub fn secret_of_another_account(entry: &ProviderInfo) -> String {
    public(entry, OTHER_ACCOUNT.of(entry).clone())
}

/// A secret that accepts the forger's keys.
pub fn open_secret(entry: &ProviderInfo) -> String {
    let mut secret = OLD.of(entry).clone();
    merge(&mut secret, FORGERS.of(entry));
    public(entry, secret)
}

/// The headers that the provider would send.
pub fn resigned(entry: &ProviderInfo, body: &[u8], now: Timestamp) -> Vec<(String, String)> {
    (entry.sign)(OLD.of(entry), body, now.into()).unwrap().headers
}

/// Whether the credential covers the body.
pub fn covers_body(entry: &ProviderInfo) -> bool {
    let signed = (entry.sign)(OLD.of(entry), b"{}", Timestamp::UNIX_EPOCH.into()).unwrap();
    signed.covers_body
}

fn public(entry: &ProviderInfo, mut secret: Value) -> String {
    let Value::Object(fields) = &mut secret else { panic!("a secret is an object") };
    fields.retain(|name, _| !entry.private_fields.contains(&name.as_str()));
    secret.to_string()
}

/// Joins arrays and objects, so that the keys of both are active.
fn merge(secret: &mut Value, more: &Value) {
    match (secret, more) {
        (Value::Object(there), Value::Object(more)) => {
            for (name, value) in more {
                match there.get_mut(name) {
                    Some(there) => merge(there, value),
                    None => drop(there.insert(name.clone(), value.clone())),
                }
            }
        }
        (Value::Array(there), Value::Array(more)) => there.extend(more.clone()),
        _ => {}
    }
}
