//! Only its owner can read the data folder.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::{Dev, EXAMPLE, json_lines, run, send};
use serde_json::json;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Checks the folder and every file in it, and returns their names.
fn private_files(folder: &Path) -> Vec<String> {
    assert_eq!(mode(folder), 0o700, "{}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    names
}

#[test]
fn every_file_is_private_including_those_of_sqlite() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".livehooks");
    let mut dev = Dev::start(home.path(), &[]);
    assert!(send(home.path(), &[EXAMPLE, "room_started"]).status.success());
    dev.notification();
    let target = ["replay", "--to", "http://127.0.0.1:9/nobody", "--since", "1h"];
    run(home.path(), &target);
    let names = private_files(&folder);
    for name in [
        "events.db",
        "events.db-shm",
        "events.db-wal",
        "format.json",
        "keys.json",
        "lock",
        "queue.db",
        "queue.db-shm",
        "queue.db-wal",
        "running.json",
    ] {
        assert!(names.iter().any(|found| found == name), "{name} is not among {names:?}");
    }
    dev.kill();
    private_files(&folder);
}

#[test]
fn an_existing_folder_is_made_private_at_the_start() {
    for arguments in [&[][..], &["--memory"]] {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".livehooks");
        drop(Dev::start(home.path(), &[]));
        for entry in fs::read_dir(&folder).unwrap() {
            fs::set_permissions(entry.unwrap().path(), fs::Permissions::from_mode(0o644)).unwrap();
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let _dev = Dev::start(home.path(), arguments);
        private_files(&folder);
    }
}

#[test]
fn a_folder_of_an_older_version_keeps_its_events_and_gets_the_index() {
    let home = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(home.path(), &[]);
    send(home.path(), &[EXAMPLE, "room_started", "--room", "old"]);
    // As the older version left it: an item without the index's key, a table without the index, and its format.
    let items = dev.dynamodb("Scan", &json!({ "TableName": "Events" }));
    let key = &items["Items"][0]["event_key"];
    let update = json!({
        "TableName": "Events", "Key": { "event_key": key, "occurrence": { "N": "0" } },
        "UpdateExpression": "REMOVE time_shard",
    });
    dev.dynamodb("UpdateItem", &update);
    let deleted = json!({ "Delete": { "IndexName": "by_time" } });
    dev.dynamodb("UpdateTable", &json!({ "TableName": "Events", "GlobalSecondaryIndexUpdates": [deleted] }));
    dev.kill();
    let format = home.path().join(".livehooks/format.json");
    fs::write(&format, r#"{"format":1}"#).unwrap();

    let dev = Dev::start(home.path(), &[]);
    let indexed = dev.dynamodb("Scan", &json!({ "TableName": "Events", "IndexName": "by_time" }));
    assert_eq!(indexed["Count"], 1);
    assert_eq!(fs::read_to_string(&format).unwrap(), r#"{"format":2}"#);
    send(home.path(), &[EXAMPLE, "room_started", "--room", "new"]);
    let rooms = |arguments: &[&str]| -> Vec<String> {
        let events = json_lines(home.path(), &[&["events", "--json"], arguments].concat());
        events.iter().map(|event| event["subject"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(rooms(&[]), ["old", "new"]);
    assert_eq!(rooms(&["--room", "old", "--since", "1h"]), ["old"]);
    assert_eq!(rooms(&["-n", "1"]), ["new"]);
}
