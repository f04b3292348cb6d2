//! Sends deliveries when they are due, and counts the answers.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use livehooks_signing::{ProviderInfo, SimulatedDelivery};

use super::Speed;
use crate::commands::options::keys_of;
use crate::commands::webhooks::{Answer, Webhooks};
use crate::error::{CommandError, Ending};
use crate::keys_file::KeysFile;
use crate::terminal::{GREEN, RED, is_terminal, safe, styled};

/// The answers to the deliveries of each provider.
#[derive(Default)]
pub(super) struct Sent(HashMap<&'static str, Counts>);

#[derive(Default)]
struct Counts {
    accepted: usize,
    duplicates: usize,
    queued: usize,
    rejected: usize,
    /// Why the first one was rejected.
    reason: Option<String>,
}

impl Sent {
    fn count(&mut self, provider: &'static ProviderInfo, answer: &Answer) {
        let counts = self.0.entry(provider.name).or_default();
        match answer.status() {
            Some("accepted") => counts.accepted += 1,
            Some("duplicate") => counts.duplicates += 1,
            Some("queued") => counts.queued += 1,
            _ => {
                counts.rejected += 1;
                let reason = || format!("{} {}", answer.code.as_u16(), safe(answer.detail(), 120));
                counts.reason.get_or_insert_with(reason);
            }
        }
    }

    fn any_rejected(&self) -> bool {
        self.0.values().any(|counts| counts.rejected > 0)
    }

    /// A provider's answers in words.
    pub(super) fn of(&self, provider: &ProviderInfo) -> String {
        let none = Counts::default();
        let Counts { accepted, duplicates, queued, rejected, reason } =
            self.0.get(provider.name).unwrap_or(&none);
        let sent = accepted + duplicates + queued + rejected;
        let queued = if *queued > 0 { format!(", {queued} queued") } else { String::new() };
        let text =
            format!("{sent} sent: {accepted} accepted, {duplicates} duplicates{queued}, {rejected} rejected");
        match reason {
            Some(reason) => styled(RED, format!("{text}: {reason}")),
            None => styled(GREEN, text),
        }
    }
}

/// Sends the deliveries in order. Ctrl-C ends it early.
pub(super) async fn send(
    webhooks: &Webhooks,
    keys: &KeysFile,
    deliveries: &[&SimulatedDelivery],
    speed: Speed,
) -> Result<(Sent, Ending), CommandError> {
    let bar = match is_terminal() {
        true => ProgressBar::new(deliveries.len() as u64),
        false => ProgressBar::hidden(),
    };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} deliveries, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let mut sent = Sent::default();
    for delivery in deliveries {
        let post = async {
            if speed != Speed::Max {
                let wait = delivery.due.duration_since(Timestamp::now());
                tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
            }
            let provider = delivery.provider;
            webhooks.post(provider, keys_of(keys, provider)?, &delivery.body).await
        };
        tokio::select! {
            answer = post => sent.count(delivery.provider, &answer?),
            _ = &mut interrupted => {
                bar.abandon();
                return Ok((sent, Ending::Interrupted));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let ending = if sent.any_rejected() { Ending::No } else { Ending::Fine };
    Ok((sent, ending))
}
