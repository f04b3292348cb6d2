//! Lookups in a table with many events: what they find, and how many requests they take.
//!
//! `EVENTS=200000 cargo test -p livehooks --test all lookups -- --nocapture` prints times for a larger table.
#![allow(clippy::print_stdout, reason = "one test prints times")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use jiff::{SignedDuration, Timestamp};
use livehooks::dev::Database;
use livehooks::history::{Filter, Source};
use livehooks_aws::store::{room_key, sortable, time_shard};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// All events are received within this time.
const PERIOD: SignedDuration = SignedDuration::from_hours(24 * 90);
const ROOMS: usize = 100;

/// Requests by operation.
type Requests = Arc<Mutex<BTreeMap<String, usize>>>;

/// A table, and what was requested from it.
struct Table {
    source: Source,
    requests: Requests,
    database: SocketAddr,
    now: Timestamp,
}

#[derive(Clone)]
struct Proxy {
    requests: Requests,
    database: SocketAddr,
    client: reqwest::Client,
}

async fn count_request(State(proxy): State<Proxy>, headers: HeaderMap, body: String) -> impl IntoResponse {
    let operation = headers["x-amz-target"].to_str().unwrap().split('.').nth(1).unwrap().to_owned();
    *proxy.requests.lock().unwrap().entry(operation).or_default() += 1;
    let request = proxy.client.post(format!("http://{}/", proxy.database)).body(body);
    let request = ["x-amz-target", "content-type"]
        .iter()
        .fold(request, |request, name| request.header(*name, headers[*name].to_str().unwrap()));
    let answer = request.send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    (status, [("content-type", "application/x-amz-json-1.0")], answer.text().await.unwrap())
}

/// The item of event number `n`, received at `time`. Events of an older version are not in the index `by_time`.
fn item(n: usize, time: Timestamp, is_indexed: bool) -> Value {
    let (room, kind) = (format!("room-{}", n % ROOMS), if n.is_multiple_of(2) { "joined" } else { "left" });
    let key = format!("livekit#EV_{n:07}");
    let event = json!({
        "specversion": "1.0", "id": format!("EV_{n:07}"), "source": "/livehooks/livekit/k",
        "type": format!("live.participant.{kind}"), "subject": room, "time": time, "recordedtime": time,
        "timebasis": "provider", "provider": "livekit", "assurance": "signed", "dedupebasis": "provider-id",
        "datacontenttype": "application/json",
        "data": { "participant": { "id": format!("user-{}", n % 7) }, "raw": { "padding": "x".repeat(1_000) } },
    });
    let mut item = json!({
        "event_key": { "S": key }, "occurrence": { "N": "0" }, "event": { "S": event.to_string() },
        "type": { "S": event["type"] }, "room_key": { "S": room_key("livekit", &room) },
        "occurred_at": { "S": sortable(time) }, "received_at": { "S": sortable(time) },
        "body_sha256": { "S": "" }, "write_id": { "S": "" },
    });
    if is_indexed {
        item["time_shard"] = json!({ "S": time_shard(&key) });
    }
    item
}

impl Table {
    /// A table with `count` events at equal intervals, the newest now.
    async fn with(count: usize) -> Self {
        let table = Self::empty().await;
        let time = |n| table.now - PERIOD * i32::try_from(n).unwrap() / i32::try_from(count).unwrap();
        let items: Vec<Value> = (0..count).map(|n| item(n, time(n), true)).collect();
        table.put(&items).await;
        table
    }

    async fn empty() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let database = listener.local_addr().unwrap();
        tokio::spawn(Database::open(None).unwrap().serve(listener));
        let requests = Requests::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Proxy { requests: requests.clone(), database, client: reqwest::Client::new() };
        let app = axum::Router::new().fallback(count_request).with_state(proxy);
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { source: Source::local(address, address), requests, database, now: Timestamp::now() }
    }

    async fn put(&self, items: &[Value]) {
        let client = reqwest::Client::new();
        for items in items.chunks(25) {
            let puts: Vec<Value> =
                items.iter().map(|item| json!({ "PutRequest": { "Item": item } })).collect();
            let body = json!({ "RequestItems": { "Events": puts } }).to_string();
            let request = client.post(format!("http://{}/", self.database)).body(body);
            let request = request.header("x-amz-target", "DynamoDB_20120810.BatchWriteItem");
            let answer = request.header("content-type", "application/x-amz-json-1.0").send().await.unwrap();
            assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        }
    }

    /// The ids of the events that match, oldest first, and the requests that it took.
    async fn find(&self, filter: Filter) -> (Vec<String>, BTreeMap<String, usize>) {
        self.requests.lock().unwrap().clear();
        let started = Instant::now();
        let found = self.source.events(&filter).await.unwrap();
        let requests = std::mem::take(&mut *self.requests.lock().unwrap());
        println!("{:6.3} s, {} events, {requests:?}", started.elapsed().as_secs_f64(), found.len());
        (found.into_iter().map(|stored| stored.event.id).collect(), requests)
    }

    fn ago(&self, hours: i64) -> Option<Timestamp> {
        Some(self.now - SignedDuration::from_hours(hours))
    }
}

/// Every lookup that reads the index `by_time`, for events at equal intervals over 90 days.
fn lookups(table: &Table) -> Vec<(&'static str, Filter)> {
    let since = |hours| Filter { since: table.ago(hours), ..Filter::default() };
    vec![
        ("the newest 50", Filter { limit: Some(50), ..Filter::default() }),
        ("the last hour", since(1)),
        ("the last day", since(24)),
        (
            "an hour of the day before",
            Filter { since: table.ago(25), until: table.ago(24), ..Filter::default() },
        ),
        ("a room's last day", Filter { room: Some("room-1".into()), ..since(24) }),
        (
            "the newest 50 of a type",
            Filter { r#type: Some("live.participant.l*".into()), limit: Some(50), ..since(24) },
        ),
        ("a participant's last day", Filter { participant: Some("user-3".into()), ..since(24) }),
    ]
}

/// What a filter should find among `items`, oldest first.
fn expected(items: &[Value], filter: &Filter) -> Vec<String> {
    let text = |item: &Value, name: &str| item[name]["S"].as_str().unwrap().to_owned();
    let mut found: Vec<(String, String)> = Vec::new();
    for item in items {
        let event: Value = serde_json::from_str(&text(item, "event")).unwrap();
        let time: Timestamp = text(item, "received_at").parse().unwrap();
        let is_match = filter.since.is_none_or(|since| time >= since)
            && filter.until.is_none_or(|until| time < until)
            && filter.room.as_deref().is_none_or(|room| event["subject"] == room)
            && filter.participant.as_deref().is_none_or(|id| event["data"]["participant"]["id"] == id)
            && filter
                .r#type
                .as_deref()
                .is_none_or(|kind| text(item, "type").starts_with(kind.trim_end_matches('*')));
        if is_match {
            found.push((text(item, "received_at"), event["id"].as_str().unwrap().to_owned()));
        }
    }
    found.sort();
    let first = found.len() - filter.limit.unwrap_or(usize::MAX).min(found.len());
    found.drain(first..).map(|(_, id)| id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_finds_what_matches_and_reads_nothing_outside_its_period() {
    let near = SignedDuration::from_hours(48);
    let table = Table::empty().await;
    let now = table.now;
    let event = |n: usize, back: SignedDuration| item(n, now - back, true);
    let recent: Vec<Value> = (0..400).map(|n| event(n, near * i32::try_from(n).unwrap() / 400)).collect();
    let earlier = |from: usize, count: usize| -> Vec<Value> {
        let step = (PERIOD - near) / i32::try_from(count).unwrap();
        (0..count).map(|n| event(from + n, near + step * i32::try_from(n + 1).unwrap())).collect()
    };
    let mut all = recent;
    let more = earlier(1_000, 50);
    table.put(&all).await;
    table.put(&more).await;
    all.extend(more);
    let mut before = Vec::new();
    for (name, filter) in lookups(&table) {
        let (found, requests) = table.find(filter.clone()).await;
        assert!(!found.is_empty(), "{name}");
        assert_eq!(found, expected(&all, &filter), "{name}");
        assert!(!requests.contains_key("Scan"), "{name}: {requests:?}");
        if filter.room.is_some() {
            assert!(requests["Query"] >= 10, "a day of a room is read from the index by time: {requests:?}");
        }
        before.push(requests);
    }
    let more = earlier(2_000, 3_000);
    table.put(&more).await;
    all.extend(more);
    for ((name, filter), before) in lookups(&table).into_iter().zip(before) {
        let (found, requests) = table.find(filter.clone()).await;
        assert_eq!(found, expected(&all, &filter), "{name}");
        assert_eq!(requests, before, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_stored_before_the_index_are_found_too() {
    let table = Table::empty().await;
    let at = |hours: i64| table.now - SignedDuration::from_hours(hours);
    let old: Vec<Value> = (0..30).map(|n| item(n, at(100 + i64::try_from(n).unwrap()), false)).collect();
    let new: Vec<Value> = (30..40).map(|n| item(n, at(40 - i64::try_from(n).unwrap()), true)).collect();
    table.put(&old).await;
    let (found, _) = table.find(Filter::default()).await;
    assert_eq!(found.len(), 30, "without an event in the index");
    table.put(&new).await;
    let (found, requests) = table.find(Filter { since: table.ago(2), ..Filter::default() }).await;
    assert_eq!((found.len(), requests.get("Scan")), (2, None));
    let (found, _) = table.find(Filter { since: table.ago(110), ..Filter::default() }).await;
    assert_eq!(found.len(), 21);
    let (found, _) = table.find(Filter { limit: Some(15), ..Filter::default() }).await;
    assert_eq!(found, expected(&[old, new].concat(), &Filter { limit: Some(15), ..Filter::default() }));
}

/// Prints how long lookups take in a table of `EVENTS` events.
#[tokio::test(flavor = "multi_thread")]
async fn lookups_take_the_time_printed_here() {
    let count = std::env::var("EVENTS").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000);
    let table = Table::with(count).await;
    for (name, filter) in lookups(&table) {
        print!("{count} events, {name:30}");
        let (found, _) = table.find(filter).await;
        assert!(!found.is_empty() || count < 10_000, "{name}");
    }
}
