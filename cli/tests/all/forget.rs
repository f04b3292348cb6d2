//! `forget`: what it erases, and what it leaves.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::harness::{Dev, Items, ask, items, json_lines, ran, run, stderr, stdout};
use data_encoding::BASE64;
use flate2::read::GzDecoder;
use jiff::Timestamp;
use livehooks::keys_file::KeysFile;
use livehooks_signing::{PROVIDERS, ProviderInfo, SampleValues};
use serde_json::Value;

/// The person to forget, and another one whose id starts with theirs.
const ANN: &str = "user-42";
const ANNS_NAME: &str = "Ann Unforgettable";
const BEN: &str = "user-421";

/// An attribute's text, unpacked; empty if there is none.
fn unpacked(item: &Value, attribute: &str) -> String {
    let Some(gzip) = item[attribute]["B"].as_str() else {
        return item[attribute]["S"].as_str().unwrap_or_default().to_owned();
    };
    let (gzip, mut text) = (BASE64.decode(gzip.as_bytes()).unwrap(), String::new());
    GzDecoder::new(&*gzip).read_to_string(&mut text).unwrap();
    text
}

fn event(item: &Value) -> Value {
    serde_json::from_str(&unpacked(item, "event")).unwrap()
}

/// Everything in an item, unpacked and decoded.
fn text(item: &Value) -> String {
    let event = unpacked(item, "event");
    let mut text = format!("{item} {event} {}", unpacked(item, "raw"));
    if let Some((_, body)) = event.split_once(r#""raw_base64":""#) {
        let body = BASE64.decode(body.split('"').next().unwrap().as_bytes()).unwrap();
        text += &String::from_utf8_lossy(&body);
    }
    text
}

/// Whether an id of Ann is in the text. A file's name alone may be that of somebody else.
fn has_ann(text: &str) -> bool {
    text.replace(BEN, "").replace("user-42.webm", "").contains(ANN)
}

/// Delivers a body as its provider does; returns the answer's status, empty if it was rejected.
fn deliver(dev: &mut Dev, folder: &Path, provider: &ProviderInfo, body: &str) -> String {
    let keys = KeysFile::read(&folder.join(".livehooks/keys.json")).unwrap();
    let keys = keys.signing(provider).unwrap();
    let signed = (provider.sign)(keys, body.as_bytes(), Timestamp::now().into()).unwrap();
    let token = signed.url_token.map_or_else(String::new, |token| format!("/{token}"));
    let address = dev.url.strip_prefix("http://").unwrap();
    let headers = signed.headers.iter().map(|(name, value)| format!("{name}: {value}"));
    let headers: Vec<String> = headers.chain([format!("Host: {address}")]).collect();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let head = format!("POST /webhooks/{}{token} HTTP/1.1", provider.name);
    let answer = ask(address, &head, &headers, body);
    let json: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    // The pipe would fill up.
    dev.line();
    // Some providers read the answer, so it has no status.
    json["status"]
        .as_str()
        .unwrap_or(if answer.starts_with("HTTP/1.1 200 ") { "answered" } else { "" })
        .to_owned()
}

/// A body of this sample, with the name of Ann if it is about her.
fn body(provider: &ProviderInfo, sample: &str, participant: &str) -> String {
    let is_ann = participant == ANN;
    let id = uuid::Uuid::new_v4();
    let values = SampleValues {
        room: "standup".into(),
        participant: participant.into(),
        name: if is_ann { ANNS_NAME } else { "Zoë <b>" }.into(),
        connection: id,
        // The samples of two people have the same ids of the session.
        session: if is_ann { "session-a" } else { "session-b" }.into(),
        ..SampleValues::of(id.to_string(), Timestamp::now())
    };
    provider.sample(sample).unwrap().body(&values)
}

fn sequence(item: &Value) -> bool {
    event(item)["dedupebasis"] == "sequence"
}

const TOMBSTONE: [&str; 8] = [
    "body_sha256",
    "event_key",
    "expires_at",
    "forgotten_at",
    "occurrence",
    "received_at",
    "time_shard",
    "type",
];

#[test]
fn one_of_two_people_is_erased_from_the_events_of_every_provider() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(folder.path(), &["--memory"]);
    let mut sent = Vec::new();
    for provider in PROVIDERS {
        for participant in [ANN, BEN] {
            for sample in provider.samples() {
                let body = body(provider, sample.name, participant);
                // Without the participant, some bodies of two people are the same.
                match &*deliver(&mut dev, folder.path(), provider, &body) {
                    "accepted" | "answered" => sent.push((provider, body)),
                    status => assert_eq!(status, "duplicate", "{body}"),
                }
            }
        }
    }
    let before = items(&dev);
    let (of_ann, others): (Items, Items) =
        before.clone().into_iter().partition(|(_, item)| has_ann(&text(item)));
    assert!(of_ann.len() > 100 && others.len() > 200, "{} {}", of_ann.len(), others.len());
    assert!(of_ann.values().any(|item| text(item).contains(ANNS_NAME)));

    let arguments = ["forget", "--participant", ANN, "--dry-run", "--json"];
    let groups = json_lines(folder.path(), &arguments);
    assert_eq!(items(&dev), before, "a dry run changes nothing");
    let count = |groups: &[Value]| groups.iter().map(|group| group["count"].as_u64().unwrap()).sum::<u64>();
    let erased = json_lines(folder.path(), &["forget", "--participant", ANN, "--yes", "--json"]);
    assert_eq!(erased, groups);

    let after = items(&dev);
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(of_ann.iter().all(|(key, item)| after[key] != *item), "every event with Ann is changed");
    // The samples have further ids of Ann, which may be all that an event has of her.
    let (of_ann, others): (Items, Items) =
        before.clone().into_iter().partition(|(key, item)| after[key] != *item);
    assert_eq!(count(&groups), of_ann.len() as u64);
    for item in of_ann.values().filter(|item| !has_ann(&text(item))) {
        let text = text(item);
        assert!(!text.contains(BEN), "{text}");
    }
    assert!(others.values().filter(|item| text(item).contains(BEN)).count() > 100);
    let (mut tombstones, mut parts) = (0, 0);
    for (key, old) in &of_ann {
        let (new, text) = (&after[key], text(&after[key]));
        assert!(!text.contains(ANNS_NAME) && !has_ann(&text), "{text}");
        for name in ["type", "received_at", "expires_at", "body_sha256"] {
            assert_eq!(new[name], old[name]);
        }
        let names: Vec<&String> = new.as_object().unwrap().keys().collect();
        if new.get("event").is_none() {
            tombstones += 1;
            assert_eq!(names, TOMBSTONE);
        } else {
            parts += 1;
            assert!(!text.contains("raw"), "{text}");
            assert_eq!((&new["room_key"], &new["time_shard"]), (&old["room_key"], &old["time_shard"]));
            let (event, complete) = (event(new), event(old));
            for name in ["id", "source", "subject", "time", "type", "recordedtime"] {
                assert_eq!(event.get(name), complete.get(name), "{name}");
            }
            for name in ["room", "session"] {
                assert_eq!(event["data"].get(name), complete["data"].get(name), "{name}");
            }
        }
        let kind = old["type"]["S"].as_str().unwrap();
        let is_own = kind.starts_with("live.participant.") || kind.starts_with("live.track.");
        if is_own && event(old)["data"]["participant"].to_string().contains(ANN) {
            assert!(new.get("event").is_none(), "{kind}");
        }
    }
    assert!(tombstones > 50 && parts > 40, "{tombstones} {parts}");

    // Readers do not see what was erased, and nothing is unreadable.
    let shown = json_lines(folder.path(), &["events", "--json", "-n", "10000"]);
    assert_eq!(shown.len(), others.len() + parts);
    assert_eq!(json_lines(folder.path(), &["replay", "--dry-run", "--json"]).len(), shown.len());
    for arguments in [&["rooms"][..], &["timeline", "standup"], &["events", "--participant", BEN]] {
        let output = run(folder.path(), arguments);
        assert_eq!(
            (
                output.status.code(),
                &*stderr(&output)
                    .replace("events of the last 24 hours; --since 90d shows all stored ones\n", "")
            ),
            (Some(0), "")
        );
        assert!(!has_ann(&stdout(&output)), "{}", stdout(&output));
    }
    assert_eq!(ran(folder.path(), &["events", "--participant", ANN], 0), "");

    // A repeated delivery is a duplicate, and changes nothing.
    for (provider, body) in &sent {
        let values = (provider.normalize)(
            KeysFile::read(&folder.path().join(".livehooks/keys.json")).unwrap().signing(provider).unwrap(),
            body.as_bytes(),
            Timestamp::now(),
        );
        let key = (values.unwrap().event_key, "0".to_owned());
        if of_ann.get(&key).is_some_and(|item| !sequence(item)) {
            let status = deliver(&mut dev, folder.path(), provider, body);
            assert!(matches!(&*status, "duplicate" | "answered"), "{status} {body}");
        }
    }
    assert_eq!(items(&dev), after);
    let again = run(folder.path(), &["forget", "--participant", ANN, "--yes"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        stderr(&again).contains("no event with this participant in the local stack"),
        "{}",
        stderr(&again)
    );
    assert_eq!(published(&mut dev, folder.path()), before.len(), "erasing publishes nothing");
}

/// How many notifications there are, after another event is published.
fn published(dev: &mut Dev, folder: &Path) -> usize {
    let provider = ProviderInfo::named("livekit").unwrap();
    let last = body(provider, "room_started", BEN).replace("standup", "last");
    assert_eq!(deliver(dev, folder, provider, &last), "accepted");
    let lines = BufReader::new(dev.connect("/api/announcements?replay=all")).lines();
    let messages = lines.map(Result::unwrap).filter(|line| line.starts_with("data: "));
    messages.take_while(|line| !line.contains(r#""subject":"last""#)).count()
}

#[test]
fn an_id_is_found_in_compressed_escaped_and_non_json_bodies() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(folder.path(), &["--memory"]);
    let provider = ProviderInfo::named("jaas").unwrap();
    let large = "x".repeat(100_000);
    let bodies = [
        format!(r#"{{"idempotencyKey":"1","list":["{large}","{ANN}"]}}"#),
        r#"{"idempotencyKey":"2","text":"\u0075ser\u002d42"}"#.to_owned(),
        r#"{"idempotencyKey":"3","metadata":"{\"\\u0075ser-42\":1}"}"#.to_owned(),
        format!("no JSON: {ANN}, and more"),
        format!(r#"{{"idempotencyKey":"4","url":"https://example.com/user%2D42/{BEN}"}}"#),
    ];
    let others = [
        format!(r#"{{"idempotencyKey":"5","list":["{large}","{BEN}"]}}"#),
        format!("no JSON: {BEN}"),
        format!(r#"{{"idempotencyKey":"6","file":"{ANN}.mp4"}}"#),
    ];
    for body in bodies.iter().chain(&others) {
        assert_eq!(deliver(&mut dev, folder.path(), provider, body), "accepted");
    }
    let before = items(&dev);
    assert!(before.values().any(|item| item["raw"].get("B").is_some()), "one is compressed");
    let output = run(folder.path(), &["forget", "--participant", ANN, "--yes"]);
    assert_eq!(output.status.code(), Some(0));
    let said = stderr(&output);
    assert!(said.contains("5 events in the local stack: 0 to erase completely, 5 in part"), "{said}");
    assert!(said.contains("3 other events have the id only as a part of a longer word"), "{said}");
    let changed = |before: &Items| items(&dev).iter().filter(|(key, item)| before[*key] != **item).count();
    assert_eq!(changed(&before), bodies.len());
    ran(folder.path(), &["forget", "--participant", ANN, "--in-words", "--yes"], 0);
    assert_eq!(changed(&before), bodies.len() + others.len());
    assert!(items(&dev).values().all(|item| !text(item).contains(ANN)));
}

#[test]
fn an_erased_event_of_a_sequence_stays_in_it_and_explain_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(folder.path(), &["--memory"]);
    let provider = ProviderInfo::named("videosdk").unwrap();
    let joined = body(provider, "participant-joined", ANN);
    assert_eq!(deliver(&mut dev, folder.path(), provider, &joined), "accepted");
    let id = json_lines(folder.path(), &["events", "--json"])[0]["id"].as_str().unwrap().to_owned();
    ran(folder.path(), &["forget", "--participant", ANN, "--yes"], 0);
    assert_eq!(deliver(&mut dev, folder.path(), provider, &joined), "duplicate");

    let explained = ran(folder.path(), &["explain", &id], 0);
    for part in ["live.participant.joined", "with `livehooks forget`", " / 0\n", "expires "] {
        assert!(explained.contains(part), "{part:?} is not in:\n{explained}");
    }
    assert!(!explained.contains(ANN));
    let tombstone = json_lines(folder.path(), &["explain", &id, "--json"]).remove(0);
    assert_eq!(tombstone["type"], "live.participant.joined");
    assert!(tombstone["forgotten_at"].as_str().unwrap().parse::<Timestamp>().is_ok());
    let detail = dev.get(&format!("/api/event?provider=videosdk&id={id}"));
    assert!(detail.starts_with("HTTP/1.1 410 ") && detail.contains("livehooks forget"), "{detail}");

    let left = body(provider, "participant-left", ANN);
    assert_eq!(deliver(&mut dev, folder.path(), provider, &left), "accepted");
    let next = format!("{}.1", id.split('.').next().unwrap());
    let explained = ran(folder.path(), &["explain", &next], 0);
    assert!(explained.contains("occurrence 0 of its sequence existed and was erased"), "{explained}");
}

#[test]
fn an_event_that_lost_a_part_is_explained_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(folder.path(), &["--memory"]);
    let provider = ProviderInfo::named("livekit").unwrap();
    assert_eq!(
        deliver(&mut dev, folder.path(), provider, &body(provider, "ingress_started", ANN)),
        "accepted"
    );
    ran(folder.path(), &["forget", "--participant", ANN, "--yes"], 0);
    let event = json_lines(folder.path(), &["events", "--room", "standup", "--json"]).remove(0);
    assert_eq!(
        (&event["type"], &event["data"]["participant"]),
        (&"live.ingress.started".into(), &Value::Null)
    );
    let id = event["id"].as_str().unwrap();
    let explained = ran(folder.path(), &["explain", id], 0);
    assert!(explained.contains("a person and the provider's JSON were erased"), "{explained}");
    let detail = dev.get(&format!("/api/event?provider=livekit&id={id}"));
    assert!(detail.contains(r#""raw":null,"raw_base64":null"#), "{detail}");
    let detail: Value = serde_json::from_str(detail.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert!(detail["forgotten"].is_string());
}
