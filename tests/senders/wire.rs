//! Real requests in virtual time: while one is under way the senders' clock stands, and then it moves on by as
//! much as the answer is said to take.

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
    /// When, from the start.
    pub at: Duration,
    pub room: String,
    /// Different for every event: by it the event is found again.
    pub number: u64,
}

/// How long answers take, in the senders' time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// The start of a function's environment, before it takes its first delivery.
    pub init: Duration,
    /// An acknowledgement.
    pub answer: Duration,
    /// An answer after a write that has failed.
    pub fault: Duration,
}

/// The way from a sender to the stack.
pub struct Wire {
    pub client: Client,
    pub base: String,
    pub keys: Arc<KeysFile>,
    pub pace: Pace,
    /// Environments of functions that wait for work.
    pub idle: AtomicUsize,
    /// Says that the other side has the request and will never answer.
    pub silence: Arc<Notify>,
    pub real: Handle,
}

/// A runtime in real time, for what listens and for the requests to it.
pub fn real_runtime() -> Runtime {
    Builder::new_multi_thread().enable_all().build().expect("the system has threads")
}

/// Runs senders in time that passes as fast as they can do their work, and is the same in every run.
pub fn simulate<T>(senders: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("the system has threads").block_on(senders)
}

/// Does something on the real runtime, while the clock stands.
pub async fn in_real_time<T: Send + 'static>(
    real: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let real = real.clone();
    // A paused clock is not moved on while blocking work is under way.
    tokio::task::spawn_blocking(move || real.block_on(work)).await.expect("requests do not panic")
}

impl Wire {
    /// A wire to `base` with all functions cold.
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

    /// Sends a request and waits for the answer as long as the answer takes.
    pub async fn exchange(&self, request: &RequestBuilder) -> Answer {
        let take = |idle: usize| idle.checked_sub(1);
        if self.idle.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_err() {
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
        let (answer, has_failed_first) = exchanged.await;
        sleep(if has_failed_first { self.pace.fault } else { self.pace.answer }).await;
        self.idle.fetch_add(1, Ordering::SeqCst);
        answer
    }
}

/// Sends a request. Returns also whether the answer came after a write that had failed.
async fn answer(request: RequestBuilder) -> (Answer, bool) {
    let Ok(answer) = request.send().await else { return (Answer::Broken, false) };
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.map(str::to_owned);
    // A body that breaks off is one that the senders do not read either.
    let said = answer.bytes().await.unwrap_or_default();
    let said: Value = serde_json::from_slice(&said).unwrap_or_default();
    (Answer::Status(status, retry_after), status >= 500 || said["status"] == "queued")
}

/// An event's body, and what makes it authentic.
pub fn signed(keys: &KeysFile, sender: &Sender, event: &Event) -> (String, Signed) {
    let body = sender.provider.typical().body(&SampleValues {
        room: event.room.clone(),
        participant: format!("p-{}", event.number),
        session: format!("session of {}", event.room),
        id: format!("EV_{}_{}", event.room, event.number),
        now: Timestamp::now(),
    });
    let keys = keys.signing(sender.provider).expect("there are keys for every provider");
    let signed = (sender.provider.sign)(keys, body.as_bytes(), Timestamp::now().into());
    (body, signed.expect("the keys are whole"))
}
