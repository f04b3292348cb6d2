//! An item that contains no valid event does not hide the others.

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use crate::harness::{App, Dev, EXAMPLE, interrupt, livehooks, run, send, stderr, stdout};

#[test]
fn an_unreadable_item_is_skipped_named_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--memory"]);
    send(folder.path(), &[EXAMPLE, "participant_joined", "--room", "standup"]);
    dev.store_unreadable("broken", "standup");
    send(folder.path(), &[EXAMPLE, "participant_joined", "--room", "standup", "--participant", "late"]);
    let skipped = |output: &Output, code: i32| {
        let (shown, said) = (stdout(output), stderr(output));
        assert_eq!(output.status.code(), Some(code), "{shown}{said}");
        let warning = format!("warning: skipped: the item {EXAMPLE}#broken does not contain a valid event: ");
        assert_eq!(said.matches(&warning).count(), 1, "{said}");
        assert!(said.contains("1 item of the table was skipped: no valid event"), "{said}");
        shown
    };
    for arguments in [
        &["events", "--json"][..],
        &["events", "--json", "--participant", "late"],
        &["events", "--json", "--room", "standup"],
        &["events", "--json", "--room", "standup", "--since", "1h"],
        &["rooms"],
        &["timeline", "standup", "--json"],
        &["replay", "--dry-run", "--room", "standup", "--json"],
    ] {
        let shown = skipped(&run(folder.path(), arguments), 4);
        assert!(
            shown.contains("late") || (arguments[0] == "rooms" && shown.contains("2 of 2")),
            "{arguments:?}: {shown}"
        );
    }
    assert_eq!(skipped(&run(folder.path(), &["unfinished", "--older-than", "30d"]), 4), "");
    let open = skipped(&run(folder.path(), &["unfinished", "--older-than", "0s"]), 3);
    assert!(open.contains("participant"), "{open}");
    skipped(&run(folder.path(), &["explain", "broken"]), 4);

    let app = App::start();
    let (url, home) = (app.url.clone(), folder.path().to_owned());
    let replay = std::thread::spawn(move || run(&home, &["replay", "--room", "standup", "--to", &url]));
    app.take();
    app.take();
    let output = replay.join().unwrap();
    skipped(&output, 4);
    assert!(stderr(&output).contains("published 2 events again"), "{}", stderr(&output));

    let timeline = dev.get(&format!("/api/timeline?provider={EXAMPLE}&room=standup"));
    assert!(timeline.contains(r#""events":2"#), "{timeline}");
    assert!(dev.get("/api/events").contains("late"));
}

#[cfg(unix)]
#[test]
fn a_follower_skips_an_unreadable_item_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--memory"]);
    let app = App::start();
    let mut listen = livehooks(folder.path());
    listen.args(["listen", "--forward-to", &app.url]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut follow = livehooks(folder.path());
    follow.args(["events", "--follow", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut listen = listen.spawn().unwrap();
    let mut follow = follow.spawn().unwrap();
    let mut said = BufReader::new(listen.stderr.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    send(folder.path(), &[EXAMPLE, "room_started", "--room", "first"]);
    let mut shown = BufReader::new(follow.stdout.take().unwrap()).lines();
    assert!(shown.next().unwrap().unwrap().contains("first"));
    assert_eq!(app.take()["subject"], "first");
    dev.store_unreadable("broken", "second");
    send(folder.path(), &[EXAMPLE, "room_started", "--room", "third"]);
    assert!(shown.next().unwrap().unwrap().contains("third"));
    assert_eq!(app.take()["subject"], "third");
    let mut followed = BufReader::new(follow.stderr.take().unwrap());
    for (process, said) in [(&mut listen, &mut said as &mut dyn BufRead), (&mut follow, &mut followed)] {
        interrupt(process);
        assert_eq!(process.wait().unwrap().code(), Some(4));
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        assert!(
            rest.contains(&format!("warning: skipped: the item {EXAMPLE}#broken does not contain")),
            "{rest}"
        );
        assert!(rest.contains("1 item of the table was skipped"), "{rest}");
    }
}
