//! The inspector: a page and its API, on loopback only.
//!
//! ```text
//! page          the files of cli/page and their content security policy
//! log           the status of the latest deliveries, fed by the local stack or from a deployed table
//! backfill      fills the log from the table and its stream
//! live          the log as server-sent events
//! event_detail  one event in full, and a room's timeline
//! rooms         the rooms of the last day
//! resend        an event as a curl command, a Lambda event or a test fixture
//! ```

mod backfill;
mod event_detail;
mod live;
mod log;
mod page;
mod resend;
mod rooms;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::Response;
use axum::routing::get;

pub use backfill::{fill, follow};
pub use log::{DeliveryStatus, Log, Row};
pub use resend::Sending;

use crate::history::Source;
use crate::local::guard::Guard;
use crate::local::problem;

/// What the page shows.
#[derive(Clone)]
pub struct Inspected {
    /// Where the events are stored.
    pub source: Source,
    /// The status of each delivery. The local stack sees all of them; a deployed stack's table holds no duplicates
    /// and rejections.
    pub log: Arc<Log>,
    /// How to resend a delivery; only the local stack's keys are available.
    pub sending: Option<Sending>,
}

/// The routes of the page and its API; wrap them in [`guarded`].
pub fn router(inspected: Inspected) -> Router {
    let api = Router::new()
        .route("/api/live", get(live::live))
        .route("/api/event", get(event_detail::event))
        .route("/api/timeline", get(event_detail::timeline))
        .route("/api/rooms", get(rooms::rooms))
        .route("/api/again", get(resend::resend))
        .with_state(inspected);
    page::router().merge(api)
}

/// Restricts the routes to this machine, adds a 404 fallback, and sets the page's security headers.
pub fn guarded(routes: Router) -> Router {
    let routes = routes.fallback(async || problem(StatusCode::NOT_FOUND, "There is nothing here."));
    Guard::Page.protect(routes).layer(middleware::map_response(async |mut answer: Response| {
        page::harden(answer.headers_mut());
        answer
    }))
}
