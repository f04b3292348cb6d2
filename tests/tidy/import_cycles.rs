//! Modules of a crate form no import cycles.

use std::collections::{BTreeMap, BTreeSet};

use super::files;

const CRATES: [&str; 3] = ["cli/src", "shared/aws/src", "shared/core/src"];

/// Maps each top-level module of a crate to the other modules that it imports.
fn imports(root: &str) -> BTreeMap<String, BTreeSet<String>> {
    let module =
        |path: &str| path[root.len() + 1..].split('/').next().unwrap().trim_end_matches(".rs").to_owned();
    let files: Vec<(String, String)> =
        files(root, ".rs").into_iter().map(|(path, text)| (module(&path), text)).collect();
    let modules: BTreeSet<String> = files.iter().map(|(module, _)| module.clone()).collect();
    let mut imports = BTreeMap::<String, BTreeSet<String>>::new();
    for (module, text) in files {
        let named = text
            .split("crate::")
            .skip(1)
            .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned());
        let others = named.filter(|name| modules.contains(name) && *name != module);
        imports.entry(module.clone()).or_default().extend(others);
    }
    imports
}

#[test]
fn modules_form_no_import_cycles() {
    for root in CRATES {
        let mut left = imports(root);
        assert!(left.values().any(|others| !others.is_empty()), "found no imports in {root}");
        // A module that imports none of the remaining ones is in no cycle.
        loop {
            let free: Vec<String> = left
                .iter()
                .filter(|(_, others)| others.is_empty())
                .map(|(module, _)| module.clone())
                .collect();
            if free.is_empty() {
                break;
            }
            left.retain(|module, _| !free.contains(module));
            left.values_mut().for_each(|others| others.retain(|other| !free.contains(other)));
        }
        assert!(left.is_empty(), "import cycle in {root}: {left:?}");
    }
}
