//! The HTTP server: the providers' paths, as API Gateway routes them, and the local stack's API.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use aws_types::SdkConfig;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::{SignedDuration, Timestamp};
use lambda_http::RequestExt;
use livehooks_aws::config::{FallbackConfig, IngestConfig, KeySource};
use livehooks_aws::{Ingest, Outcome};
use livehooks_core::for_each_provider;
use livehooks_signing::{ProviderInfo, Signer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::notes::note_notifications;
use super::{NotificationLog, Report};
use crate::history::{Filter, Source};
use crate::inspect::{self, Inspected, Sending};
use crate::keys_file::KeysFile;
use crate::local::guard::Guard;
use crate::local::lock_file::StackProcess;
use crate::local::{LOCAL_TIMEOUT, TABLE, problem};

/// API Gateway's limit.
const REQUEST_BYTES_MAX: usize = 10 << 20;
/// How long events are kept.
pub(super) const RETENTION: SignedDuration = SignedDuration::from_hours(24 * 90);
const EVENTS_MAX: usize = 10_000;
const EVENTS_DEFAULT: usize = 100;

/// What the providers' routes share.
#[derive(Clone)]
pub struct WebhookRoutes {
    pub(super) sdk: SdkConfig,
    pub(super) fallback: FallbackConfig,
    pub(super) report: Arc<Report>,
    pub(super) stored: Arc<Notify>,
}

#[derive(Clone)]
struct Api {
    source: Source,
    report: Arc<Report>,
    published: Arc<NotificationLog>,
}

pub(super) async fn serve(
    listener: TcpListener,
    routes: WebhookRoutes,
    source: Source,
    keys: KeysFile,
    published: Arc<NotificationLog>,
) {
    let log = routes.report.log().clone();
    let sending =
        listener.local_addr().ok().map(|to| Sending { url: format!("http://{to}"), keys: keys.clone() });
    let page = inspect::router(Inspected { source: source.clone(), log: log.clone(), sending });
    tokio::spawn(inspect::fill(source.clone(), log.clone()));
    tokio::spawn(note_notifications(published.clone(), log));
    let api = Api { source, report: routes.report.clone(), published };
    let api = Router::new()
        .route("/api/events", get(events))
        .route("/api/rejections", get(rejections))
        .route("/api/announcements", get(notifications))
        .route("/api/announcements/count", get(count))
        .route("/api/stack", get(async || axum::Json(StackProcess { process: std::process::id() })))
        .with_state(api);
    let webhooks = for_each_provider!(P => routes.mount::<P>(&keys));
    let webhooks = webhooks.into_iter().fold(Router::new(), Router::merge);
    let open =
        Router::new().route("/healthz", get(async || axum::Json(json!({ "status": "ok" })))).merge(webhooks);
    let app = inspect::guarded(api.merge(page)).merge(Guard::Webhooks.protect(open));
    // Runs until the process exits.
    let _ = axum::serve(listener, app).await;
}

impl WebhookRoutes {
    /// The routes of one provider's function.
    fn mount<P: Signer>(&self, keys: &KeysFile) -> Router {
        let secret = ProviderInfo::named(P::NAME).map_or(Value::Null, |provider| keys.secret(provider));
        let config = IngestConfig {
            table: TABLE.into(),
            keys: KeySource::Inline(secret.to_string()),
            retention: RETENTION,
            deadline: LOCAL_TIMEOUT,
            fallback: Some(self.fallback.clone()),
        };
        let ingest = Arc::new(Ingest::<P>::new(config, &self.sdk));
        let routes = self.clone();
        let handler = async move |path: Option<Path<String>>, request: Request| {
            process(&routes, &ingest, path.map(|Path(token)| token), request).await
        };
        let path = format!("/webhooks/{}", P::NAME);
        let app = Router::new().route(&path, post(handler.clone()));
        if P::HAS_URL_TOKEN { app.route(&format!("{path}/{{token}}"), post(handler)) } else { app }
    }
}

async fn process<P: Signer>(
    routes: &WebhookRoutes,
    ingest: &Ingest<P>,
    token: Option<String>,
    request: Request,
) -> Response {
    let received = Timestamp::now();
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, REQUEST_BYTES_MAX).await;
    let outcome = match body {
        Ok(bytes) => {
            let body = lambda_http::Body::Binary(bytes.to_vec());
            let request = lambda_http::Request::from_parts(parts, body);
            let parameters = token.map(|token| HashMap::from([("token".to_owned(), vec![token])]));
            ingest.receive_at(&request.with_path_parameters(parameters.unwrap_or_default()), received).await
        }
        Err(_) => Outcome::TooLarge {
            bytes: REQUEST_BYTES_MAX + 1,
            bytes_max: livehooks_aws::config::BODY_BYTES_MAX,
        },
    };
    routes.report.outcome(P::NAME, received, &outcome);
    if matches!(outcome, Outcome::Stored(_)) {
        routes.stored.notify_one();
    }
    outcome.into_response().map(|body| Body::from(body.to_vec()))
}

#[derive(Deserialize)]
struct Events {
    provider: Option<String>,
    r#type: Option<String>,
    room: Option<String>,
    limit: Option<usize>,
}

async fn events(State(api): State<Api>, Query(query): Query<Events>) -> Response {
    let limit = Some(query.limit.unwrap_or(EVENTS_DEFAULT).min(EVENTS_MAX));
    let (provider, r#type, room) = (query.provider, query.r#type, query.room);
    match api.source.events(&Filter { provider, r#type, room, limit, ..Filter::default() }).await {
        Ok(events) => {
            let newest_first: Vec<&str> = events.iter().rev().map(|stored| stored.json.as_str()).collect();
            let json = format!("[{}]", newest_first.join(","));
            ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], json)
                .into_response()
        }
        Err(why) => problem(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
    }
}

async fn rejections(State(api): State<Api>) -> Response {
    axum::Json(api.report.rejections()).into_response()
}

#[derive(Deserialize)]
struct EventId {
    source: String,
    id: String,
}

async fn count(State(api): State<Api>, Query(event): Query<EventId>) -> Response {
    match api.published.count(&event.source, &event.id) {
        Ok(count) => axum::Json(count).into_response(),
        Err(why) => problem(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
    }
}

#[derive(Deserialize)]
struct Replay {
    replay: Option<String>,
    follow: Option<bool>,
}

async fn notifications(State(api): State<Api>, Query(query): Query<Replay>) -> Response {
    let from_start = match query.replay.as_deref() {
        None => false,
        Some("all") => true,
        Some(other) => {
            let detail = format!("replay: expected all, found {other:?}");
            return problem(StatusCode::BAD_REQUEST, &detail);
        }
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    let mut cursor = api.published.cursor(from_start);
    let end = if query.follow == Some(false) { api.published.bytes() } else { u64::MAX };
    tokio::spawn(async move {
        while cursor.read_bytes() < end {
            let entry = tokio::select! {
                () = sender.closed() => return,
                entry = api.published.next(&mut cursor) => entry,
            };
            let Some(entry) = entry else { return };
            // In JSON, line breaks occur only between tokens, so a notification fits on one line.
            let line = sse::Event::default().data(entry.replace(['\r', '\n'], " "));
            if sender.send(Ok::<_, Infallible>(line)).await.is_err() {
                return;
            }
        }
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    Sse::new(stream).keep_alive(KeepAlive::default()).into_response()
}
