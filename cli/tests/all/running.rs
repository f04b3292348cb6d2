//! Which local stack a command uses: that of its folder, or none without saying so.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Dev, EXAMPLE, interrupt, json_lines, run, send, stderr, stdout};
use serde_json::Value;

fn file(folder: &Path) -> PathBuf {
    folder.join(".livehooks/running.json")
}

/// Sends a join of this room to the folder's stack.
fn join(folder: &Path, room: &str) {
    let sent = send(folder, &[EXAMPLE, "participant_joined", "--room", room]);
    assert!(sent.status.success(), "{}{}", stdout(&sent), stderr(&sent));
}

/// The rooms of all events in the folder's stack.
fn rooms(folder: &Path) -> Vec<String> {
    let events = json_lines(folder, &["events", "--json"]);
    events.iter().map(|event| event["subject"].as_str().unwrap().to_owned()).collect()
}

fn end(dev: &mut Dev) {
    interrupt(&dev.process);
    assert_eq!(dev.process.wait().unwrap().code(), Some(0));
}

#[test]
fn the_newest_of_two_stacks_is_used_until_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut first = Dev::start(folder, &["--memory"]);
    join(folder, "first");
    let mut second = Dev::start(folder, &["--memory"]);
    join(folder, "second");
    assert_eq!(rooms(folder), ["second"]);
    end(&mut second);
    assert_eq!(rooms(folder), ["first"]);
    end(&mut first);
    assert!(!file(folder).exists());
}

#[test]
fn a_stack_that_ends_leaves_the_file_of_a_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut first = Dev::start(folder, &["--memory"]);
    let mut second = Dev::start(folder, &["--memory"]);
    end(&mut first);
    join(folder, "second");
    assert_eq!(rooms(folder), ["second"]);
    end(&mut second);
    assert!(!file(folder).exists());
}

#[test]
fn somebody_elses_stack_is_not_used() {
    let [own, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut dev = Dev::start(own.path(), &["--memory"]);
    dev.kill();
    // The other stack got the ports of the one that was killed.
    let _other = Dev::start(other.path(), &["--memory"]);
    join(other.path(), "theirs");
    let read = |folder: &Path| -> Value { serde_json::from_slice(&fs::read(file(folder)).unwrap()).unwrap() };
    let (mut running, theirs) = (read(own.path()), read(other.path()));
    for name in ["url", "dynamodb", "sns"] {
        running[name] = theirs[name].clone();
    }
    fs::write(file(own.path()), running.to_string()).unwrap();
    let process = running["process"].as_u64().unwrap();
    for arguments in [&["events"][..], &["rooms"], &["send", EXAMPLE, "participant_joined"]] {
        let output = run(own.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stdout(&output));
        assert_eq!(stdout(&output), "");
        let error = stderr(&output);
        assert!(error.contains(&format!("(process {process}) does not answer")), "{error}");
        assert!(error.contains("start the local stack with `cargo livehooks dev`"), "{error}");
    }
    assert_eq!(rooms(other.path()), ["theirs"]);
}

#[test]
fn a_fallback_is_announced_and_never_published_to() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (content, expected) in [
        (None, "no local stack was started from this folder"),
        (Some("{"), "running.json is damaged or of another version"),
        (Some(r#"{"url": "http://127.0.0.1:3000", "keys": "keys.json"}"#), "running.json is damaged"),
    ] {
        if let Some(content) = content {
            fs::create_dir_all(folder.join(".livehooks")).unwrap();
            fs::write(file(folder), content).unwrap();
        }
        // Whether a stack is at the default ports depends on the machine.
        let said = stderr(&run(folder, &["events"]));
        assert!(
            said.starts_with(&format!("note: {}", if content.is_none() { expected } else { "" })),
            "{said}"
        );
        assert!(said.contains(expected) && said.contains("127.0.0.1:3001"), "{said}");
        let to = ["--to", "http://127.0.0.1:9/"];
        for arguments in [
            &["send", EXAMPLE, "participant_joined"][..],
            &[&["replay"][..], &to].concat(),
            &["replay", "--to-topic"],
            &["listen", "--forward-to", "http://127.0.0.1:9/"],
            &["queue", "redrive"],
        ] {
            let output = run(folder, arguments);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stdout(&output));
            let error = stderr(&output);
            assert!(error.starts_with("error: ") && error.contains(expected), "{arguments:?}: {error}");
        }
    }
}
