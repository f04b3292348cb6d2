//! Real requests in virtual time: the senders' clock stops during a request, then advances by the simulated response
//! time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use livehooks::keys_file::KeysFile;
use livehooks_signing::{Answer, SampleValues, Signed};
use reqwest::{Client, RequestBuilder, header};
use serde_json::Value;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::sender::Sender;

/// An event to be sent.
#[derive(Clone, Debug)]
pub struct Event {
    /// Time since the start.
    pub at: Duration,
    pub room: String,
    /// Unique. Identifies the event in what is stored and published.
    pub number: u64,
}

/// Response times on the senders' clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// Startup of a function's environment before its first delivery.
    pub init: Duration,
    /// Time until an acknowledgement.
    pub answer: Duration,
    /// Time until an answer after a failed write.
    pub fault: Duration,
}

/// The connection from a sender to the stack.
pub struct Wire {
    pub client: Client,
    pub base: String,
    pub keys: Arc<KeysFile>,
    pub pace: Pace,
    /// Idle environments of functions.
    pub idle: AtomicUsize,
    /// Signals that the server has the request and will never answer.
    pub silence: Arc<Notify>,
    pub real: Handle,
}

/// A runtime in real time, for servers and for requests to them.
pub fn real_runtime() -> Runtime {
    Builder::new_multi_thread().enable_all().build().expect("the system has threads")
}

/// Runs senders in virtual time.
pub fn simulate<T>(senders: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("the system has threads").block_on(senders)
}

/// Runs work on the real runtime while the virtual clock is stopped.
pub async fn in_real_time<T: Send + 'static>(
    real: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let real = real.clone();
    // Tokio does not advance a paused clock during blocking work.
    tokio::task::spawn_blocking(move || real.block_on(work)).await.expect("requests do not panic")
}

impl Wire {
    /// A connection to `base` with all functions cold.
    pub fn new(real: &Handle, base: String, keys: &Arc<KeysFile>, pace: Pace) -> Self {
        Self {
            client: Client::new(),
            base,
            keys: keys.clone(),
            pace,
            idle: AtomicUsize::new(0),
            silence: Arc::default(),
            real: real.clone(),
        }
    }

    /// The request for an event, signed now.
    pub fn sign(&self, sender: &Sender, event: &Event) -> RequestBuilder {
        let (body, signed) = signed(&self.keys, sender, event);
        let mut url = format!("{}/webhooks/{}", self.base, sender.provider.name);
        if let Some(token) = &signed.url_token {
            url = format!("{url}/{token}");
        }
        let request = self.client.post(url).body(body);
        signed.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Sends a request and waits for the simulated response time.
    pub async fn exchange(&self, request: &RequestBuilder) -> Answer {
        let decrement = |idle: usize| idle.checked_sub(1);
        if self.idle.fetch_update(Ordering::SeqCst, Ordering::SeqCst, decrement).is_err() {
            sleep(self.pace.init).await;
        }
        let request = request.try_clone().expect("bodies are bytes");
        let silence = self.silence.clone();
        let exchanged = in_real_time(&self.real, async move {
            tokio::select! {
                answer = answer(request) => answer,
                () = silence.notified() => (Answer::Silence, false),
            }
        });
        let (answer, after_failed_write) = exchanged.await;
        sleep(if after_failed_write { self.pace.fault } else { self.pace.answer }).await;
        self.idle.fetch_add(1, Ordering::SeqCst);
        answer
    }
}

/// Sends a request. Returns the answer, and whether it came after a failed write.
async fn answer(request: RequestBuilder) -> (Answer, bool) {
    let Ok(answer) = request.send().await else { return (Answer::Broken, false) };
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.map(str::to_owned);
    // The senders ignore a body that breaks off.
    let body = answer.bytes().await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    (Answer::Status(status, retry_after), status >= 500 || body["status"] == "queued")
}

/// An event's body and signature.
pub fn signed(keys: &KeysFile, sender: &Sender, event: &Event) -> (String, Signed) {
    let body = sender.provider.typical().body(&SampleValues {
        room: event.room.clone(),
        participant: format!("p-{}", event.number),
        session: format!("session of {}", event.room),
        ..SampleValues::of(format!("EV_{}_{}", event.room, event.number), Timestamp::now())
    });
    let keys = keys.signing(sender.provider).expect("every provider has keys");
    let signed = (sender.provider.sign)(keys, body.as_bytes(), Timestamp::now().into());
    (body, signed.expect("the keys can sign"))
}
