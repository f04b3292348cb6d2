//! The inspector: a page, and the API behind it, on loopback only.
//!
//! ```text
//! page          the files of cli/page, and the policy under which a browser runs them
//! log           what became of each delivery, bounded; fed by the local stack or by reading a deployed table
//! backfill      the log's entries from before the start, and from the stream of a deployed table
//! live          the log as server-sent events
//! event_detail  one event in full, and a room's timeline
//! resend        what sends an event again
//! ```

mod backfill;
mod event_detail;
mod live;
mod log;
mod page;
mod resend;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::Response;
use axum::routing::get;

pub use backfill::{fill, follow};
pub use log::{Became, Log, Row};
pub use resend::Sending;

use crate::history::Source;
use crate::local::guard::Guard;
use crate::local::problem;

/// What the page shows.
#[derive(Clone)]
pub struct Inspected {
    /// Where the events are stored.
    pub source: Source,
    /// What became of each delivery. The local stack sees every one; of a deployed stack only the table is
    /// read, where duplicates and rejections leave no trace.
    pub log: Arc<Log>,
    /// How a delivery can be sent again; only the local stack's keys are at hand.
    pub sending: Option<Sending>,
}

/// The page and its API, to be [`guarded`].
pub fn router(inspected: Inspected) -> Router {
    let api = Router::new()
        .route("/api/live", get(live::live))
        .route("/api/event", get(event_detail::event))
        .route("/api/timeline", get(event_detail::timeline))
        .route("/api/again", get(resend::resend))
        .with_state(inspected);
    page::router().merge(api)
}

/// These routes and nothing else, for this machine alone, under the page's policy.
pub fn guarded(routes: Router) -> Router {
    let routes = routes.fallback(async || problem(StatusCode::NOT_FOUND, "There is nothing here."));
    Guard::Page.protect(routes).layer(middleware::map_response(async |mut answer: Response| {
        page::harden(answer.headers_mut());
        answer
    }))
}
