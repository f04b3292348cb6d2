//! The log as server-sent events: existing rows first, then changes.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Sender, channel};

use super::Inspected;

/// The maximum number of rows per message.
const BATCH: usize = 500;
/// Groups a burst of deliveries into a few messages.
const GATHER: Duration = Duration::from_millis(40);

/// Sends `about` first, then `rows` as there are any, and `caught-up` once all existing rows were sent.
pub(super) async fn live(State(inspected): State<Inspected>, headers: HeaderMap) -> Response {
    let (sender, receiver) = channel(4);
    let after = resume_after(&inspected, &headers);
    tokio::spawn(async move {
        // Ends when the client disconnects.
        let _ = follow(&inspected, after, &sender).await;
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    Sse::new(stream).keep_alive(KeepAlive::default()).into_response()
}

/// The version after which a reconnecting client of this log continues.
fn resume_after(inspected: &Inspected, headers: &HeaderMap) -> u64 {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let (epoch, version) = last.split_once('/').unwrap_or_default();
    let is_same_log = epoch == inspected.log.epoch();
    version.parse().ok().filter(|_| is_same_log).unwrap_or(0)
}

type Line = Result<Event, Infallible>;

async fn follow(inspected: &Inspected, mut after: u64, sender: &Sender<Line>) -> Option<()> {
    let epoch = inspected.log.epoch();
    let mut versions = inspected.log.versions();
    let about = json!({ "epoch": epoch, "about": about(inspected) });
    send(sender, Event::default().event("about").data(about.to_string())).await?;
    let mut is_caught_up = false;
    loop {
        let (rows, version) = inspected.log.changes(after, BATCH);
        if !rows.is_empty() {
            after = version;
            let event = Event::default().event("rows").id(format!("{epoch}/{version}"));
            send(sender, event.json_data(rows).ok()?).await?;
            continue;
        }
        if !is_caught_up {
            is_caught_up = true;
            send(sender, Event::default().event("caught-up").data("{}")).await?;
        }
        tokio::select! {
            () = sender.closed() => return None,
            changed = versions.wait_for(|version| *version > after) => drop(changed.ok()?),
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// The stack that the page shows.
fn about(inspected: &Inspected) -> Value {
    match &inspected.source.stack {
        None => json!({ "kind": "local" }),
        Some(stack) => json!({ "kind": "deployed", "stack": stack.name, "region": stack.region }),
    }
}

async fn send(sender: &Sender<Line>, event: Event) -> Option<()> {
    sender.send(Ok(event)).await.ok()
}
