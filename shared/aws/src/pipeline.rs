//! The pipeline that ingest and recover share: verify, normalize, store, within a deadline.

use std::time::Duration;

use jiff::Timestamp;
use livehooks_core::{Delivery, Provider, Rejection, Verified};
use metrics::counter;
use tokio::time::{Instant, timeout_at};

use crate::config::BODY_BYTES_MAX;
use crate::outcome::{Outcome, Receipt};
use crate::store::PutError;
use crate::{Fault, KeyRing, Store};

/// One provider's pipeline into the table.
pub(crate) struct Pipeline<P: Provider> {
    pub(crate) keys: KeyRing<P::Keys>,
    pub(crate) store: Store,
    /// How long reading keys and accessing the table may take together.
    pub(crate) deadline: Duration,
}

impl<P: Provider> Pipeline<P> {
    /// Processes a delivery. It is verified as of `received_at`; `now` decides whether the keys are old.
    pub(crate) async fn process(
        &self,
        delivery: &Delivery<'_>,
        received_at: Timestamp,
        now: Timestamp,
    ) -> Outcome {
        if delivery.body.len() > BODY_BYTES_MAX {
            return Outcome::TooLarge { bytes: delivery.body.len(), bytes_max: BODY_BYTES_MAX };
        }
        let until = Instant::now() + self.deadline;
        let late_ms = self.deadline.as_millis();
        let verified = timeout_at(until, self.verify(delivery, received_at, now)).await;
        let late = |_| Err(self.keys.unavailable(format!("no response within {late_ms} ms")));
        let verified = match verified.unwrap_or_else(late) {
            Ok(Ok(verified)) => verified,
            Ok(Err(rejection)) => return rejection.into(),
            // Without keys, reject what is invalid under any keys.
            Err(fault) => {
                return match P::precheck(delivery, received_at) {
                    Ok(()) => Outcome::Failed(fault),
                    Err(rejection) => rejection.into(),
                };
            }
        };
        if let Some(answer) = verified.answer() {
            return Outcome::Answered(answer.to_owned());
        }
        let mut event = P::normalize(&verified, received_at);
        match timeout_at(until, self.store.put(&mut event, now)).await {
            Ok(Ok(written)) => Outcome::Stored(Receipt::new::<P>(written, &event)),
            Ok(Err(PutError::TooLarge { bytes, bytes_max })) => Outcome::TooLarge { bytes, bytes_max },
            Ok(Err(PutError::Fault(fault))) => Outcome::Failed(fault),
            Err(_) => Outcome::Failed(Fault::StoreTimeout(late_ms)),
        }
    }

    /// A key may have been added since the keys were read, so a failure that depends on the keys is final only with the
    /// newest ones. No other delivery triggers a read.
    async fn verify<'a>(
        &self,
        delivery: &Delivery<'a>,
        received_at: Timestamp,
        now: Timestamp,
    ) -> Result<Result<Verified<'a, P>, Rejection>, Fault> {
        if !self.keys.are_available()
            && let Err(rejection) = P::precheck(delivery, received_at)
        {
            return Ok(Err(rejection));
        }
        let keys = self.keys.current(now).await?;
        let mut verified = P::verify(delivery, &keys, received_at);
        if verified.is_err()
            && P::precheck(delivery, received_at).is_ok()
            && let Some(keys) = self.keys.newer(now).await?
        {
            verified = P::verify(delivery, &keys, received_at);
        }
        if let Err(rejection) = &verified {
            count_after_signature(P::NAME, rejection);
        }
        Ok(verified)
    }
}

/// Counts rejections after a valid signature. They cannot be forged, so a single one can raise an alarm.
fn count_after_signature(provider: &'static str, rejection: &Rejection) {
    if rejection.follows_signature() {
        let reason = rejection.code();
        counter!("RejectedAfterSignature", "provider" => provider, "reason" => reason).increment(1);
    }
}
