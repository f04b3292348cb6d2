//! From a request to its answer: verify, normalize, store, and the status contract.

use std::convert::Infallible;
use std::time::Instant;

use aws_types::SdkConfig;
use jiff::Timestamp;
use lambda_http::http::{StatusCode, header};
use lambda_http::{Body, Request, RequestExt, Response, service_fn};
use livehooks_core::{Delivery, EventType, Normalized, Provider, Rejection, Verified};
use serde_json::json;

use crate::config::{IngestConfig, env};
use crate::store::{NotWritten, Written};
use crate::{Fault, KeyRing, Store, clients, telemetry};

/// No provider's body comes near.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Runs one provider's function until Lambda stops it.
///
/// # Errors
/// Settings that are missing or wrong, all of them at once; then Lambda's own.
pub async fn run<P: Provider>() -> Result<(), lambda_http::Error> {
    let telemetry = telemetry::init()?;
    let config = IngestConfig::read(env)?;
    let ingest = Ingest::<P>::new(config, &clients::from_env()?);
    ingest.warm_up().await;
    let (ingest, telemetry) = (&ingest, &telemetry);
    lambda_http::run(service_fn(async |request: Request| {
        let response = ingest.handle(&request).await;
        telemetry.flush();
        Ok::<_, Infallible>(response)
    }))
    .await
}

/// One provider's way in.
pub struct Ingest<P: Provider> {
    keys: KeyRing<P::Keys>,
    store: Store,
}

/// What became of a delivery.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Authentic, and in the table.
    Stored(Receipt),
    /// Not authentic: the sender's fault.
    Rejected(Rejection),
    /// Too large to be taken: the sender's fault.
    TooLarge {
        /// The size that was found, in bytes.
        bytes: usize,
        /// The size that would have been taken.
        bytes_max: usize,
    },
    /// Not taken: our fault.
    Failed(Fault),
}

/// What is worth telling about an event that is in the table.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the event's attributes")]
pub struct Receipt {
    pub written: Written,
    pub r#type: EventType,
    pub provider_type: Option<String>,
    pub room: Option<String>,
    pub participant: Option<String>,
}

impl<P: Provider> Ingest<P> {
    /// A way in to the table and with the keys that `config` names.
    pub fn new(config: IngestConfig, sdk: &SdkConfig) -> Self {
        let keys = KeyRing::new(config.keys, aws_sdk_secretsmanager::Client::new(sdk));
        let client = aws_sdk_dynamodb::Client::new(sdk);
        let store = Store::new(client, config.table, config.retention, config.deadline);
        Self { keys, store }
    }

    /// Reads the keys and opens the connection to the table before the first delivery: Lambda gives a
    /// function more processor time while it starts than ever after. What fails is told by the log now and
    /// by each answer later.
    pub async fn warm_up(&self) {
        let _ = tokio::join!(self.keys.current(Timestamp::now()), self.store.warm_up());
    }

    /// Answers one request, and tells the log and the metrics.
    pub async fn handle(&self, request: &Request) -> Response<Body> {
        let started = Instant::now();
        let outcome = self.receive(request).await;
        telemetry::record(P::NAME, &outcome, started.elapsed());
        outcome.into_response()
    }

    /// Takes in one request.
    pub async fn receive(&self, request: &Request) -> Outcome {
        self.receive_at(request, Timestamp::now()).await
    }

    /// Takes in one request that was received at `now`.
    pub async fn receive_at(&self, request: &Request, now: Timestamp) -> Outcome {
        let path = request.path_parameters_ref();
        let delivery = Delivery {
            headers: request.headers(),
            url_token: path.and_then(|parameters| parameters.first("token")),
            body: request.body().as_ref(),
        };
        self.take_in(&delivery, now).await
    }

    async fn take_in(&self, delivery: &Delivery<'_>, now: Timestamp) -> Outcome {
        if delivery.body.len() > BODY_BYTES_MAX {
            return Outcome::TooLarge { bytes: delivery.body.len(), bytes_max: BODY_BYTES_MAX };
        }
        let verified = match self.verify(delivery, now).await {
            Ok(Ok(verified)) => verified,
            Ok(Err(rejection)) => return Outcome::Rejected(rejection),
            Err(fault) => return Outcome::Failed(fault),
        };
        let mut event = P::normalize(&verified, now);
        match self.store.put(&mut event).await {
            Ok(written) => Outcome::Stored(Receipt::new(written, &event)),
            Err(NotWritten::TooLarge { bytes, bytes_max }) => Outcome::TooLarge { bytes, bytes_max },
            Err(NotWritten::Fault(fault)) => Outcome::Failed(fault),
        }
    }

    /// A key may have been added since the keys were read: a failure is final only with the newest ones.
    async fn verify<'a>(
        &self,
        delivery: &Delivery<'a>,
        now: Timestamp,
    ) -> Result<Result<Verified<'a, P>, Rejection>, Fault> {
        let keys = self.keys.current(now).await?;
        let verdict = P::verify(delivery, &keys, now);
        match verdict {
            Err(_) => Ok(match self.keys.newer(now).await? {
                Some(keys) => P::verify(delivery, &keys, now),
                None => verdict,
            }),
            Ok(_) => Ok(verdict),
        }
    }
}

impl Receipt {
    fn new(written: Written, normalized: &Normalized<'_>) -> Self {
        let event = &normalized.event;
        let participant = event.data.participant.as_ref();
        Self {
            written,
            r#type: event.r#type,
            provider_type: event.providertype.as_deref().map(str::to_owned),
            room: event.subject.as_deref().map(str::to_owned),
            participant: participant
                .and_then(|participant| participant.user_id.as_ref().or(participant.id.as_ref()))
                .map(|id| id.clone().into_owned()),
        }
    }
}

impl Outcome {
    /// The whole status contract. What the outside sees never says why authentication failed.
    pub fn into_response(self) -> Response<Body> {
        match self {
            Self::Stored(Receipt { written: Written::New { id }, .. }) => success("accepted", &id),
            Self::Stored(Receipt { written: Written::Duplicate { id, .. }, .. }) => success("duplicate", &id),
            Self::Rejected(_) => {
                problem(StatusCode::UNAUTHORIZED, "The delivery could not be authenticated.")
            }
            Self::TooLarge { .. } => problem(StatusCode::PAYLOAD_TOO_LARGE, "The delivery is too large."),
            Self::Failed(_) => {
                let detail = "The delivery could not be stored. Send it again.";
                let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, detail);
                response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
                response
            }
        }
    }
}

fn success(status: &str, id: &str) -> Response<Body> {
    response(StatusCode::OK, "application/json", &json!({ "status": status, "id": id }))
}

/// RFC 9457.
fn problem(status: StatusCode, detail: &str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    response(status, "application/problem+json", &body)
}

fn response(status: StatusCode, content_type: &'static str, body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::Text(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
