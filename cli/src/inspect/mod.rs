//! The inspector: a page, and the API behind it, on loopback only.
//!
//! ```text
//! page    the files of cli/page, and the policy under which a browser runs them
//! log     what became of each delivery, bounded; fed by the local stack or by reading a deployed table
//! live    the log as server-sent events
//! one     one event in full, and a room's timeline
//! again   what sends an event once more
//! ```

mod again;
mod deployed;
mod feeding;
mod live;
mod log;
mod one;
mod page;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

pub use again::Sending;
pub use deployed::{Inspect, InspectError};
pub use feeding::{fill, note_announcements};
pub use log::{Became, Log, Row};

use crate::history::Source;

/// What the page shows.
#[derive(Clone)]
pub struct Inspected {
    /// Where the events are stored.
    pub source: Source,
    /// What became of each delivery. The local stack sees every one; of a deployed stack only the table is
    /// read, where duplicates and refusals leave no trace.
    pub log: Arc<Log>,
    /// How a delivery can be sent again; only the local stack's keys are at hand.
    pub sending: Option<Sending>,
}

/// The page and its API.
pub fn router(inspected: Inspected) -> Router {
    let api = Router::new()
        .route("/api/live", get(live::live))
        .route("/api/event", get(one::event))
        .route("/api/timeline", get(one::timeline))
        .route("/api/again", get(again::again))
        .with_state(inspected);
    page::router().merge(api).layer(middleware::from_fn(loopback_only))
}

/// A page from elsewhere must not read events through a name that it has made point here, nor a tunnel for
/// webhooks publish them.
pub async fn loopback_only(headers: HeaderMap, request: Request, next: Next) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let mut answer = match name {
        "127.0.0.1" | "localhost" | "[::1]" => next.run(request).await,
        _ => problem(StatusCode::FORBIDDEN, "The API answers on 127.0.0.1 and localhost only."),
    };
    page::harden(answer.headers_mut());
    answer
}

/// RFC 9457.
pub fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
