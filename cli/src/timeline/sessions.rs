//! Which sessions must have ended although no end was received.

use std::collections::HashMap;

use jiff::Timestamp;

/// When something last started in each session, and when first.
#[derive(Default)]
pub(super) struct Sessions(HashMap<String, (Timestamp, Timestamp)>);

impl Sessions {
    /// Something started in a session. What ends, or is only available later, does not show that a session goes on.
    pub(super) fn started(&mut self, session: &str, time: Timestamp) {
        let (first, last) = self.0.entry(session.to_owned()).or_insert((time, time));
        (*first, *last) = ((*first).min(time), (*last).max(time));
    }

    /// The time at which each session of the room ended because a newer one had begun, if it did. A room has one session
    /// at a time.
    pub(super) fn replaced(&self) -> HashMap<&str, Timestamp> {
        let newer = |last| self.0.values().map(|(first, _)| *first).filter(move |first| *first > last).min();
        self.0.iter().filter_map(|(session, (_, last))| Some((session.as_str(), newer(*last)?))).collect()
    }
}
