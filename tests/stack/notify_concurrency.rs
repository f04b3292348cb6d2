//! Concurrent batches that SNS answers out of order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use aws_lambda_events::event::dynamodb::Event;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use livehooks::local::local_sdk_config;
use livehooks_aws::Notifier;
use livehooks_aws::config::NotifyConfig;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// An SNS that waits for the first `held` batches, then answers them in reverse order.
#[derive(Clone, Default)]
struct Sns(Arc<Mutex<SnsState>>);

#[derive(Default)]
struct SnsState {
    held: usize,
    waiting: BTreeMap<usize, oneshot::Sender<()>>,
    /// Records that fail for now.
    rejected: BTreeSet<usize>,
    /// First records of the batches that are answered with 500.
    broken: BTreeSet<usize>,
    calls: usize,
    in_flight: usize,
    in_flight_max: usize,
    accepted: BTreeMap<usize, usize>,
}

impl Sns {
    async fn start(self) -> Notifier {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sdk = local_sdk_config(listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, Router::new().fallback(publish).with_state(self)).into_future());
        let config = NotifyConfig {
            table: "Events".into(),
            topic_arn: "arn:aws:sns:us-east-1:000000000000:livehooks".into(),
            quarantine_queue_url: "http://127.0.0.1:1/000000000000/quarantine".into(),
            batches_at_once: 8,
        };
        Notifier::new(config, &sdk)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, SnsState> {
        self.0.lock().unwrap()
    }
}

async fn publish(State(sns): State<Sns>, body: String) -> Response {
    let form: BTreeMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let message = |entry: usize| form.get(&format!("PublishBatchRequestEntries.member.{entry}.Message"));
    let records: Vec<usize> = (1..).map_while(message).map(|message| number(message)).collect();
    let turn = {
        let mut state = sns.state();
        state.calls += 1;
        state.in_flight += 1;
        state.in_flight_max = state.in_flight_max.max(state.in_flight);
        (state.calls <= state.held).then(|| {
            let (release, turn) = oneshot::channel();
            state.waiting.insert(records[0], release);
            if state.waiting.len() == state.held {
                release_last(&mut state);
            }
            turn
        })
    };
    if let Some(turn) = turn {
        turn.await.unwrap();
        release_last(&mut sns.state());
    }
    sns.state().answer(&records)
}

fn release_last(state: &mut SnsState) {
    if let Some((_, release)) = state.waiting.pop_last() {
        release.send(()).unwrap();
    }
}

impl SnsState {
    fn answer(&mut self, records: &[usize]) -> Response {
        self.in_flight -= 1;
        if self.broken.contains(&records[0]) {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        let (mut successes, mut failures) = (String::new(), String::new());
        for (id, record) in records.iter().enumerate() {
            if self.rejected.contains(record) {
                failures += &format!(
                    "<member><Id>{id}</Id><Code>Busy</Code><SenderFault>false</SenderFault></member>"
                );
            } else {
                *self.accepted.entry(*record).or_default() += 1;
                successes += &format!("<member><Id>{id}</Id><MessageId>{record}</MessageId></member>");
            }
        }
        format!(
            "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
             <Successful>{successes}</Successful><Failed>{failures}</Failed>\
             </PublishBatchResult></PublishBatchResponse>"
        )
        .into_response()
    }
}

fn number(message: &str) -> usize {
    let event: Value = serde_json::from_str(message).unwrap();
    event["id"].as_str().unwrap().parse().unwrap()
}

/// Stream records of events, numbered by id and sequence number.
fn records(count: usize) -> Event {
    let record = |index: usize| {
        let event = json!({
            "specversion": "1.0", "id": index.to_string(), "type": "live.participant.joined",
            "provider": "livekit", "assurance": "signed", "data": { "raw": {} },
        });
        json!({
            "eventID": index.to_string(), "eventName": "INSERT", "eventVersion": "1.1", "awsRegion": "us-east-1",
            "eventSource": "aws:dynamodb", "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/Events",
            "dynamodb": {
                "ApproximateCreationDateTime": 1761815000, "SizeBytes": 1, "StreamViewType": "NEW_IMAGE",
                "SequenceNumber": index.to_string(),
                "Keys": { "event_key": { "S": format!("livekit#{index}") }, "occurrence": { "N": "0" } },
                "NewImage": {
                    "event_key": { "S": format!("livekit#{index}") },
                    "occurrence": { "N": "0" },
                    "event": { "S": event.to_string() },
                },
            },
        })
    };
    let records: Vec<Value> = (0..count).map(record).collect();
    serde_json::from_value(json!({ "Records": records })).unwrap()
}

async fn failure(notifier: &Notifier, event: &Event) -> Option<usize> {
    let response = notifier.handle(event).await;
    let failed = response.batch_item_failures.into_iter().next()?.item_identifier;
    Some(failed.unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_thousand_records_are_a_hundred_calls_eight_at_a_time() {
    let sns = Sns::default();
    sns.state().held = 8;
    let notifier = sns.clone().start().await;
    assert_eq!(failure(&notifier, &records(1_000)).await, None);
    let state = sns.state();
    assert_eq!((state.calls, state.in_flight_max), (100, 8));
    assert_eq!(state.accepted, (0..1_000).map(|record| (record, 1)).collect());
}

#[tokio::test]
async fn the_lowest_failed_record_of_several_batches_is_reported() {
    for (rejected, broken, lowest) in [
        (vec![57, 23], vec![40], 23),
        (vec![57], vec![40, 20], 20),
        (vec![79, 9], vec![70], 9),
        (vec![], vec![0, 70], 0),
        (vec![79], vec![], 79),
    ] {
        let sns = Sns::default();
        {
            let mut state = sns.state();
            state.held = 8;
            state.rejected = rejected.into_iter().collect();
            state.broken = broken.into_iter().collect();
        }
        let notifier = sns.clone().start().await;
        assert_eq!(failure(&notifier, &records(80)).await, Some(lowest));
        // The event source does not repeat the records before it.
        let before: Vec<usize> = sns.state().accepted.range(..lowest).map(|(record, _)| *record).collect();
        assert_eq!(before, (0..lowest).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn new_batches_stop_soon_after_a_failure() {
    let sns = Sns::default();
    sns.state().broken = (0..1_000).step_by(10).collect();
    let notifier = sns.clone().start().await;
    assert_eq!(failure(&notifier, &records(1_000)).await, Some(0));
    let calls = sns.state().calls;
    assert!(calls <= 8 * 3, "{calls} calls to a topic that rejects everything");
}
