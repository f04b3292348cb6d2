//! Shows how each sender handles each answer: simulated senders against an endpoint that always gives that answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use livehooks::keys_file::KeysFile;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::sender::{self, DeliveryResult, Outcome, Sender};
use crate::wire::{Event, Pace, Wire, real_runtime, simulate};

/// What an endpoint does with every request.
#[derive(Clone, Copy, Debug)]
pub enum Behavior {
    Status(u16, Option<&'static str>),
    /// To a URL that always answers 200.
    Redirect(u16),
    Reject,
    Close,
    Silence,
}

pub const CASES: [(&str, Behavior); 27] = [
    ("200", Behavior::Status(200, None)),
    ("201", Behavior::Status(201, None)),
    ("204", Behavior::Status(204, None)),
    ("301", Behavior::Redirect(301)),
    ("302", Behavior::Redirect(302)),
    ("307", Behavior::Redirect(307)),
    ("308", Behavior::Redirect(308)),
    ("400", Behavior::Status(400, None)),
    ("401", Behavior::Status(401, None)),
    ("403", Behavior::Status(403, None)),
    ("404", Behavior::Status(404, None)),
    ("408", Behavior::Status(408, None)),
    ("410", Behavior::Status(410, None)),
    ("413", Behavior::Status(413, None)),
    ("429", Behavior::Status(429, None)),
    ("500", Behavior::Status(500, None)),
    ("500 with `Retry-After: 60`", Behavior::Status(500, Some("60"))),
    ("501", Behavior::Status(501, None)),
    ("502", Behavior::Status(502, None)),
    ("503", Behavior::Status(503, None)),
    ("503 with `Retry-After: 1`", Behavior::Status(503, Some("1"))),
    ("503 with `Retry-After: 60`", Behavior::Status(503, Some("60"))),
    ("429 with `Retry-After: 60`", Behavior::Status(429, Some("60"))),
    ("504", Behavior::Status(504, None)),
    ("connection refused", Behavior::Reject),
    ("connection closed", Behavior::Close),
    ("no answer", Behavior::Silence),
];

/// A request that the endpoint received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub case: usize,
    pub provider: String,
    pub method: Method,
    pub authorization: Option<String>,
    pub body: Bytes,
    pub accepted: bool,
}

/// What both sides saw.
pub struct Observed {
    pub results: Vec<(usize, &'static Sender, DeliveryResult)>,
    pub seen: Vec<Seen>,
}

#[derive(Clone, Default)]
struct Endpoint {
    seen: Arc<Mutex<Vec<Seen>>>,
    silence: Arc<Notify>,
}

/// Sends an event from every sender to every kind of endpoint.
pub fn observe(keys: &Arc<KeysFile>) -> Observed {
    let real = real_runtime();
    let endpoint = Endpoint::default();
    let (answering, closing, rejecting) = real.block_on(async {
        let listen = async || TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let (answering, closing, rejecting) = (listen().await, listen().await, listen().await);
        let url = |listener: &TcpListener| {
            format!("http://{}", listener.local_addr().expect("a listener has an address"))
        };
        let urls = (url(&answering), url(&closing), url(&rejecting));
        let app = Router::new()
            .route("/{case}/webhooks/{provider}", axum::routing::any(answer))
            .with_state(endpoint.clone());
        tokio::spawn(axum::serve(answering, app).into_future());
        tokio::spawn(close_all(closing));
        urls
    });
    let results = simulate(async {
        let mut results = Vec::new();
        for (case, (_, behavior)) in CASES.iter().enumerate() {
            let base = match behavior {
                Behavior::Reject => rejecting.clone(),
                Behavior::Close => closing.clone(),
                _ => format!("{answering}/{case}"),
            };
            let mut wire = Wire::new(real.handle(), base, keys, Pace::default());
            wire.silence = endpoint.silence.clone();
            for sender in sender::ALL.iter() {
                let event = Event { at: Duration::ZERO, room: "room01".into(), number: 0 };
                results.push((case, sender, sender.deliver(&wire, &event).await));
            }
        }
        results
    });
    real.shutdown_background();
    let seen = endpoint.seen.lock().expect("nothing panics with it").clone();
    Observed { results, seen }
}

async fn answer(
    State(endpoint): State<Endpoint>,
    Path((case, provider)): Path<(usize, String)>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (_, behavior) = CASES[case % CASES.len()];
    let is_redirected = case >= CASES.len();
    let status = match behavior {
        _ if is_redirected => StatusCode::OK,
        Behavior::Status(status, _) | Behavior::Redirect(status) => {
            StatusCode::from_u16(status).expect("cases are statuses")
        }
        _ => StatusCode::GATEWAY_TIMEOUT,
    };
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    endpoint.seen.lock().expect("nothing panics with it").push(Seen {
        case: case % CASES.len(),
        provider: provider.clone(),
        authorization: authorization.map(str::to_owned),
        accepted: status.is_success() && method == Method::POST && !body.is_empty(),
        method,
        body,
    });
    match behavior {
        Behavior::Status(_, Some(retry_after)) => {
            (status, [(header::RETRY_AFTER, retry_after)]).into_response()
        }
        Behavior::Redirect(_) if !is_redirected => {
            let location = format!("/{}/webhooks/{provider}", case + CASES.len());
            (status, [(header::LOCATION, location)]).into_response()
        }
        Behavior::Silence => {
            endpoint.silence.notify_one();
            std::future::pending().await
        }
        _ => status.into_response(),
    }
}

/// Accepts connections, reads a little, and closes them.
async fn close_all(listener: TcpListener) {
    while let Ok((mut connection, _)) = listener.accept().await {
        // Close it even if reading fails.
        let _ = connection.read(&mut [0; 1024]).await;
    }
}

impl Observed {
    /// A Markdown table. Answers that all senders handle alike share a row.
    pub fn table(&self) -> String {
        let mut rows: Vec<(Vec<&str>, String)> = Vec::new();
        for (case, (label, _)) in CASES.iter().enumerate() {
            let results = self.results.iter().filter(|(of, ..)| *of == case);
            let cells: Vec<String> =
                results.map(|(_, sender, result)| describe(result, self.accepted(case, sender))).collect();
            let cells = cells.join(" | ");
            match rows.iter_mut().find(|(_, there)| *there == cells) {
                Some((labels, _)) => labels.push(label),
                None => rows.push((vec![label], cells)),
            }
        }
        let names: Vec<&str> = sender::ALL.iter().map(|sender| sender.provider.name).collect();
        let head = format!("| answer | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
        let row = |(labels, cells): &(Vec<&str>, String)| format!("| {} | {cells} |\n", labels.join(", "));
        head + &rows.iter().map(row).collect::<String>()
    }

    /// How often the endpoint accepted the event.
    fn accepted(&self, case: usize, sender: &Sender) -> usize {
        let is_accepted =
            |seen: &&Seen| seen.case == case && seen.provider == sender.provider.name && seen.accepted;
        self.seen.iter().filter(is_accepted).count()
    }
}

fn describe(result: &DeliveryResult, accepted: usize) -> String {
    let last = result.tries.last().map_or(0, |(at, _)| at.as_secs());
    match (accepted, result.outcome, result.tries.len()) {
        (1, Outcome::CountedAsDelivered, 1) => "delivered".into(),
        (0, Outcome::CountedAsDelivered, _) => "**lost**: counts as delivered".into(),
        (0, Outcome::WaitsForever, _) => "waits forever".into(),
        (0, _, 1) => "**lost** after 1 try".into(),
        (0, _, tries) => format!("**lost** after {tries} tries in {last} s"),
        (accepted, _, tries) => format!("delivered {accepted} times in {tries} tries over {last} s"),
    }
}
