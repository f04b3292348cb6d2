//! Checks the invariants of ARCHITECTURE.md. Failures name what is missing.

#[path = "tidy/import_cycles.rs"]
mod import_cycles;
#[path = "tidy/providers.rs"]
mod providers;
#[path = "tidy/schema.rs"]
mod schema;
#[path = "tidy/secrets.rs"]
mod secrets;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Files under a folder with this extension, and their contents. Skips fixtures.
fn files(folder: &str, ending: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.contains("fixtures") {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The names under `[dependencies]`.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let text = read(manifest);
    let section = text.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .map(str::to_owned)
        .filter(|n| !n.is_empty())
        .collect()
}

#[test]
fn the_core_reads_neither_clock_nor_environment_nor_network() {
    let allowed = [
        "aws-lc-rs",
        "data-encoding",
        "flate2",
        "hmac",
        "http",
        "jiff",
        "jsonwebtoken",
        "pem",
        "percent-encoding",
        "serde",
        "serde_json",
        "serde_with",
        "sha2",
        "subtle",
        "thiserror",
    ];
    let surplus: Vec<_> = dependencies("shared/core/Cargo.toml")
        .into_iter()
        .filter(|name| !allowed.contains(&name.as_str()))
        .collect();
    assert!(
        surplus.is_empty(),
        "shared/core depends on {surplus:?}: explain why in ARCHITECTURE.md, then allow it"
    );
    for (path, text) in files("shared/core/src", ".rs") {
        for banned in [
            "std::env",
            "std::fs",
            "std::net",
            "SystemTime",
            "Instant::now",
            "Timestamp::now",
            "async fn",
            "tracing",
        ] {
            assert!(!text.contains(banned), "{path} uses {banned}");
        }
    }
}

#[test]
fn functions_contain_only_wiring() {
    let allowed = ["lambda_http", "lambda_runtime", "livehooks-aws", "livehooks-core", "tokio"];
    for (path, text) in files("functions", ".rs").into_iter().filter(|(path, _)| path.contains("/src/")) {
        let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= 10, "{path} has {lines} lines: logic belongs in shared/");
    }
    for path in files("functions", "Cargo.toml").keys() {
        let surplus: Vec<_> =
            dependencies(path).into_iter().filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(surplus.is_empty(), "{path} depends on {surplus:?}");
    }
}

#[test]
fn functions_contain_no_development_code() {
    for manifest in ["shared/core/Cargo.toml", "shared/aws/Cargo.toml"] {
        for name in ["livehooks", "livehooks-signing", "dynoxide-rs", "rusqlite", "axum", "reqwest", "clap"] {
            assert!(!dependencies(manifest).contains(name), "{manifest} depends on {name}");
        }
    }
    assert!(dependencies("tests/Cargo.toml").is_empty(), "tests may only have dev-dependencies");
}

#[test]
fn events_are_read_with_few_dependencies() {
    let found = dependencies("shared/event/Cargo.toml");
    assert_eq!(found, ["jiff", "serde", "serde_json", "serde_path_to_error"].map(str::to_owned).into());
}

#[test]
fn ingest_never_publishes_and_the_notifier_never_writes_to_the_table() {
    for name in ["ingest", "pipeline", "fallback", "recover", "store", "keys"] {
        let path = &format!("shared/aws/src/{name}.rs");
        assert!(!read(path).contains("sns"), "{path} mentions SNS");
    }
    assert!(
        !read("shared/aws/src/notify.rs").contains("aws_sdk_dynamodb"),
        "the notifier has a DynamoDB client"
    );
}

#[test]
fn every_reason_has_a_fixture() {
    let text = read("shared/core/src/rejection.rs");
    let codes: BTreeSet<&str> = text
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|text| text.contains('_') && text.chars().all(|c| c == '_' || c.is_ascii_lowercase()))
        .collect();
    let mut found = BTreeSet::new();
    for provider in fs::read_dir(root().join("tests/fixtures")).unwrap() {
        for case in fs::read_dir(provider.unwrap().path().join("err")).unwrap() {
            let rejection = fs::read_to_string(case.unwrap().path().join("rejection.txt")).unwrap();
            found.insert(rejection.split(':').next().unwrap().to_owned());
        }
    }
    let missing: Vec<_> = codes.into_iter().filter(|code| !found.contains(*code)).collect();
    assert!(missing.is_empty(), "no fixture has the rejection reasons {missing:?}");
}

#[test]
fn the_code_map_matches_the_source_tree() {
    let map = read("ARCHITECTURE.md");
    for line in map.lines().filter(|line| line.starts_with("| `")) {
        let path = line.split('`').nth(1).unwrap();
        assert!(root().join(path).exists(), "ARCHITECTURE.md lists {path}, which does not exist");
    }
    for folder in ["shared/core/src", "shared/aws/src", "shared/event/src", "cli/src"] {
        for path in files(folder, ".rs").keys() {
            let short = path.trim_end_matches("/mod.rs");
            let parent = Path::new(short).parent().unwrap().to_string_lossy().into_owned();
            let is_listed = map.contains(&format!("`{short}`")) || map.contains(&format!("`{parent}/`"));
            assert!(is_listed, "ARCHITECTURE.md lists neither {short} nor {parent}/");
        }
    }
}

#[test]
fn files_stay_short() {
    for folder in ["shared", "functions", "cli", "tests", "fuzz/src"] {
        for (path, text) in files(folder, ".rs") {
            let code = text.split("\n#[cfg(test)]").next().unwrap();
            let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
            let lines = code.lines().filter(is_code).count();
            assert!(lines <= 300, "{path} has {lines} lines of code: split it");
        }
    }
}
