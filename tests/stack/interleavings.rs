//! Races copies of VideoSDK's deliveries, with the calls reaching the table in random orders.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::future::{join, join_all};
use jiff::{SignedDuration, Timestamp};
use lambda_http::Request;
use livehooks::dev::Database;
use livehooks::local::{LOCAL_TIMEOUT, local_sdk_config};
use livehooks_aws::config::{IngestConfig, KeySource};
use livehooks_aws::store::PutOutcome;
use livehooks_aws::{Ingest, Outcome};
use livehooks_core::videosdk::VideoSdk;
use livehooks_signing::ProviderInfo;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use crate::harness::{KEYS, body};

const WINDOW_S: i64 = 10;

/// Lets one call through to the database at a time, once every unfinished racer is waiting.
#[derive(Clone)]
struct Turns {
    http: reqwest::Client,
    database: String,
    waiting: Arc<Mutex<Vec<oneshot::Sender<()>>>>,
    changed: Arc<Notify>,
}

async fn wait_and_forward(State(turns): State<Turns>, headers: HeaderMap, body: Bytes) -> Response {
    let (turn, is_our_turn) = oneshot::channel();
    turns.waiting.lock().unwrap().push(turn);
    turns.changed.notify_one();
    is_our_turn.await.unwrap();
    let mut request = turns.http.post(&turns.database).body(body);
    for name in ["x-amz-target", "content-type", "authorization", "x-amz-date"] {
        request = headers.get(name).into_iter().fold(request, |request, value| request.header(name, value));
    }
    let answer = request.send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    (status, answer.bytes().await.unwrap()).into_response()
}

struct Race {
    turns: Turns,
    ingest: Ingest<VideoSdk>,
    client: Client,
}

impl Race {
    async fn prepare() -> Self {
        let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = database.local_addr().unwrap();
        tokio::spawn(Database::open(None).unwrap().serve(database));
        let turns = Turns {
            http: reqwest::Client::new(),
            database: format!("http://{address}"),
            waiting: Arc::default(),
            changed: Arc::default(),
        };
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sdk = local_sdk_config(proxy.local_addr().unwrap());
        let app = axum::Router::new().fallback(wait_and_forward).with_state(turns.clone());
        tokio::spawn(axum::serve(proxy, app).into_future());
        let config = IngestConfig {
            table: "Events".into(),
            keys: KeySource::Inline(KEYS.secret(ProviderInfo::named("videosdk").unwrap()).to_string()),
            retention: SignedDuration::from_hours(24 * 90),
            deadline: LOCAL_TIMEOUT,
            fallback: None,
        };
        Self { turns, ingest: Ingest::new(config, &sdk), client: Client::new(&local_sdk_config(address)) }
    }

    /// Delivers all requests at once; `order` chooses the next call. Returns how many events were new.
    async fn run(
        &self,
        requests: &[&Request],
        now: Timestamp,
        order: &mut impl FnMut(usize) -> usize,
    ) -> usize {
        let unfinished = Cell::new(requests.len());
        let racers = join_all(requests.iter().map(async |request| {
            let outcome = self.ingest.receive_at(request, now).await;
            unfinished.set(unfinished.get() - 1);
            self.turns.changed.notify_one();
            match outcome {
                Outcome::Stored(receipt) => usize::from(matches!(receipt.written, PutOutcome::New { .. })),
                other => panic!("{other:?}"),
            }
        }));
        let starter = async {
            while unfinished.get() > 0 {
                let turn = {
                    let mut waiting = self.turns.waiting.lock().unwrap();
                    let all_wait = !waiting.is_empty() && waiting.len() == unfinished.get();
                    all_wait.then(|| {
                        let next = order(waiting.len());
                        waiting.swap_remove(next)
                    })
                };
                match turn {
                    Some(turn) => turn.send(()).unwrap(),
                    None => self.turns.changed.notified().await,
                }
            }
        };
        join(racers, starter).await.0.into_iter().sum()
    }

    /// The body hash and receive time of each item of the sequence, in order.
    async fn items(&self, event_key: &str) -> Vec<(String, Timestamp)> {
        let query = self.client.query().table_name("Events").key_condition_expression("event_key = :key");
        let query = query.expression_attribute_values(":key", AttributeValue::S(event_key.into()));
        let items = query.send().await.unwrap().items.unwrap_or_default();
        let string = |item: &std::collections::HashMap<String, AttributeValue>, name| {
            item[name].as_s().unwrap().clone()
        };
        for (index, item) in items.iter().enumerate() {
            assert_eq!(item["occurrence"].as_n().unwrap(), &index.to_string(), "no gap in the sequence");
        }
        items
            .iter()
            .map(|item| (string(item, "body_sha256"), string(item, "received_at").parse().unwrap()))
            .collect()
    }
}

/// A signed delivery, the key of its sequence and the hash of its body.
fn delivery(name: &str, session: &str) -> (Request, String, String) {
    let entry = ProviderInfo::named("videosdk").unwrap();
    let body = body("videosdk", name, |values| values.session = session.into());
    let keys = KEYS.signing(entry).unwrap();
    let signed = (entry.sign)(keys, body.as_bytes(), Timestamp::UNIX_EPOCH.into()).unwrap();
    let event_key = (entry.normalize)(keys, body.as_bytes(), Timestamp::UNIX_EPOCH).unwrap().event_key;
    let hash = livehooks_core::BodyHash::of(body.as_bytes()).to_string();
    let mut request = Request::new(body.into());
    for (name, value) in &signed.headers {
        request.headers_mut().insert(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
    }
    (request, event_key, hash)
}

/// A moment of a session: the number of simultaneous copies of a join and a leave, and the seconds since the last.
fn moment() -> impl Strategy<Value = ([usize; 2], i64)> {
    let copies = prop_oneof![
        3 => (1..5_usize).prop_map(|joins| [joins, 0]),
        3 => (1..5_usize).prop_map(|leaves| [0, leaves]),
        1 => (1..4_usize, 1..4_usize).prop_map(|(joins, leaves)| [joins, leaves]),
    ];
    (copies, prop_oneof![0..WINDOW_S, Just(WINDOW_S - 1), Just(WINDOW_S), WINDOW_S..3 * WINDOW_S])
}

#[test]
fn racing_copies_make_the_same_items_in_any_order_of_calls() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let race = runtime.block_on(Race::prepare());
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let strategy = (vec(moment(), 1..5), vec(any::<prop::sample::Index>(), 64));
    let checked = TestRunner::new(config)
        .run(&strategy, |(moments, choices)| runtime.block_on(check(&race, &moments, choices)));
    checked.unwrap_or_else(|error| panic!("{error}"));
}

async fn check(
    race: &Race,
    moments: &[([usize; 2], i64)],
    choices: Vec<prop::sample::Index>,
) -> Result<(), TestCaseError> {
    let session = Uuid::new_v4().to_string();
    let (join, key, _) = delivery("participant-joined", &session);
    let (leave, same_key, _) = delivery("participant-left", &session);
    prop_assert_eq!(&key, &same_key);
    let hashes = ["participant-joined", "participant-left"].map(|name| delivery(name, &session).2);
    let mut choices = choices.into_iter().cycle();
    let mut order = |among: usize| choices.next().unwrap().index(among);
    let mut now = Timestamp::constant(1_761_815_000, 0);
    for ([joins, leaves], later_s) in moments {
        now += SignedDuration::from_secs(*later_s);
        let before = race.items(&key).await;
        let requests = [vec![&join; *joins], vec![&leave; *leaves]].concat();
        let new = race.run(&requests, now, &mut order).await;
        let items = race.items(&key).await;
        prop_assert_eq!(items.len(), before.len() + new, "every event reported as new is stored");
        prop_assert_eq!(&items[..before.len()], &before[..], "nothing is overwritten");

        let is_known = |hash: &String| {
            let known = |(latest, at): &(String, Timestamp)| {
                latest == hash && now.duration_since(*at).as_secs() < WINDOW_S
            };
            before.last().is_some_and(known)
        };
        match (joins, leaves) {
            (_, 0) => {
                prop_assert_eq!(new, usize::from(!is_known(&hashes[0])), "copies of a join make one item")
            }
            (0, _) => {
                prop_assert_eq!(new, usize::from(!is_known(&hashes[1])), "copies of a leave make one item")
            }
            _ => prop_assert!((1..=joins + leaves).contains(&new)),
        }
    }
    for pair in race.items(&key).await.windows(2) {
        let is_repeat = pair[0].0 == pair[1].0 && pair[1].1.duration_since(pair[0].1).as_secs() < WINDOW_S;
        prop_assert!(!is_repeat, "a repeat was stored twice");
    }
    Ok(())
}
