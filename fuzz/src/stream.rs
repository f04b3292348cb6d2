//! Passes stream records through the complete notifier.

use aws_lambda_events::event::dynamodb::Event;
use livehooks_aws::Notifier;
use livehooks_aws::config::NotifyConfig;
use livehooks_aws::notification::MESSAGE_BYTES_MAX;
use serde_json::value::RawValue;
use tokio::runtime::{Builder, Runtime};

use crate::aws::{Calls, sdk};

struct Function {
    runtime: Runtime,
    calls: Calls,
    notifier: Notifier,
}

thread_local! {
    static FUNCTION: Function = {
        let calls = Calls::default();
        let config = NotifyConfig {
            table: "Events".into(),
            topic_arn: "arn:aws:sns:us-east-1:000000000000:livehooks".into(),
            quarantine_queue_url: "http://127.0.0.1:1/000000000000/quarantine".into(),
            batches_at_once: 8,
        };
        Function {
            runtime: Builder::new_current_thread().enable_time().build().expect("a runtime"),
            notifier: Notifier::new(config, &sdk(calls.clone())),
            calls,
        }
    };
}

/// The input is a batch of records as Lambda passes it to the notifier.
pub fn stream(input: &[u8]) {
    let Ok(event) = serde_json::from_slice::<Event>(input) else { return };
    FUNCTION.with(|function| {
        let response = function.runtime.block_on(function.notifier.handle(&event));
        assert!(response.batch_item_failures.is_empty(), "the topic and the queue accepted everything");
        let calls = function.calls.take();
        let settled: usize = calls.iter().map(|call| check_call(call)).sum();
        let inserted = event.records.iter().filter(|record| record.event_name == "INSERT").count();
        assert_eq!(settled, inserted, "each new item is published or quarantined, exactly once");
    });
}

/// How many records the call publishes or quarantines.
fn check_call(call: &[u8]) -> usize {
    if call.starts_with(b"{") {
        return 1;
    }
    let (mut entries, mut bytes) = (0, 0);
    for (name, value) in form_urlencoded::parse(call) {
        if name.ends_with(".Message") {
            serde_json::from_str::<&RawValue>(&value).expect("a message is JSON");
            entries += 1;
            bytes += value.len();
        } else if name.contains(".MessageAttributes.") {
            let is_invalid = value.is_empty() || value.contains(char::is_control);
            assert!(!is_invalid, "SNS rejects the attribute {name}={value:?}");
            bytes += value.len();
        }
    }
    assert!((1..=10).contains(&entries) && bytes <= MESSAGE_BYTES_MAX, "{entries} in {bytes} bytes");
    entries
}
