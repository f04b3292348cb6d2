//! How secrets are held and compared, as far as the text of the core shows it.

use std::collections::BTreeMap;

use crate::providers::providers;
use crate::{files, read};

/// The functions of the core that compare what came with what is secret, by file and name, with their text.
fn verifying_functions() -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for (path, text) in files("shared/core/src", ".rs") {
        let code = text.split("\n#[cfg(test)]").next().unwrap();
        let mut rest = code;
        while let Some((_, from_name)) = rest.split_once("fn verify") {
            let name = format!("verify{}", from_name.split(['(', '<']).next().unwrap());
            // A function ends where a brace stands as far to the left as its first line.
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
    let constant_time = [".ct_eq(", ".verify_slice(", ".verify_sig("];
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
            assert!(found.is_none(), "{path}, {name}: a comparison that takes its time: {}", line.trim());
        }
        let is_constant = constant_time.iter().any(|function| text.contains(function));
        assert!(
            is_constant || !comparing.contains(&name.as_str()),
            "{path}, {name} compares by none of {constant_time:?}"
        );
    }
    for (module, _) in providers() {
        let path = format!("shared/core/src/providers/{module}.rs");
        let has_own =
            functions.iter().any(|((file, name), _)| *file == path && comparing.contains(&name.as_str()));
        let shares = read(&path).contains("livekit_token::verify(");
        assert!(has_own || shares, "{path}: the function that compares is called none of {comparing:?}");
    }
}

#[test]
fn keys_can_neither_be_shown_nor_compared_by_accident() {
    let holders = ["ApiKeys", "HmsKeys", "SecretHeader", "VideoSdkKeys"];
    for (path, text) in files("shared/core/src", ".rs") {
        for holder in holders {
            for derived in ["Debug", "PartialEq", "Hash", "Serialize"] {
                assert!(
                    !text.contains(&format!("{derived} for {holder} ")),
                    "{path}: {derived} for {holder}"
                );
            }
            let Some((before, _)) = text.split_once(&format!("struct {holder} ")) else { continue };
            let attributes: Vec<&str> =
                before.lines().rev().skip(1).take_while(|line| !line.is_empty()).collect();
            let derives = attributes.iter().any(|line| line.trim_start().starts_with("#[derive("));
            assert!(!derives, "{path}: {holder} derives something");
        }
    }
    for (_, text) in files("shared/core/src", ".rs") {
        for name in text.split("type Keys = ").skip(1).map(|rest| rest.split(';').next().unwrap()) {
            assert!(holders.contains(&name) || name.contains(':'), "{name} is not looked at by this test");
        }
    }
}
