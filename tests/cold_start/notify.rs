//! Sends a batch of 1,000 stream records through `notify` to a slow SNS.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Function, ms, peak_mib, spread};

/// How long PublishBatch takes within a region.
const ANSWER_AFTER: Duration = Duration::from_millis(20);
const RECORDS: usize = 1_000;
const ROUNDS: usize = 5;

pub async fn measure(notify: &Path) {
    let calls = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let sns = Router::new().fallback(publish).with_state(calls.clone());
    tokio::spawn(axum::serve(listener, sns).into_future());
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("TABLE_NAME", "Events"),
        ("TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:livehooks"),
        ("QUARANTINE_QUEUE_URL", "http://127.0.0.1:1/quarantine"),
    ];
    println!("\n{RECORDS} records, SNS answers after {} ms", ANSWER_AFTER.as_millis());
    for event_bytes in [1_000, 3_000] {
        let (mut times, mut peaks) = (Vec::new(), Vec::new());
        let mut called = 0;
        for _ in 0..ROUNDS {
            let mut function = Function::start(notify, &variables).await;
            function.ready().await;
            let before = calls.load(Relaxed);
            let (answer, took) = function.invoke(batch(event_bytes)).await;
            assert_eq!(answer["batchItemFailures"], json!([]), "{answer}");
            called = calls.load(Relaxed) - before;
            times.push(ms(took));
            peaks.push(peak_mib(&function));
            function.stop().await;
        }
        println!("events of {event_bytes} bytes: {called} calls");
        spread("notify", "batch ms", &mut times);
        spread("notify", "peak MiB", &mut peaks);
    }
}

async fn publish(State(calls): State<Arc<AtomicUsize>>, body: String) -> String {
    calls.fetch_add(1, Relaxed);
    tokio::time::sleep(ANSWER_AFTER).await;
    let entry = |index: &usize| body.contains(&format!("PublishBatchRequestEntries.member.{index}.Id="));
    let accepted: String = (1..=10)
        .filter(entry)
        .map(|index| format!("<member><Id>{}</Id><MessageId>{index}</MessageId></member>", index - 1))
        .collect();
    format!(
        "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
         <Successful>{accepted}</Successful><Failed/></PublishBatchResult></PublishBatchResponse>"
    )
}

fn batch(event_bytes: usize) -> String {
    let record = |index: usize| {
        let raw = json!({ "event": "participant_joined", "note": "x".repeat(event_bytes - 400) });
        let event = json!({
            "specversion": "1.0", "id": index.to_string(), "source": "/livehooks/livekit/APIdevelopment",
            "type": "live.participant.joined", "subject": "Demo Room", "time": "2025-10-30T09:03:20Z",
            "recordedtime": "2025-10-30T09:03:20.318Z", "timebasis": "provider", "provider": "livekit",
            "providertype": "participant_joined", "assurance": "signed",
            "data": { "room": { "id": "Demo Room" }, "session": { "id": "RM_hycBMAjmt6Ub" }, "raw": raw },
        });
        json!({
            "eventID": index.to_string(), "eventName": "INSERT", "eventVersion": "1.1", "awsRegion": "us-east-1",
            "eventSource": "aws:dynamodb", "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/Events",
            "dynamodb": {
                "ApproximateCreationDateTime": 1761815000, "SizeBytes": event_bytes, "StreamViewType": "NEW_IMAGE",
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
    let records: Vec<Value> = (0..RECORDS).map(record).collect();
    json!({ "Records": records }).to_string()
}
