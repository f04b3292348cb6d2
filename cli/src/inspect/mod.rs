//! The inspector: a page, and the API behind it, on loopback only.
//!
//! ```text
//! page    the files of cli/page, and the policy under which a browser runs them
//! log     what became of each delivery, bounded; fed by the local stack or by reading a deployed table
//! live    the log as server-sent events
//! ```

mod live;
pub mod log;
mod page;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use serde_json::json;

pub use log::{Became, Log, Row};

/// What the page shows.
#[derive(Clone)]
pub struct Inspected {
    /// What it is, for people.
    pub about: About,
    /// What became of each delivery.
    pub log: Arc<Log>,
}

/// What is being looked at.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum About {
    /// The local stack, which sees every delivery.
    Local,
    /// A deployed stack, of which only the table is read: duplicates and refusals leave no trace there.
    Deployed {
        /// The stack's name.
        stack: String,
        /// Its region.
        region: String,
    },
}

/// The page and its API.
pub fn router(inspected: Inspected) -> Router {
    let api = Router::new().route("/api/live", get(live::live)).with_state(inspected);
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
