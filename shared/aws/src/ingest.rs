//! Handles a request: stores the delivery in the table or, failing that, the fallback queue, and maps the outcome to a
//! response.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use aws_types::SdkConfig;
use jiff::Timestamp;
use lambda_http::http::{StatusCode, header};
use lambda_http::{Body, Request, RequestExt, Response};
use lambda_runtime::{LambdaEvent, service_fn};
use livehooks_core::{Delivery, Provider};
use metrics::{counter, histogram};
use serde_json::json;
use serde_json::value::RawValue;
use tracing::{error, info, warn};

use crate::config::{IngestConfig, env};
use crate::fallback::Fallback;
use crate::fault::QueueError;
use crate::gateway::{Answer, MalformedEvent, ReceiveClock};
use crate::outcome::{Outcome, Receipt};
use crate::pipeline::Pipeline;
use crate::store::PutOutcome;
use crate::telemetry::{self, milliseconds};
use crate::{Fault, KeyRing, Store, clients, gateway};

/// Runs one provider's function until Lambda stops it.
///
/// # Errors
/// If settings are missing or invalid, or if Lambda's runtime fails.
pub async fn run<P: Provider>() -> Result<(), lambda_http::Error> {
    let telemetry = telemetry::init()?;
    let config = IngestConfig::read(env)?;
    let ingest = Ingest::<P>::new(config, &clients::from_env()?);
    ingest.warm_up().await;
    let (ingest, telemetry) = (&ingest, &telemetry);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Box<RawValue>>| {
        let response = ingest.handle_event(event.payload.get()).await;
        telemetry.flush();
        Ok::<_, Infallible>(Answer::from(response))
    }))
    .await
}

/// One provider's handler.
pub struct Ingest<P: Provider> {
    pipeline: Pipeline<P>,
    fallback: Option<Fallback>,
    clock: ReceiveClock,
}

impl<P: Provider> Ingest<P> {
    /// A handler that uses the table, the queue and the keys named by `config`.
    pub fn new(config: IngestConfig, sdk: &SdkConfig) -> Self {
        let keys = KeyRing::new(P::NAME, config.keys, aws_sdk_secretsmanager::Client::new(sdk));
        let store = Store::new(aws_sdk_dynamodb::Client::new(sdk), config.table, config.retention);
        let fallback = config.fallback.map(|fallback| Fallback::new(fallback, sdk));
        Self {
            pipeline: Pipeline { keys, store, deadline: config.deadline },
            fallback,
            clock: ReceiveClock::default(),
        }
    }

    /// Reads the keys and opens the connection to the table before the first delivery, because Lambda gives a
    /// function more CPU time during startup. Failures are logged; deliveries try again.
    pub async fn warm_up(&self) {
        let _ = tokio::join!(self.pipeline.keys.current(Timestamp::now()), self.pipeline.store.warm_up());
    }

    /// Answers an event from API Gateway, however malformed.
    pub async fn handle_event(&self, event: &str) -> Response<Body> {
        match gateway::request(event) {
            Ok(request) => self.handle(&request).await,
            Err(malformed) => {
                record_malformed(P::NAME, malformed);
                problem(StatusCode::BAD_REQUEST, "The request could not be read.")
            }
        }
    }

    /// Answers a request, and records the outcome in the log and the metrics.
    pub async fn handle(&self, request: &Request) -> Response<Body> {
        let started = Instant::now();
        let outcome = self.receive(request).await;
        record(P::NAME, &outcome, started.elapsed());
        outcome.into_response()
    }

    /// Processes a request.
    pub async fn receive(&self, request: &Request) -> Outcome {
        self.receive_at(request, Timestamp::now()).await
    }

    /// Processes a request at `now`, which is also the time of receipt unless API Gateway names one. Only faults lead to
    /// the queue.
    pub async fn receive_at(&self, request: &Request, now: Timestamp) -> Outcome {
        let received_at = self.clock.received_at(request, now);
        let path = request.path_parameters_ref();
        let delivery = Delivery {
            headers: request.headers(),
            url_token: path.and_then(|parameters| parameters.first("token")),
            body: request.body().as_ref(),
        };
        match self.pipeline.process(&delivery, received_at, now).await {
            Outcome::Failed(fault) if fault.leads_to_queue() => {
                self.fall_back(&delivery, received_at, fault).await
            }
            outcome => outcome,
        }
    }

    async fn fall_back(&self, delivery: &Delivery<'_>, received_at: Timestamp, fault: Fault) -> Outcome {
        let Some(fallback) = &self.fallback else { return Outcome::Failed(fault) };
        match fallback.put::<P>(delivery, received_at, &fault).await {
            Ok(id) => Outcome::Queued { id, fault },
            Err(why) => {
                record_not_queued(P::NAME, &why);
                Outcome::Failed(fault)
            }
        }
    }
}

impl Outcome {
    /// Maps outcomes to responses. A response never says why authentication failed.
    pub fn into_response(self) -> Response<Body> {
        match self {
            Self::Answered(json) => response(StatusCode::OK, "application/json", json),
            Self::Stored(Receipt { reply: Some(json), .. }) => {
                response(StatusCode::OK, "application/json", json.to_owned())
            }
            Self::Stored(Receipt { written: PutOutcome::New { id }, .. }) => success("accepted", &id),
            Self::Stored(Receipt { written: PutOutcome::Duplicate { id, .. }, .. }) => {
                success("duplicate", &id)
            }
            Self::Queued { id, .. } => success("queued", &id),
            Self::Rejected(_) => {
                problem(StatusCode::UNAUTHORIZED, "The delivery could not be authenticated.")
            }
            Self::TooLarge { .. } => problem(StatusCode::PAYLOAD_TOO_LARGE, "The delivery is too large."),
            Self::Failed(_) => {
                // No Retry-After: it would make LiveKit retry sooner, and so give up sooner.
                problem(StatusCode::SERVICE_UNAVAILABLE, "The delivery could not be stored. Send it again.")
            }
        }
    }
}

fn success(status: &str, id: &str) -> Response<Body> {
    response(StatusCode::OK, "application/json", json!({ "status": status, "id": id }).to_string())
}

/// RFC 9457.
fn problem(status: StatusCode, detail: &str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    response(status, "application/problem+json", body.to_string())
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::Text(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

/// Counts and logs the outcome of a delivery. In this order, so that its line has its metrics.
pub fn record(provider: &'static str, outcome: &Outcome, elapsed: Duration) {
    histogram!("AckLatency", "provider" => provider).record(milliseconds(elapsed.as_secs_f64()));
    match outcome {
        Outcome::Stored(receipt) => receipt.record(provider),
        Outcome::Answered(_) => {
            counter!("Answered", "provider" => provider).increment(1);
            info!(provider, "question answered");
        }
        Outcome::Queued { id, fault } => {
            let code = fault.code();
            counter!("Queued", "provider" => provider, "fault" => code).increment(1);
            error!(provider, fault = code, id, "delivery queued: {fault}");
        }
        Outcome::Rejected(rejection) => {
            let (reason, advice) = (rejection.code(), rejection.advice());
            counter!("Rejected", "provider" => provider, "reason" => reason).increment(1);
            warn!(provider, reason, detail = %rejection, advice, "delivery rejected");
        }
        Outcome::TooLarge { bytes, bytes_max } => {
            counter!("TooLarge", "provider" => provider).increment(1);
            warn!(provider, bytes, bytes_max, "delivery rejected: too large");
        }
        Outcome::Failed(fault) => {
            let code = fault.code();
            counter!("Failed", "provider" => provider, "fault" => code).increment(1);
            error!(provider, fault = code, "delivery neither stored nor queued: {fault}");
        }
    }
}

/// Counts and logs an event that is not a request.
fn record_malformed(provider: &'static str, malformed: MalformedEvent) {
    let reason = "malformed_request";
    counter!("Rejected", "provider" => provider, "reason" => reason).increment(1);
    warn!(provider, reason, detail = %malformed, "delivery rejected");
}

/// Logs why the fallback queue did not accept a delivery.
fn record_not_queued(provider: &'static str, why: &QueueError) {
    error!(provider, "the fallback queue did not accept a delivery: {why}");
}
