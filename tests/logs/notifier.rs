use std::sync::atomic::Ordering::Relaxed;

use aws_lambda_events::event::dynamodb::Event;
use livehooks::local::local_sdk_config;
use livehooks_aws::Notifier;
use livehooks_aws::config::NotifyConfig;
use serde_json::{Value, json};

use crate::deliveries::marked;
use crate::faulty_client::PublishFault;
use crate::harness::{EXAMPLE, Local, body};
use crate::notes::Notes;

/// Runs the notifier with records of every kind, while the topic and the queue fail in every way.
pub async fn all(notes: &mut Notes) {
    let local = Local::start().await;
    let config = NotifyConfig {
        table: "Events".into(),
        topic_arn: "arn:aws:sns:us-east-1:000000000000:livehooks".into(),
        quarantine_queue_url: format!("http://{}/000000000000/quarantine", local.stack.aws),
        batches_at_once: 1,
    };
    let sdk = local_sdk_config(local.stack.aws).to_builder().http_client(local.faults.client()).build();
    let notifier = Notifier::new(config, &sdk);
    let raw = marked(&body(EXAMPLE, "participant_joined", |_| ()), "notifier", notes);
    let event = json!({
        "specversion": "1.0", "id": "1", "type": "live.participant.joined", "provider": EXAMPLE,
        "assurance": "signed", "subject": "canary-room", "recordedtime": "2025-10-30T09:03:20Z",
        "data": { "room": { "id": "canary-room" }, "session": { "id": "canary-session" }, "raw": raw },
    });
    let good = records(&[event.to_string()]);
    let faults = &local.faults;
    for fault in [
        vec![],
        vec![PublishFault::Whole; 3],
        vec![PublishFault::Entries(vec![(0, false)])],
        vec![PublishFault::Entries(vec![(0, true)])],
        vec![PublishFault::Silent(0)],
    ] {
        *faults.publish.lock().unwrap() = fault;
        notifier.handle(&good).await;
    }
    notes
        .expected
        .extend(["did not accept a batch", "did not accept a record", "sender_fault"].map(str::to_owned));

    let mut broken = vec![Value::Null, json!("canary"), json!(["canary"]), json!({ "canary": "canary" })];
    for (name, value) in [
        ("provider", json!({ "canary": "canary" })),
        ("type", json!(["canary"])),
        ("assurance", json!(7)),
        ("subject", json!(["canary"])),
        ("data", json!("canary of data")),
        ("data", json!({ "session": "canary of a session" })),
        ("data", json!({ "session": { "id": ["canary"] } })),
    ] {
        let mut event = event.clone();
        event[name] = value;
        broken.push(event);
    }
    let mut texts: Vec<String> = broken.iter().map(Value::to_string).collect();
    texts.push("canary that is no JSON".into());
    for reject in [false, true] {
        faults.reject_quarantine.store(reject, Relaxed);
        for text in &texts {
            notifier.handle(&records(std::slice::from_ref(text))).await;
        }
        notifier.handle(&foreign()).await;
    }
    notes.expected.extend(["unreadable", "the quarantine queue did not accept"].map(str::to_owned));
    local.stop().await;
}

fn records(events: &[String]) -> Event {
    let stored = |event: &String| {
        let image = json!({
            "event_key": { "S": format!("{EXAMPLE}#1") }, "occurrence": { "N": "0" }, "event": { "S": event },
        });
        record(&image)
    };
    serde_json::from_value(json!({ "Records": events.iter().map(stored).collect::<Vec<_>>() })).unwrap()
}

fn record(image: &Value) -> Value {
    let change = json!({
        "ApproximateCreationDateTime": 1, "Keys": {}, "NewImage": image, "SequenceNumber": "1", "SizeBytes": 1,
    });
    json!({ "awsRegion": "us-east-1", "eventID": "1", "eventName": "INSERT", "dynamodb": change })
}

/// An item that livehooks did not write.
fn foreign() -> Event {
    let image =
        json!({ "event_key": { "S": "canary-key" }, "event": { "B": "Y2FuYXJ5" }, "x": { "S": "canary" } });
    serde_json::from_value(json!({ "Records": [record(&image)] })).unwrap()
}
