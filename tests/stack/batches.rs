//! The notifier against a topic that fails in every way that SNS can, at random: what it packs, what it takes for done,
//! and from where on it wants the records again.

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

/// What SNS does with one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Taken,
    NotNow,
    /// SNS calls it the sender's fault, and an operator can fix it.
    Denied,
    Never,
    Unmentioned,
    WholeBatchFails,
}

#[derive(Clone, Default)]
struct Aws {
    answers: Arc<Mutex<Vec<Answer>>>,
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
            // An attribute's name, type and value count, its place in the form does not.
            _ => *bytes += value.len(),
        }
    }
    let batch = Batch {
        entries: messages.values().map(|(_, bytes)| bytes >> 32).collect(),
        bytes: messages.values().map(|(_, bytes)| bytes & 0xffff_ffff).collect(),
    };
    aws.batches.lock().unwrap().push(batch.clone());
    let answers = aws.answers.lock().unwrap();
    let answers: Vec<Answer> = batch.entries.iter().map(|entry| answers[*entry]).collect();
    if answers.contains(&Answer::WholeBatchFails) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let (mut taken, mut failed) = (String::new(), String::new());
    for ((id, _), answer) in messages.values().zip(answers) {
        match answer {
            Answer::Taken => taken += &format!("<member><Id>{id}</Id><MessageId>1</MessageId></member>"),
            Answer::NotNow | Answer::Denied | Answer::Never => {
                let fault = answer != Answer::NotNow;
                let code = if answer == Answer::Denied { "KMSAccessDenied" } else { "InvalidParameter" };
                failed += &format!(
                    "<member><Id>{id}</Id><Code>{code}</Code><SenderFault>{fault}</SenderFault></member>"
                );
            }
            Answer::Unmentioned | Answer::WholeBatchFails => {}
        }
    }
    let answer = format!(
        "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
         <Successful>{taken}</Successful><Failed>{failed}</Failed></PublishBatchResult></PublishBatchResponse>"
    );
    ([("content-type", "text/xml")], answer).into_response()
}

/// The number that a record has as its event's id.
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
fn batches_fit_keep_the_order_and_a_failure_is_told_by_its_lowest_sequence_number() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (aws, notifier) = runtime.block_on(start());
    let size = prop_oneof![12 => 0..2_000_usize, 3 => 0..60_000_usize, 1 => 250_000..270_000_usize];
    let answer = prop_oneof![
        30 => Just(Answer::Taken),
        2 => Just(Answer::Never),
        1 => select(vec![Answer::NotNow, Answer::Denied, Answer::Unmentioned, Answer::WholeBatchFails]),
    ];
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let checked = TestRunner::new(config).run(&vec((size, answer), 0..40), |records_to_be| {
        let (sizes, answers): (Vec<usize>, Vec<Answer>) = records_to_be.into_iter().unzip();
        aws.answers.lock().unwrap().clone_from(&answers);
        let response = runtime.block_on(notifier.handle(&records(sizes.into_iter())));
        let wanted: Vec<String> = response
            .batch_item_failures
            .into_iter()
            .map(|failure| failure.item_identifier.unwrap())
            .collect();
        check(
            &answers,
            &aws.batches.lock().unwrap().split_off(0),
            &std::mem::take(&mut aws.quarantined.lock().unwrap()),
            &wanted,
        )
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}

fn check(
    answers: &[Answer],
    batches: &[Batch],
    quarantined: &BTreeSet<usize>,
    wanted: &[String],
) -> Result<(), TestCaseError> {
    for batch in batches {
        prop_assert!(batch.entries.len() <= ENTRIES_MAX);
        prop_assert!(batch.bytes.iter().sum::<usize>() <= BYTES_MAX);
    }
    for pair in batches.windows(2) {
        let with_next = pair[0].bytes.iter().sum::<usize>() + pair[1].bytes[0];
        prop_assert!(
            pair[0].entries.len() == ENTRIES_MAX || with_next > BYTES_MAX,
            "no batch is split for nothing"
        );
    }
    let published: Vec<usize> = batches.iter().flat_map(|batch| batch.entries.clone()).collect();
    prop_assert_eq!(&published, &(0..published.len()).collect::<Vec<_>>(), "in the order of the stream");

    let is_settled = |entry: &&usize| matches!(answers[**entry], Answer::Taken | Answer::Never);
    let failed = batches.iter().position(|batch| !batch.entries.iter().all(|entry| is_settled(&entry)));
    let expected = failed.map(|failed| {
        let entries = &batches[failed].entries;
        let whole = entries.iter().any(|entry| answers[*entry] == Answer::WholeBatchFails);
        let lowest = if whole { entries.first() } else { entries.iter().find(|entry| !is_settled(entry)) };
        sequence_number(*lowest.unwrap())
    });
    prop_assert_eq!(wanted, Vec::from_iter(expected));
    match failed {
        Some(failed) => prop_assert_eq!(failed, batches.len() - 1, "nothing is published behind a failure"),
        None => prop_assert_eq!(published.len(), answers.len()),
    }
    let answered = batches
        .iter()
        .filter(|batch| !batch.entries.iter().any(|entry| answers[*entry] == Answer::WholeBatchFails));
    let never =
        answered.flat_map(|batch| &batch.entries).copied().filter(|entry| answers[*entry] == Answer::Never);
    prop_assert_eq!(quarantined, &never.collect::<BTreeSet<_>>());
    Ok(())
}
