use std::sync::atomic::Ordering::Relaxed;

use aws_lambda_events::event::dynamodb::Event;
use livehooks::dev::Database;
use livehooks::local::{LOCAL_TIMEOUT, local_sdk_config};
use livehooks_aws::Notifier;
use livehooks_aws::config::NotifyConfig;
use serde_json::{Value, json};

use crate::faulty_client::PublishFault;
use crate::harness::{EXAMPLE, Example, KEYS, Local, body};

/// The stream records of `count` unpublished events, and a notifier for the stack's topic.
async fn unpublished(local: &Local, count: usize) -> (Event, Notifier) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sdk = local_sdk_config(listener.local_addr().unwrap());
    let database = Database::open(None).unwrap();
    tokio::spawn(database.serve(listener));
    let entry = livehooks_signing::ProviderInfo::named(EXAMPLE).unwrap();
    let ingest = livehooks_aws::Ingest::<Example>::new(
        livehooks_aws::config::IngestConfig {
            table: "Events".into(),
            keys: livehooks_aws::config::KeySource::Inline(KEYS.secret(entry).to_string()),
            retention: jiff::SignedDuration::from_hours(24 * 90),
            deadline: LOCAL_TIMEOUT,
            fallback: None,
        },
        &sdk,
    );
    for index in 0..count {
        let body = body(EXAMPLE, "participant_joined", |values| values.id = index.to_string());
        let now = jiff::Timestamp::now();
        let signed = (entry.sign)(KEYS.signing(entry).unwrap(), body.as_bytes(), now.into()).unwrap();
        let mut request = lambda_http::Request::new(body.into());
        for (name, value) in &signed.headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        assert_eq!(ingest.handle(&request).await.status().as_u16(), 200);
    }
    let event = database.records(&database.stream_start().unwrap(), 1_000).unwrap();
    assert_eq!(event.records.len(), count);
    let config = NotifyConfig {
        table: "Events".into(),
        topic_arn: "arn:aws:sns:us-east-1:000000000000:livehooks".into(),
        quarantine_queue_url: format!("http://{}/000000000000/quarantine", local.stack.aws),
        batches_at_once: 1,
    };
    let sdk = local_sdk_config(local.stack.aws).to_builder().http_client(local.faults.client()).build();
    (event, Notifier::new(config, &sdk))
}

/// The sequence number that the notifier reports as failed. The event source continues from there.
async fn failure(notifier: &Notifier, event: &Event) -> Option<String> {
    let response = notifier.handle(event).await;
    assert!(response.batch_item_failures.len() <= 1);
    response.batch_item_failures.into_iter().next()?.item_identifier
}

async fn published_ids(local: &Local, count: usize) -> Vec<String> {
    let notifications = local.notifications(count).await;
    assert_eq!(notifications.len(), count);
    notifications
        .iter()
        .map(|notification| notification["message"]["id"].as_str().unwrap().to_owned())
        .collect()
}

fn ids(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn records_are_published_in_order_across_batches() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 25).await;
    assert_eq!(failure(&notifier, &event).await, None);
    assert_eq!(published_ids(&local, 25).await, ids(0..25));
}

#[tokio::test]
async fn a_failed_batch_is_reported_by_its_first_record() {
    let local = Local::start().await;
    let (mut event, notifier) = unpublished(&local, 25).await;
    // The second batch fails on every attempt of the client.
    let faults = [vec![PublishFault::Entries(vec![])], vec![PublishFault::Whole; 3]].concat();
    *local.faults.publish.lock().unwrap() = faults;
    let failed = failure(&notifier, &event).await;
    assert_eq!(failed, event.records[10].change.sequence_number);
    assert_eq!(published_ids(&local, 10).await, ids(0..10));

    event.records.drain(..10);
    assert_eq!(failure(&notifier, &event).await, None);
    assert_eq!(published_ids(&local, 25).await, ids(0..25));
}

#[tokio::test]
async fn failed_entries_of_an_answer_200_are_reported_by_the_lowest() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 10).await;
    *local.faults.publish.lock().unwrap() = vec![PublishFault::Entries(vec![(7, false), (3, false)])];
    assert_eq!(failure(&notifier, &event).await, event.records[3].change.sequence_number);
    assert_eq!(published_ids(&local, 8).await, ids([0, 1, 2, 4, 5, 6, 8, 9]));
}

#[tokio::test]
async fn an_entry_missing_from_the_answer_is_reported() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 3).await;
    *local.faults.publish.lock().unwrap() = vec![PublishFault::Silent(1)];
    assert_eq!(failure(&notifier, &event).await, event.records[1].change.sequence_number);
    assert_eq!(published_ids(&local, 2).await, ids([0, 2]));
}

#[tokio::test]
async fn an_entry_that_the_topic_rejects_permanently_is_quarantined_and_blocks_nothing() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 10).await;
    *local.faults.publish.lock().unwrap() = vec![PublishFault::Entries(vec![(4, true)])];
    assert_eq!(failure(&notifier, &event).await, None);
    assert_eq!(published_ids(&local, 9).await, ids([0, 1, 2, 3, 5, 6, 7, 8, 9]));
    assert_eq!(quarantined_ids(&local), ["4"]);
}

/// The event ids in the quarantine queue.
fn quarantined_ids(local: &Local) -> Vec<String> {
    let quarantined = local.faults.quarantined.lock().unwrap();
    let id = |notification: &String| {
        let notification: Value = serde_json::from_str(notification).unwrap();
        let message: Value = serde_json::from_str(notification["message"].as_str().unwrap()).unwrap();
        message["id"].as_str().unwrap().to_owned()
    };
    quarantined.iter().map(id).collect()
}

const ACCEPTED: PublishFault = PublishFault::Entries(vec![]);
const INVALID: PublishFault = PublishFault::Rejected(400, "InvalidParameter");

#[tokio::test]
async fn a_rejected_batch_is_split_and_only_rejected_entries_are_quarantined() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 12).await;
    // Reject the first batch, then the fourth of its ten records. Accept the second batch.
    let singly = [vec![ACCEPTED; 3], vec![INVALID], vec![ACCEPTED; 6]].concat();
    *local.faults.publish.lock().unwrap() = [vec![INVALID], singly].concat();
    assert_eq!(failure(&notifier, &event).await, None);
    assert_eq!(published_ids(&local, 11).await, ids((0..12).filter(|id| *id != 3)));
    assert_eq!(quarantined_ids(&local), ["3"]);
}

#[tokio::test]
async fn a_batch_that_is_too_long_is_split_and_published() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 3).await;
    *local.faults.publish.lock().unwrap() = vec![PublishFault::Rejected(400, "BatchRequestTooLong")];
    assert_eq!(failure(&notifier, &event).await, None);
    assert_eq!(published_ids(&local, 3).await, ids(0..3));
    assert!(quarantined_ids(&local).is_empty());
}

#[tokio::test]
async fn the_first_unsettled_record_of_a_split_batch_is_reported() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 4).await;
    let throttled = vec![PublishFault::Rejected(400, "Throttling"); 3];
    *local.faults.publish.lock().unwrap() = [vec![INVALID, ACCEPTED, INVALID], throttled].concat();
    assert_eq!(failure(&notifier, &event).await, event.records[2].change.sequence_number);
    assert_eq!(published_ids(&local, 1).await, ids([0]));
    assert_eq!(quarantined_ids(&local), ["1"]);

    local.faults.reject_quarantine.store(true, Relaxed);
    *local.faults.publish.lock().unwrap() = vec![INVALID, ACCEPTED, INVALID];
    assert_eq!(failure(&notifier, &event).await, event.records[1].change.sequence_number);
}

#[tokio::test]
async fn our_own_faults_are_reported_and_never_quarantined() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 3).await;
    for (status, code) in [
        (400, "Throttling"),
        (403, "AuthorizationError"),
        (400, "KMSDisabled"),
        (404, "NotFound"),
        (403, "ExpiredToken"),
        (403, "SignatureDoesNotMatch"),
        (400, "RequestExpired"),
    ] {
        // Fail every attempt of the client.
        *local.faults.publish.lock().unwrap() = vec![PublishFault::Rejected(status, code); 3];
        let first = &event.records[0].change.sequence_number;
        assert_eq!(&failure(&notifier, &event).await, first, "{code}");
        local.faults.publish.lock().unwrap().clear();
    }
    assert!(quarantined_ids(&local).is_empty());
}

#[tokio::test]
async fn a_record_without_an_event_is_quarantined_and_other_changes_are_skipped() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 1).await;
    let mut records = json!(event);
    let good = records["Records"][0].clone();
    let mut foreign = good.clone();
    foreign["dynamodb"]["NewImage"] = json!({ "event_key": { "S": "foreign" } });
    let mut removal = good.clone();
    removal["eventName"] = json!("REMOVE");
    records["Records"] = json!([foreign, removal, good]);
    let event: Event = serde_json::from_value(records).unwrap();
    assert_eq!(failure(&notifier, &event).await, None);
    assert_eq!(published_ids(&local, 1).await, ids(0..1));
    assert!(local.faults.quarantined.lock().unwrap()[0].contains("foreign"));
}

#[tokio::test]
async fn records_before_an_unsettled_one_are_published() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 3).await;
    let mut records = json!(event);
    records["Records"][1]["dynamodb"]["NewImage"] = json!({ "event_key": { "S": "foreign" } });
    let mut event: Event = serde_json::from_value(records).unwrap();
    local.faults.reject_quarantine.store(true, Relaxed);
    assert_eq!(failure(&notifier, &event).await, event.records[1].change.sequence_number);
    assert_eq!(published_ids(&local, 1).await, ids(0..1));

    local.faults.reject_quarantine.store(false, Relaxed);
    event.records.remove(0);
    assert_eq!(failure(&notifier, &event).await, None);
    assert_eq!(published_ids(&local, 2).await, ids([0, 2]));
}

#[tokio::test]
async fn the_local_stack_retries_failed_notifications() {
    let local = Local::start().await;
    *local.faults.publish.lock().unwrap() = vec![PublishFault::Whole; 3];
    local.status(EXAMPLE, body(EXAMPLE, "participant_joined", |_| ()).as_bytes()).await;
    local.notifications(1).await;
}

#[tokio::test]
async fn an_event_stored_before_a_crash_is_published_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let start = async || {
        let data = folder.path().to_owned();
        Local::start_with(|options| options.data = Some(data)).await
    };
    let first = start().await;
    // The topic rejects everything, so that the process stops with an unpublished event.
    *first.faults.publish.lock().unwrap() = vec![PublishFault::Whole; 1_000];
    first
        .status(EXAMPLE, body(EXAMPLE, "participant_joined", |values| values.id = "1".into()).as_bytes())
        .await;
    first.stop().await;

    let second = start().await;
    assert_eq!(published_ids(&second, 1).await, ["1"]);
    assert_eq!(second.events().await.len(), 1);
}
