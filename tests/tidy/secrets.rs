//! Checks in the core's source how secrets are stored and compared.

use std::collections::BTreeMap;

use livehooks_signing::ProviderInfo;
use serde_json::{Map, Value, json};

use crate::providers::providers;
use crate::{files, read};

/// The source of the core's functions that compare input with secrets, by file and function name.
fn verifying_functions() -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for (path, text) in files("shared/core/src", ".rs") {
        let code = text.split("\n#[cfg(test)]").next().unwrap();
        let mut rest = code;
        while let Some((_, from_name)) = rest.split_once("fn verify") {
            let name = format!("verify{}", from_name.split(['(', '<']).next().unwrap());
            // A function ends at the closing brace with the indentation of its first line.
            let line = code[..code.len() - from_name.len()].rsplit('\n').next().unwrap();
            let indent = line.len() - line.trim_start().len();
            let end = format!("\n{}}}\n", " ".repeat(indent));
            let body = from_name.split(&end).next().unwrap();
            found.insert((path.clone(), name), body.to_owned());
            rest = from_name;
        }
    }
    found
}

#[test]
fn secrets_are_compared_in_constant_time_only() {
    let constant_time = [".ct_eq(", "jsonwebtoken::crypto::verify(", ".verify_slice(", ".verify_sig("];
    let variable_time = [
        "==",
        "!=",
        ".eq(",
        ".ne(",
        ".cmp(",
        ".contains(",
        "starts_with(",
        "ends_with(",
        "matches!(",
        "assert",
    ];
    let functions = verifying_functions();
    let comparing = ["verify_signature", "verify_headers", "verify_url_token", "verify_body"];
    for ((path, name), text) in &functions {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in lines.filter(|line| !line.contains(".len()")) {
            let found = variable_time.iter().find(|operator| line.contains(**operator));
            assert!(found.is_none(), "{path}, {name}: comparison in variable time: {}", line.trim());
        }
        let is_constant = constant_time.iter().any(|function| text.contains(function));
        assert!(
            is_constant || !comparing.contains(&name.as_str()),
            "{path}, {name} uses none of {constant_time:?}"
        );
    }
    for (module, _) in providers() {
        let path = format!("shared/core/src/providers/{module}.rs");
        let has_own =
            functions.iter().any(|((file, name), _)| *file == path && comparing.contains(&name.as_str()));
        let shared =
            ["livekit_token::verify(", "rsa_signature::verify(", "signing_secrets::verify_signature("];
        let text = read(&path);
        let shares =
            shared.iter().any(|call| text.contains(call)) || text.contains(": TimestampedSignature =");
        assert!(has_own || shares, "{path}: expected a function named one of {comparing:?}");
    }
}

#[test]
fn keys_cannot_be_printed_or_compared_by_accident() {
    let holders = ["ApiKeys", "HmsKeys", "RsaKeys", "SecretHeader", "SigningSecrets"];
    for (path, text) in files("shared/core/src", ".rs") {
        for holder in holders {
            for derived in ["Debug", "PartialEq", "Hash", "Serialize"] {
                assert!(
                    !text.contains(&format!("{derived} for {holder} "))
                        && !text.contains(&format!("{derived} for {holder}<")),
                    "{path}: {derived} for {holder}"
                );
            }
            let definition =
                [" ", "<"].iter().find_map(|end| text.split_once(&format!("struct {holder}{end}")));
            let Some((before, _)) = definition else { continue };
            let attributes: Vec<&str> =
                before.lines().rev().skip(1).take_while(|line| !line.is_empty()).collect();
            let derives = attributes.iter().any(|line| line.trim_start().starts_with("#[derive("));
            assert!(!derives, "{path}: {holder} derives a trait");
        }
    }
    for (_, text) in files("shared/core/src", ".rs") {
        for name in text.split("type Keys = ").skip(1).map(|rest| rest.split([';', '<']).next().unwrap()) {
            assert!(holders.contains(&name) || name.contains(':'), "this test does not check {name}");
        }
    }
}

/// One secret for each verifying key of a provider.
fn each_alone(entry: &ProviderInfo, secret: &Map<String, Value>) -> Vec<Value> {
    let fields = secret.iter().filter(|(name, _)| !entry.private_fields.contains(&name.as_str()));
    let alone = |(field, keys): (&String, &Value)| -> Vec<Value> {
        match keys {
            Value::Array(keys) => keys.iter().map(|key| json!({ field: [key] })).collect(),
            Value::Object(keys) => keys.iter().map(|(name, key)| json!({ field: { name: key } })).collect(),
            other => panic!("{field}: this test cannot split {other}"),
        }
    };
    fields.flat_map(alone).collect()
}

#[test]
fn every_development_key_in_events_counts_as_published() {
    let file: Map<String, Value> = serde_json::from_str(&read("events/keys.json")).unwrap();
    for (name, secret) in &file {
        let entry = ProviderInfo::named(name).unwrap();
        let keys = each_alone(entry, secret.as_object().unwrap());
        assert!(!keys.is_empty(), "{name}");
        for key in keys {
            let weakness = (entry.check_keys)(&key).unwrap().unwrap_or_default();
            assert!(
                weakness.contains("published"),
                "shared/core/src/weakness.rs does not know {name}: {key}"
            );
        }
    }
}

#[test]
fn generated_keys_are_never_weak() {
    for entry in livehooks_signing::PROVIDERS {
        assert_eq!((entry.check_keys)(&without_private(entry)).unwrap(), None, "{}", entry.name);
    }
}

fn without_private(entry: &ProviderInfo) -> Value {
    let mut keys = (entry.make_keys)();
    keys.as_object_mut().unwrap().retain(|name, _| !entry.private_fields.contains(&name.as_str()));
    keys
}

#[test]
fn a_shared_secret_of_fifteen_bytes_is_weak_and_one_of_sixteen_is_not() {
    let pem =
        &serde_json::from_str::<Value>(&read("tests/fixtures/videosdk/ok/session-started/context.json"))
            .unwrap()["keys"]["public_keys"];
    for (provider, keys) in [
        ("100ms", (|secret| json!({ "signing_secrets": [secret] })) as fn(&str) -> Value),
        ("100ms", |secret| json!({ "headers": [{ "name": "X-Secret", "values": [secret] }] })),
        ("videosdk", |secret| json!({ "url_tokens": [secret] })),
        ("plugnmeet", |secret| json!({ "keys": { "name": secret } })),
        ("livekit", |secret| json!({ "keys": { "name": secret } })),
        ("mux", |secret| json!({ "signing_secrets": [secret] })),
        ("zoom", |secret| json!({ "secret_tokens": [secret] })),
        ("jaas", |secret| json!({ "signing_secrets": [secret] })),
        ("realtimekit", |secret| json!({ "url_tokens": [secret] })),
        ("getstream", |secret| json!({ "api_secrets": [secret] })),
    ] {
        let weakness = |secret| {
            let mut keys = keys(secret);
            if keys.get("url_tokens").is_some() {
                keys["public_keys"] = pem.clone();
            }
            (ProviderInfo::named(provider).unwrap().check_keys)(&keys).unwrap()
        };
        let weak = weakness("123456789012345").unwrap_or_default();
        assert!(weak.contains("at least 16 bytes") && !weak.contains("12345678"), "{provider}: {weak}");
        assert_eq!(weakness("1234567890123456"), None, "{provider}");
    }
}
