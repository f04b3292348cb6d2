//! Following the table's stream: nothing is lost if an iterator expires, a shard is throttled or the stack restarts.
#![cfg(unix)]

#[path = "harness/stream_proxy.rs"]
mod stream_proxy;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use crate::harness::{App, Dev, EXAMPLE, interrupt, json_lines, livehooks, send};
use jiff::{SignedDuration, Timestamp};
use livehooks::history::{Cursor, ShardCursor, Tail, TailError};
use serde_json::Value;
use stream_proxy::StreamProxy;

/// Sends `count` joins and returns their ids, oldest first.
fn joins(folder: &Path, count: usize) -> Vec<String> {
    let ids = || -> Vec<String> {
        json_lines(folder, &["events", "--json", "-n", "1000"]).iter().map(id).collect()
    };
    let before = ids().len();
    send(folder, &[EXAMPLE, "participant_joined", "--count", &count.to_string()]);
    ids().split_off(before)
}

fn id(event: &Value) -> String {
    event["id"].as_str().unwrap().to_owned()
}

/// Reads the stream until it returns nothing, and acknowledges everything.
async fn read_all(tail: &mut Tail<'_>) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let found = tail.next().await.unwrap();
        if found.is_empty() {
            return ids;
        }
        for tailed in found {
            ids.push(tailed.stored.event.id.clone());
            tail.acknowledge(&tailed);
        }
    }
}

#[test]
fn an_expired_iterator_of_a_shard_without_events_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--memory"]);
    let proxy = StreamProxy::start(&dev.dynamodb);
    let source = proxy.source();
    let mut tail = proxy.block_on(Tail::from_now(&source)).unwrap();
    assert!(proxy.block_on(tail.next()).unwrap().is_empty());
    let sent = joins(folder.path(), 3);
    proxy.expire_iterators();
    assert!(proxy.block_on(tail.next()).unwrap().is_empty(), "the iterator has expired");
    assert_eq!(proxy.block_on(read_all(&mut tail)), sent);
    let newest = joins(folder.path(), 1);
    proxy.expire_iterators();
    assert!(proxy.block_on(tail.next()).unwrap().is_empty(), "the iterator has expired");
    assert_eq!(proxy.block_on(read_all(&mut tail)), newest);
}

#[test]
fn a_shards_place_is_a_time_until_it_has_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--memory"]);
    let proxy = StreamProxy::start(&dev.dynamodb);
    let source = proxy.source();
    let now = Timestamp::now();
    let start = proxy.block_on(Tail::from_now(&source)).unwrap().cursor().clone();
    let [(shard, ShardCursor::Since(begun))] = &start.shards.into_iter().collect::<Vec<_>>()[..] else {
        panic!("expected one shard with a time");
    };
    assert!(*begun >= now);
    let sent = joins(folder.path(), 2);
    let read_since = |time: Timestamp| {
        let shards = [(shard.clone(), ShardCursor::Since(time))].into();
        let cursor = Cursor { stream_arn: start.stream_arn.clone(), shards };
        proxy.block_on(async {
            let mut tail = Tail::after(&source, cursor).await?;
            let found = tail.next().await?;
            Ok(found.into_iter().map(|tailed| tailed.stored.event.id).collect::<Vec<_>>())
        })
    };
    let hours = SignedDuration::from_hours;
    assert_eq!(read_since(*begun).unwrap(), sent);
    assert_eq!(read_since(*begun - hours(1)).unwrap(), sent);
    assert_eq!(
        read_since(*begun + hours(1)).unwrap(),
        [""; 0],
        "earlier events were written before the place"
    );
    // The stream's first records may be gone by now.
    assert!(matches!(read_since(now - hours(24)), Err(TailError::Trimmed)));
}

#[test]
fn a_throttled_shard_does_not_drop_the_events_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--memory"]);
    let proxy = StreamProxy::start(&dev.dynamodb);
    proxy.add_shard();
    let source = proxy.source();
    let mut tail = proxy.block_on(Tail::from_now(&source)).unwrap();
    let sent = joins(folder.path(), 2);
    proxy.throttle(true);
    let (mut ids, mut failures) = (Vec::new(), 0);
    for _ in 0..4 {
        match proxy.block_on(tail.next()) {
            Ok(found) => {
                for tailed in found {
                    ids.push(tailed.stored.event.id.clone());
                    tail.acknowledge(&tailed);
                }
            }
            Err(error) => {
                assert!(error.to_string().contains("LimitExceeded"), "{error}");
                failures += 1;
                proxy.throttle(false);
            }
        }
    }
    assert_eq!((ids, failures), (sent, 1));
}

#[test]
fn a_listener_that_slept_delivers_what_came_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--memory"]);
    let proxy = StreamProxy::start(&dev.dynamodb);
    proxy.use_in(folder.path());
    let app = App::start();
    let mut command = livehooks(folder.path());
    command.args(["listen", "--forward-to", &app.url]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut listener = command.spawn().unwrap();
    proxy.wait_for_read(0);
    proxy.pause();
    let sent = joins(folder.path(), 3);
    proxy.expire_iterators();
    proxy.resume();
    assert_eq!([app.take(), app.take(), app.take()].map(|event| id(&event)), sent[..]);
    interrupt(&listener);
    listener.wait().unwrap();
}

#[test]
fn following_continues_when_the_stack_has_restarted() {
    // A stack in memory has a new table after a restart, with a new stream.
    for data in [["--data", "data"].as_slice(), &["--memory"]] {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let arguments = [data, &["--dynamodb-port", &port]].concat();
        let mut dev = Dev::start(folder.path(), &arguments);
        let first = joins(folder.path(), 1);
        let mut command = livehooks(folder.path());
        command.args(["events", "--follow", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut following = command.spawn().unwrap();
        let mut shown = BufReader::new(following.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut said = BufReader::new(following.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut next = || id(&serde_json::from_str(&shown.next().expect("an event")).unwrap());
        assert_eq!(next(), first[0]);
        dev.kill();
        let line = said.next().unwrap();
        assert!(line.starts_with("waiting  "), "{line}");
        let _dev = Dev::start(folder.path(), &arguments);
        let sent = joins(folder.path(), 2);
        assert_eq!([next(), next()], sent[..], "{data:?}");
        interrupt(&following);
        assert_eq!(following.wait().unwrap().code(), Some(0));
    }
}
