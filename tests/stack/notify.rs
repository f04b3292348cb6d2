use std::sync::atomic::Ordering::Relaxed;

use aws_lambda_events::event::dynamodb::Event;
use livehooks::dev::{Database, PublishFault};
use livehooks::local::{LOCAL_TIMEOUT, local_sdk_config};
use livehooks_aws::Notifier;
use livehooks_aws::config::NotifyConfig;
use serde_json::{Value, json};

use crate::harness::{EXAMPLE, Example, KEYS, Local, body};

/// The records of `count` stored events that no notifier has seen yet, and a notifier to the stack's topic.
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
        let body = body(EXAMPLE, "participant_joined", |places| places.id = index.to_string());
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
    (event, Notifier::new(config, &local_sdk_config(local.stack.aws)))
}

/// What the notifier answers: the sequence number from which on it wants the records again.
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
async fn a_batch_that_is_not_taken_is_wanted_again_from_its_first_record() {
    let local = Local::start().await;
    let (mut event, notifier) = unpublished(&local, 25).await;
    // The second batch fails as often as the client tries.
    let faults = [vec![PublishFault::Entries(vec![])], vec![PublishFault::Whole; 3]].concat();
    *local.stack.faults.publish.lock().unwrap() = faults;
    let failed = failure(&notifier, &event).await;
    assert_eq!(failed, event.records[10].change.sequence_number);
    assert_eq!(published_ids(&local, 10).await, ids(0..10));

    event.records.drain(..10);
    assert_eq!(failure(&notifier, &event).await, None);
    assert_eq!(published_ids(&local, 25).await, ids(0..25));
}

#[tokio::test]
async fn failed_entries_of_an_answer_200_are_wanted_again_from_the_lowest() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 10).await;
    *local.stack.faults.publish.lock().unwrap() = vec![PublishFault::Entries(vec![(7, false), (3, false)])];
    assert_eq!(failure(&notifier, &event).await, event.records[3].change.sequence_number);
    assert_eq!(published_ids(&local, 8).await, ids([0, 1, 2, 4, 5, 6, 8, 9]));
}

#[tokio::test]
async fn an_entry_that_the_answer_does_not_mention_is_wanted_again() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 3).await;
    *local.stack.faults.publish.lock().unwrap() = vec![PublishFault::Silent(1)];
    assert_eq!(failure(&notifier, &event).await, event.records[1].change.sequence_number);
    assert_eq!(published_ids(&local, 2).await, ids([0, 2]));
}

#[tokio::test]
async fn what_the_topic_will_never_take_goes_to_quarantine_and_holds_nothing_up() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 10).await;
    *local.stack.faults.publish.lock().unwrap() = vec![PublishFault::Entries(vec![(4, true)])];
    assert_eq!(failure(&notifier, &event).await, None);
    assert_eq!(published_ids(&local, 9).await, ids([0, 1, 2, 3, 5, 6, 7, 8, 9]));
    assert_eq!(quarantined_ids(&local), ["4"]);
}

/// The ids of what the quarantine queue holds.
fn quarantined_ids(local: &Local) -> Vec<String> {
    let quarantined = local.stack.faults.quarantined.lock().unwrap();
    let id = |whole: &String| {
        let whole: Value = serde_json::from_str(whole).unwrap();
        let message: Value = serde_json::from_str(whole["message"].as_str().unwrap()).unwrap();
        message["id"].as_str().unwrap().to_owned()
    };
    quarantined.iter().map(id).collect()
}

const TAKEN: PublishFault = PublishFault::Entries(vec![]);
const INVALID: PublishFault = PublishFault::Rejected(400, "InvalidParameter");

#[tokio::test]
async fn a_batch_that_is_rejected_for_good_is_taken_apart_and_only_what_is_rejected_then_is_quarantined() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 12).await;
    // The first batch whole, then of its ten records the fourth; the second batch is taken.
    let singly = [vec![TAKEN; 3], vec![INVALID], vec![TAKEN; 6]].concat();
    *local.stack.faults.publish.lock().unwrap() = [vec![INVALID], singly].concat();
    assert_eq!(failure(&notifier, &event).await, None);
    assert_eq!(published_ids(&local, 11).await, ids((0..12).filter(|id| *id != 3)));
    assert_eq!(quarantined_ids(&local), ["3"]);
}

#[tokio::test]
async fn a_batch_that_is_too_long_as_a_whole_is_taken_apart_and_all_of_it_published() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 3).await;
    *local.stack.faults.publish.lock().unwrap() = vec![PublishFault::Rejected(400, "BatchRequestTooLong")];
    assert_eq!(failure(&notifier, &event).await, None);
    assert_eq!(published_ids(&local, 3).await, ids(0..3));
    assert!(quarantined_ids(&local).is_empty());
}

#[tokio::test]
async fn of_a_batch_that_is_taken_apart_the_first_record_that_cannot_be_settled_is_wanted_again() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 4).await;
    let throttled = vec![PublishFault::Rejected(400, "Throttling"); 3];
    *local.stack.faults.publish.lock().unwrap() = [vec![INVALID, TAKEN, INVALID], throttled].concat();
    assert_eq!(failure(&notifier, &event).await, event.records[2].change.sequence_number);
    assert_eq!(published_ids(&local, 1).await, ids([0]));
    assert_eq!(quarantined_ids(&local), ["1"]);

    local.stack.faults.reject_quarantine.store(true, Relaxed);
    *local.stack.faults.publish.lock().unwrap() = vec![INVALID, TAKEN, INVALID];
    assert_eq!(failure(&notifier, &event).await, event.records[1].change.sequence_number);
}

#[tokio::test]
async fn what_is_our_own_fault_is_wanted_again_and_never_quarantined() {
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
        // As often as the client may try.
        *local.stack.faults.publish.lock().unwrap() = vec![PublishFault::Rejected(status, code); 3];
        let first = &event.records[0].change.sequence_number;
        assert_eq!(&failure(&notifier, &event).await, first, "{code}");
        local.stack.faults.publish.lock().unwrap().clear();
    }
    assert!(quarantined_ids(&local).is_empty());
}

#[tokio::test]
async fn a_record_that_is_no_event_goes_to_quarantine_and_other_changes_are_passed_over() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 1).await;
    let mut records = json!(event);
    let good = records["Records"][0].clone();
    let mut alien = good.clone();
    alien["dynamodb"]["NewImage"] = json!({ "event_key": { "S": "alien" } });
    let mut removal = good.clone();
    removal["eventName"] = json!("REMOVE");
    records["Records"] = json!([alien, removal, good]);
    let event: Event = serde_json::from_value(records).unwrap();
    assert_eq!(failure(&notifier, &event).await, None);
    assert_eq!(published_ids(&local, 1).await, ids(0..1));
    assert!(local.stack.faults.quarantined.lock().unwrap()[0].contains("alien"));
}

#[tokio::test]
async fn what_stands_before_a_record_that_cannot_be_settled_is_published_first() {
    let local = Local::start().await;
    let (event, notifier) = unpublished(&local, 3).await;
    let mut records = json!(event);
    records["Records"][1]["dynamodb"]["NewImage"] = json!({ "event_key": { "S": "alien" } });
    let mut event: Event = serde_json::from_value(records).unwrap();
    local.stack.faults.reject_quarantine.store(true, Relaxed);
    assert_eq!(failure(&notifier, &event).await, event.records[1].change.sequence_number);
    assert_eq!(published_ids(&local, 1).await, ids(0..1));

    local.stack.faults.reject_quarantine.store(false, Relaxed);
    event.records.remove(0);
    assert_eq!(failure(&notifier, &event).await, None);
    assert_eq!(published_ids(&local, 2).await, ids([0, 2]));
}

#[tokio::test]
async fn the_local_stack_publishes_again_what_was_not_taken() {
    let local = Local::start().await;
    *local.stack.faults.publish.lock().unwrap() = vec![PublishFault::Whole; 3];
    local.status(EXAMPLE, body(EXAMPLE, "participant_joined", |_| ()).as_bytes()).await;
    local.notifications(1).await;
}

#[tokio::test]
async fn what_was_stored_before_a_crash_is_published_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let start = async || {
        let data = folder.path().to_owned();
        Local::start_with(|options| options.data = Some(data)).await
    };
    let first = start().await;
    // The topic takes nothing: the process ends with a stored event that nobody heard of.
    *first.stack.faults.publish.lock().unwrap() = vec![PublishFault::Whole; 1_000];
    first
        .status(EXAMPLE, body(EXAMPLE, "participant_joined", |places| places.id = "1".into()).as_bytes())
        .await;
    first.stop().await;

    let second = start().await;
    assert_eq!(published_ids(&second, 1).await, ["1"]);
    assert_eq!(second.events().await.len(), 1);
}
