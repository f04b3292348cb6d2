//! Passes the fallback queue to the recover function's own code in batches, as Lambda's event source does.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use livehooks_aws::Outcome;
use livehooks_aws::recover::Recover;
use tokio::sync::Notify;

use super::Report;
use super::queue::Queue;

const BATCH: usize = 10;
/// The shortest and the longest delay before a failed message is retried.
const BACKOFF_MIN: SignedDuration = SignedDuration::from_millis(500);
const BACKOFF_MAX: SignedDuration = SignedDuration::from_secs(10);
/// The pause after a batch of which nothing was settled.
const PAUSE: Duration = Duration::from_millis(500);

/// The event source of the recover function.
pub struct QueuePoller {
    pub(super) queue: Queue,
    pub(super) recover: Recover,
    pub(super) report: Arc<Report>,
    /// Notified after each stored event.
    pub(super) stored: Arc<Notify>,
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// At least one message was settled.
    Progress,
    /// There were messages, but none was settled.
    Stuck,
    /// No message is visible until this time.
    Idle(Option<Timestamp>),
}

impl QueuePoller {
    pub(super) async fn run(self) {
        // Two batches at a time, as in template.yaml.
        tokio::join!(self.poll(), self.poll());
    }

    async fn poll(&self) {
        loop {
            match self.step().await {
                Ok(Step::Progress) => {}
                Ok(Step::Stuck) => tokio::time::sleep(PAUSE).await,
                Ok(Step::Idle(None)) => self.queue.sent().await,
                Ok(Step::Idle(Some(at))) => {
                    let wait = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
                    let _ = tokio::time::timeout(wait, self.queue.sent()).await;
                }
                Err(why) => {
                    self.report.trouble("recover", &format!("the fallback queue cannot be read: {why}"));
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn step(&self) -> Result<Step, String> {
        let now = Timestamp::now();
        let queue = self.queue.clone();
        let received = blocking(move || queue.receive(BATCH, now)).await?;
        if received.dead > 0 {
            let why = format!("{} deliveries were dead-lettered after too many attempts", received.dead);
            self.report.trouble("recover", &why);
        }
        if received.event.records.is_empty() {
            let queue = self.queue.clone();
            return Ok(Step::Idle(blocking(move || queue.next_at()).await?));
        }
        let recovered = self.recover.recover_at(&received.event, now).await;
        let retry_at = Timestamp::now() + backoff(received.receives);
        let unsettled: Vec<_> = recovered.iter().filter(|message| !message.is_settled()).collect();
        if let Some(first) = unsettled.first() {
            self.report.not_recovered(first, unsettled.len());
        }
        let has_progress = unsettled.len() < recovered.len();
        for message in recovered {
            let is_settled = message.is_settled();
            if is_settled {
                self.report.recovered(&message);
            }
            if matches!(&message.result, Ok(delivery) if matches!(delivery.outcome, Outcome::Stored(_))) {
                self.stored.notify_one();
            }
            let queue = self.queue.clone();
            blocking(move || match is_settled {
                true => queue.delete(&message.message_id),
                false => queue.show(&message.message_id, retry_at),
            })
            .await?;
        }
        Ok(if has_progress { Step::Progress } else { Step::Stuck })
    }
}

fn backoff(receives: u32) -> SignedDuration {
    let doublings = receives.saturating_sub(1).min(10);
    (BACKOFF_MIN * 2_i32.pow(doublings)).min(BACKOFF_MAX)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?;
    done.map_err(|error| error.to_string())
}
