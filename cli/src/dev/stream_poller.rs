//! Passes the table's stream to the notifier's own code in batches, as Lambda's event source does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use livehooks_aws::Notifier;
use tokio::sync::Notify;

use super::data::{DataFolder, Position};
use super::database::Database;
use super::{NotificationLog, Report};

const BATCH: usize = 100;
/// How often to look for writes that did not come through the web handlers.
const IDLE: Duration = Duration::from_millis(200);
const RETRY: Duration = Duration::from_millis(500);

pub(super) struct StreamPoller {
    pub(super) database: Database,
    pub(super) notifier: Notifier,
    pub(super) published: Arc<NotificationLog>,
    pub(super) report: Arc<Report>,
    pub(super) folder: Option<DataFolder>,
    /// Notified after each stored event.
    pub(super) stored: Arc<Notify>,
}

impl StreamPoller {
    pub(super) async fn run(self) {
        let mut unsaved = VecDeque::new();
        let mut position = None;
        loop {
            let pause = match self.step(&mut position, &mut unsaved).await {
                Ok(true) => continue,
                Ok(false) => IDLE,
                Err(why) => {
                    self.report.trouble("notifier", &why);
                    RETRY
                }
            };
            let _ = tokio::time::timeout(pause, self.stored.notified()).await;
        }
    }

    /// Publishes one batch. Returns whether there was one.
    async fn step(
        &self,
        position: &mut Option<Position>,
        unsaved: &mut VecDeque<(u64, Position)>,
    ) -> Result<bool, String> {
        self.save(unsaved)?;
        let at = match position {
            Some(position) => position,
            None => position.insert(self.start()?),
        };
        let (database, from) = (self.database.clone(), at.clone());
        let read = tokio::task::spawn_blocking(move || database.records(&from, BATCH)).await;
        let event = read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        if event.records.is_empty() {
            return Ok(false);
        }
        let response = self.notifier.handle(&event).await;
        let failed =
            response.batch_item_failures.into_iter().next().and_then(|failure| failure.item_identifier);
        let sequence_numbers = event.records.into_iter().filter_map(|record| record.change.sequence_number);
        let done = sequence_numbers.take_while(|number| Some(number) != failed.as_ref()).last();
        if done.is_some() {
            at.after = done;
            unsaved.push_back((self.published.bytes(), at.clone()));
        }
        match failed {
            None => Ok(true),
            Some(number) => Err(format!("record {number} was not published and will be retried")),
        }
    }

    fn start(&self) -> Result<Position, String> {
        let mut start = self.database.stream_start().map_err(|error| error.to_string())?;
        start.after = self.folder.as_ref().and_then(|folder| folder.published(&start));
        Ok(start)
    }

    /// Saves a position once everything before it has reached the developer's app, if there is one, so the app
    /// gets the rest after a crash.
    fn save(&self, unsaved: &mut VecDeque<(u64, Position)>) -> Result<(), String> {
        let delivered = self.published.delivered();
        let mut last = None;
        while unsaved.front().is_some_and(|(bytes, _)| *bytes <= delivered) {
            last = unsaved.pop_front();
        }
        match (&self.folder, last) {
            (Some(folder), Some((_, position))) => folder
                .save_published(&position)
                .map_err(|error| format!("the position was not saved: {error}")),
            _ => Ok(()),
        }
    }
}
