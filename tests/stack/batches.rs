//! Runs the notifier against a topic that fails at random, in every way that SNS can. Checks how it forms batches and
//! which record it reports as failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use aws_lambda_events::event::dynamodb::Event;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use livehooks::local::local_sdk_config;
use livehooks_aws::Notifier;
use livehooks_aws::config::NotifyConfig;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const ENTRIES_MAX: usize = 10;
const BYTES_MAX: usize = 256 * 1024;

/// The result of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryResult {
    Accepted,
    FailsForNow,
    /// SNS calls it the sender's fault, but an operator can fix it.
    Denied,
    FailsForGood,
    Unmentioned,
    BatchFails,
}

#[derive(Clone, Default)]
struct Aws {
    results: Arc<Mutex<Vec<EntryResult>>>,
    batches: Arc<Mutex<Vec<Batch>>>,
    quarantined: Arc<Mutex<BTreeSet<usize>>>,
}

#[derive(Clone, Debug)]
struct Batch {
    entries: Vec<usize>,
    bytes: Vec<usize>,
}

async fn answer(State(aws): State<Aws>, body: Bytes) -> Response {
    if let Ok(call) = serde_json::from_slice::<Value>(&body) {
        let notification: Value = serde_json::from_str(call["MessageBody"].as_str().unwrap()).unwrap();
        aws.quarantined.lock().unwrap().insert(number(notification["message"].as_str().unwrap()));
        let answer = r#"{"MessageId":"1","MD5OfMessageBody":""}"#;
        return ([("content-type", "application/x-amz-json-1.0")], answer).into_response();
    }
    let mut messages: BTreeMap<usize, (String, usize)> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(&body) {
        let Some(field) = name.strip_prefix("PublishBatchRequestEntries.member.") else { continue };
        let (member, field) = field.split_once('.').unwrap();
        let (id, bytes) = messages.entry(member.parse().unwrap()).or_default();
        match field {
            "Id" => *id = value.into_owned(),
            "Message" => *bytes += (number(&value) << 32) + value.len(),
            // The name, type and value of an attribute count, not its form field name.
            _ => *bytes += value.len(),
        }
    }
    let batch = Batch {
        entries: messages.values().map(|(_, bytes)| bytes >> 32).collect(),
        bytes: messages.values().map(|(_, bytes)| bytes & 0xffff_ffff).collect(),
    };
    aws.batches.lock().unwrap().push(batch.clone());
    let results = aws.results.lock().unwrap();
    let results: Vec<EntryResult> = batch.entries.iter().map(|entry| results[*entry]).collect();
    if results.contains(&EntryResult::BatchFails) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let (mut accepted, mut failed) = (String::new(), String::new());
    for ((id, _), result) in messages.values().zip(results) {
        match result {
            EntryResult::Accepted => {
                accepted += &format!("<member><Id>{id}</Id><MessageId>1</MessageId></member>")
            }
            EntryResult::FailsForNow | EntryResult::Denied | EntryResult::FailsForGood => {
                let fault = result != EntryResult::FailsForNow;
                let code = if result == EntryResult::Denied { "KMSAccessDenied" } else { "InvalidParameter" };
                failed += &format!(
                    "<member><Id>{id}</Id><Code>{code}</Code><SenderFault>{fault}</SenderFault></member>"
                );
            }
            EntryResult::Unmentioned | EntryResult::BatchFails => {}
        }
    }
    let answer = format!(
        "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
         <Successful>{accepted}</Successful><Failed>{failed}</Failed></PublishBatchResult></PublishBatchResponse>"
    );
    ([("content-type", "text/xml")], answer).into_response()
}

/// The record's number, which is its event's id.
fn number(message: &str) -> usize {
    let event: Value = serde_json::from_str(message).unwrap();
    event["id"].as_str().unwrap().parse().unwrap()
}

async fn start() -> (Aws, Notifier) {
    let aws = Aws::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app =
        axum::Router::new().fallback(answer).layer(DefaultBodyLimit::max(4 << 20)).with_state(aws.clone());
    tokio::spawn(axum::serve(listener, app).into_future());
    let sdk = local_sdk_config(address).to_builder().retry_config(RetryConfig::disabled()).build();
    let config = NotifyConfig {
        table: "Events".into(),
        topic_arn: "arn:aws:sns:us-east-1:000000000000:livehooks".into(),
        quarantine_queue_url: format!("http://{address}/000000000000/quarantine"),
        batches_at_once: 1,
    };
    (aws, Notifier::new(config, &sdk))
}

/// Stream records of these sizes.
fn records(sizes: impl Iterator<Item = usize>) -> Event {
    let record = |(index, bytes): (usize, usize)| {
        let event = json!({
            "specversion": "1.0", "id": index.to_string(), "type": "live.unknown", "provider": "p",
            "assurance": "signed", "subject": "r".repeat(bytes % 300), "data": { "raw": "x".repeat(bytes) },
        });
        let image = json!({
            "event_key": { "S": format!("p#{index}") }, "occurrence": { "N": "0" }, "event": { "S": event.to_string() },
        });
        let change = json!({
            "ApproximateCreationDateTime": 1, "Keys": {}, "NewImage": image, "SequenceNumber": sequence_number(index),
            "SizeBytes": 1,
        });
        json!({ "awsRegion": "us-east-1", "eventID": "1", "eventName": "INSERT", "dynamodb": change })
    };
    let records: Vec<Value> = sizes.enumerate().map(record).collect();
    serde_json::from_value(json!({ "Records": records })).unwrap()
}

fn sequence_number(index: usize) -> String {
    format!("{}", 100_000_000_000 + index * 7)
}

#[test]
fn batches_fit_and_keep_the_order_and_the_lowest_failed_sequence_number_is_reported() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (aws, notifier) = runtime.block_on(start());
    let size = prop_oneof![12 => 0..2_000_usize, 3 => 0..60_000_usize, 1 => 250_000..270_000_usize];
    let result = prop_oneof![
        30 => Just(EntryResult::Accepted),
        2 => Just(EntryResult::FailsForGood),
        1 => select(vec![
            EntryResult::FailsForNow,
            EntryResult::Denied,
            EntryResult::Unmentioned,
            EntryResult::BatchFails,
        ]),
    ];
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let checked = TestRunner::new(config).run(&vec((size, result), 0..40), |drawn| {
        let (sizes, results): (Vec<usize>, Vec<EntryResult>) = drawn.into_iter().unzip();
        aws.results.lock().unwrap().clone_from(&results);
        let response = runtime.block_on(notifier.handle(&records(sizes.into_iter())));
        let reported: Vec<String> = response
            .batch_item_failures
            .into_iter()
            .map(|failure| failure.item_identifier.unwrap())
            .collect();
        check(
            &results,
            &aws.batches.lock().unwrap().split_off(0),
            &std::mem::take(&mut aws.quarantined.lock().unwrap()),
            &reported,
        )
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}

fn check(
    results: &[EntryResult],
    batches: &[Batch],
    quarantined: &BTreeSet<usize>,
    reported: &[String],
) -> Result<(), TestCaseError> {
    for batch in batches {
        prop_assert!(batch.entries.len() <= ENTRIES_MAX);
        prop_assert!(batch.bytes.iter().sum::<usize>() <= BYTES_MAX);
    }
    for pair in batches.windows(2) {
        let with_next = pair[0].bytes.iter().sum::<usize>() + pair[1].bytes[0];
        prop_assert!(
            pair[0].entries.len() == ENTRIES_MAX || with_next > BYTES_MAX,
            "no batch is split without need"
        );
    }
    let published: Vec<usize> = batches.iter().flat_map(|batch| batch.entries.clone()).collect();
    prop_assert_eq!(&published, &(0..published.len()).collect::<Vec<_>>(), "in the order of the stream");

    let is_settled =
        |entry: &&usize| matches!(results[**entry], EntryResult::Accepted | EntryResult::FailsForGood);
    let failed = batches.iter().position(|batch| !batch.entries.iter().all(|entry| is_settled(&entry)));
    let expected = failed.map(|failed| {
        let entries = &batches[failed].entries;
        let all_failed = entries.iter().any(|entry| results[*entry] == EntryResult::BatchFails);
        let lowest =
            if all_failed { entries.first() } else { entries.iter().find(|entry| !is_settled(entry)) };
        sequence_number(*lowest.unwrap())
    });
    prop_assert_eq!(reported, Vec::from_iter(expected));
    match failed {
        Some(failed) => prop_assert_eq!(failed, batches.len() - 1, "nothing is published after a failure"),
        None => prop_assert_eq!(published.len(), results.len()),
    }
    let answered = batches
        .iter()
        .filter(|batch| !batch.entries.iter().any(|entry| results[*entry] == EntryResult::BatchFails));
    let permanent = answered
        .flat_map(|batch| &batch.entries)
        .copied()
        .filter(|entry| results[*entry] == EntryResult::FailsForGood);
    prop_assert_eq!(quarantined, &permanent.collect::<BTreeSet<_>>());
    Ok(())
}
