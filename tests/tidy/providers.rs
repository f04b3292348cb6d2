//! Each provider is complete, and no other code depends on one provider by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use livehooks_core::{EventType, PROVIDER_NAMES};
use serde_json::Value;

use crate::{files, read, root};

/// The module name and public name of each provider, from its implementation.
pub fn providers() -> Vec<(String, String)> {
    let found: Vec<(String, String)> = files("shared/core/src", ".rs")
        .iter()
        .filter(|(_, text)| text.contains("\nimpl Provider for "))
        .map(|(path, text)| {
            let module = Path::new(path).file_stem().unwrap().to_string_lossy().into_owned();
            let name = text.split("const NAME: &'static str = \"").nth(1).unwrap().split('"').next().unwrap();
            (module, name.to_owned())
        })
        .collect();
    assert!(found.len() >= 3, "{found:?}");
    found
}

/// Checks the result of each step in `docs/adding-a-provider.md`.
#[test]
fn a_provider_is_complete() {
    let guide = read("docs/adding-a-provider.md");
    let steps = guide.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).count();
    let events: Value = serde_json::from_str(&read("events/keys.json")).unwrap();
    let texts = ["README.md", "docs/deploying.md", "template.yaml"].map(|file| (file, read(file)));
    let mut missing = Vec::new();
    for (module, name) in providers() {
        let mut need = |step: usize, exists: bool, what: String| {
            assert!((1..=steps).contains(&step), "docs/adding-a-provider.md has no step {step}");
            if !exists {
                missing.push(format!("{name}, step {step}: {what}"));
            }
        };
        let has = |path: &str| root().join(path).exists();
        let mentions =
            |file: &str, words: &str| texts.iter().any(|(name, text)| *name == file && text.contains(words));
        let listed = PROVIDER_NAMES.contains(&name.as_str());
        need(1, listed, "a line in the list of shared/core/src/providers/mod.rs".into());
        let samples = format!("shared/signing/samples/{name}.ndjson");
        for path in [format!("shared/signing/src/providers/{module}.rs"), samples.clone()] {
            need(2, has(&path), path);
        }
        for sample in if has(&samples) { sample_names(&name, |_| true) } else { Vec::new() } {
            let case = format!("tests/fixtures/{name}/ok/{sample}/request.http");
            need(3, has(&case), case);
        }
        let rejected = format!("tests/fixtures/{name}/err");
        need(3, has(&rejected), rejected);
        for path in ["Cargo.toml", "src/main.rs"].map(|file| format!("functions/{module}/{file}")) {
            need(4, has(&path), path);
        }
        let route = format!("Path: /webhooks/{name},");
        need(5, mentions("template.yaml", &route), "a function in template.yaml".into());
        need(6, events.get(&name).is_some(), "keys in events/keys.json".into());
        need(6, has(&format!("events/{name}")), format!("events/{name}"));
        let url = format!("`…/webhooks/{name}");
        need(7, mentions("README.md", &url), "a row in the provider table of README.md".into());
        let url = format!("<{}Url>", capitalized(&module));
        need(7, mentions("docs/deploying.md", &url), "a section in docs/deploying.md".into());
    }
    assert!(missing.is_empty(), "missing:\n{}", missing.join("\n"));
    assert!(steps <= 7, "docs/adding-a-provider.md has {steps} steps");
}

fn capitalized(name: &str) -> String {
    name[..1].to_uppercase() + &name[1..]
}

pub fn sample_names(provider: &str, filter: fn(&Value) -> bool) -> Vec<String> {
    let samples = read(&format!("shared/signing/samples/{provider}.ndjson"));
    let samples = samples.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    samples.filter(filter).map(|sample| sample["name"].as_str().unwrap().to_owned()).collect()
}

/// All other code uses the list of providers. A few files use one provider as an example, or test the scheme that
/// two providers share.
#[test]
fn few_files_name_a_provider_outside_its_own_files() {
    const FILES_MAX: usize = 25;
    let own = [
        "shared/core/src/providers/plugnmeet.rs",
        "shared/signing/src/providers/plugnmeet.rs",
        "functions/plugnmeet/",
        "tests/fixtures/",
    ];
    let mut naming = BTreeSet::new();
    for folder in ["cli", "functions", "fuzz/src", "fuzz/targets", "shared", "tests"] {
        for ending in [".rs", ".py", ".js", ".toml"] {
            let files = files(folder, ending).into_iter();
            let files = files.filter(|(path, _)| !own.iter().any(|own| path.starts_with(own)));
            naming.extend(files.filter(|(_, text)| names_the_example(text)).map(|(path, _)| path));
        }
    }
    for file in
        ["template.yaml", "samconfig.toml", "fuzz/Cargo.toml", "fuzz/smoke", "schema/event.schema.json"]
    {
        naming.extend(names_the_example(&read(file)).then(|| file.to_owned()));
    }
    assert!(naming.len() <= FILES_MAX, "{} files name plugNmeet:\n{naming:#?}", naming.len());
}

fn names_the_example(text: &str) -> bool {
    text.to_lowercase().contains("plugnmeet")
}

/// Renders `docs/vocabulary.md` from the samples and the events expected for their fixtures.
fn vocabulary_page() -> String {
    let mut names: BTreeMap<(String, &str), Vec<String>> = BTreeMap::new();
    for provider in PROVIDER_NAMES {
        for name in sample_names(provider, |sample| sample["question"] != true) {
            let expected = read(&format!("tests/fixtures/{provider}/ok/{name}/expected.json"));
            let expected: Value = serde_json::from_str(&expected).unwrap();
            let kind = expected["event"]["type"].as_str().unwrap().to_owned();
            names.entry((kind, provider)).or_default().push(format!("`{name}`"));
        }
    }
    let mut page = String::from(
        "# Vocabulary\n\nThis table maps each provider's event types to the common types. The part after a `+` names the \
         content that decides the type. `UPDATE_EXPECT=1 cargo test -p livehooks-tests --test tidy` generates this \
         page from the fixtures.\n\n",
    );
    let rule = "---|".repeat(PROVIDER_NAMES.len() + 1);
    page += &format!("| type | {} |\n|{rule}\n", PROVIDER_NAMES.join(" | "));
    for kind in EventType::ALL {
        let column = |provider| {
            names.get(&(kind.to_string(), provider)).map_or(String::new(), |names| names.join(", "))
        };
        let columns: Vec<String> = PROVIDER_NAMES.iter().copied().map(column).collect();
        page += &format!("| `{kind}` | {} |\n", columns.join(" | "));
    }
    page
}

#[test]
fn the_vocabulary_page_matches_the_fixtures() {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(root().join("docs/vocabulary.md"), vocabulary_page()).unwrap();
    }
    assert_eq!(read("docs/vocabulary.md"), vocabulary_page());
}
