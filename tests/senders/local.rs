//! A local stack, with counts of what it stored and published.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use livehooks::dev::{NotificationLog, Options, Stack};
use livehooks::keys_file::KeysFile;
use livehooks::local::local_sdk_config;
use livehooks_aws::store;
use serde::Deserialize;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::faulty_client::Faults;
use crate::sender;
use crate::wire::{Event, Pace, Wire, real_runtime, simulate};

/// The number of copies of each event, by the event's number.
pub type Counts = HashMap<u64, u32>;

/// Numbers from here on belong to markers, each sent after other events.
const MARK: u64 = 1 << 62;

pub struct Local {
    pub real: Runtime,
    pub stack: Stack,
    /// How the stack's calls to AWS fail.
    pub faults: Arc<Faults>,
    pub keys: Arc<KeysFile>,
    pub published: watch::Receiver<Counts>,
    /// The number of the next event.
    pub numbers: AtomicU64,
}

impl Local {
    /// Starts a stack that keeps its events in `data`, or in memory.
    pub fn start(keys: &Arc<KeysFile>, data: Option<PathBuf>) -> Self {
        let real = real_runtime();
        let options = Options {
            port: 0,
            dynamodb_port: Some(0),
            aws_host: Ipv4Addr::LOCALHOST,
            data,
            keys: KeysFile::clone(keys),
            forward_to: None,
            verbose: false,
        };
        let faults = Arc::new(Faults::default());
        let stack = real.block_on(Stack::start_with(options, faults.client()));
        let stack = stack.unwrap_or_else(|error| panic!("{error}"));
        let (counts, published) = watch::channel(Counts::new());
        real.spawn(count(stack.published.clone(), counts));
        Self { real, stack, faults, keys: keys.clone(), published, numbers: AtomicU64::new(0) }
    }

    /// A wire to the stack with all functions cold.
    pub fn wire(&self, pace: Pace) -> Arc<Wire> {
        Arc::new(Wire::new(self.real.handle(), self.stack.url(), &self.keys, pace))
    }

    /// Waits until everything stored so far is published. Returns how often each event was.
    pub fn all_published(&self) -> Counts {
        let mut published = self.published.clone();
        let number = MARK + published.borrow().len() as u64;
        let mark = Event { at: Duration::ZERO, room: "mark".into(), number };
        simulate(sender::any().deliver(&self.wire(Pace::default()), &mark));
        let counts = self.real.block_on(published.wait_for(|counts| counts.contains_key(&number)));
        let mut counts = counts.expect("the log lasts as long as the stack").clone();
        counts.retain(|number, _| *number < MARK);
        counts
    }

    /// Sets whether the table fails from now on.
    pub fn reject_table(&self, fails: bool) {
        self.faults.reject_table.store(fails, Ordering::SeqCst);
    }

    /// Waits until the fallback queue is empty.
    ///
    /// # Panics
    /// If a delivery was dead-lettered.
    pub fn recovered(&self) {
        self.real.block_on(async {
            loop {
                let (waiting, dead) = self.stack.queue.bodies().expect("the queue can be read");
                assert!(dead.is_empty(), "{} deliveries were dead-lettered", dead.len());
                if waiting.is_empty() {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
    }

    /// Waits until `is_enough`, or until nothing was published for `standstill`. Returns how often each event was.
    pub fn published_until(&self, standstill: Duration, is_enough: impl Fn(&Counts) -> bool) -> Counts {
        let mut published = self.published.clone();
        published.mark_changed();
        self.real.block_on(async {
            loop {
                let is_new = async { published.changed().await };
                let comes = tokio::time::timeout(standstill, is_new).await.is_ok();
                let counts = published.borrow_and_update();
                if is_enough(&counts) || !comes {
                    return counts.clone();
                }
            }
        })
    }

    /// How often each event is stored.
    pub fn stored(&self) -> Counts {
        let client = Client::new(&local_sdk_config(self.stack.dynamodb));
        self.real.block_on(async {
            let mut counts = Counts::new();
            let mut items = client.scan().table_name("Events").into_paginator().items().send();
            while let Some(item) = items.next().await {
                let item = item.expect("the table can be read");
                let event =
                    store::event_json(item.get("event"), item.get("raw")).expect("every item is an event");
                add(&mut counts, &event);
            }
            counts.retain(|number, _| *number < MARK);
            counts
        })
    }
}

async fn count(published: Arc<NotificationLog>, counts: watch::Sender<Counts>) {
    #[derive(Deserialize)]
    struct Notification<'a> {
        #[serde(borrow)]
        message: &'a serde_json::value::RawValue,
    }
    let mut cursor = published.cursor(true);
    while let Some(entry) = published.next(&mut cursor).await {
        let entry: Notification<'_> = serde_json::from_str(&entry).expect("notifications are JSON");
        counts.send_modify(|counts| add(counts, entry.message.get()));
    }
}

fn add(counts: &mut Counts, event: &str) {
    let event = livehooks_event::Event::from_json(event).expect("an event");
    // Some providers know no participants, and some give them ids of their own.
    let participant = event.data.participant.unwrap_or_default();
    let number = [participant.user_id, participant.id, Some(event.id)]
        .into_iter()
        .flatten()
        .find_map(|id| id.rsplit(['-', '_']).next()?.parse().ok());
    *counts.entry(number.expect("participants or events have numbers")).or_default() += 1;
}
