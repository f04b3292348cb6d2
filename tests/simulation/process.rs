//! A Lambda execution environment, which may die during any of its calls.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub struct Process {
    name: String,
    is_dead: AtomicBool,
    death: Notify,
    batches: AtomicU32,
    /// What a mutant remembers.
    memory: Mutex<BTreeSet<String>>,
}

impl Process {
    pub fn new(name: String) -> Arc<Self> {
        Arc::new(Self {
            name,
            is_dead: AtomicBool::new(false),
            death: Notify::new(),
            batches: AtomicU32::new(0),
            memory: Mutex::default(),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    pub fn die(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
        self.death.notify_one();
    }

    /// Counts a new batch of messages.
    pub fn begin_batch(&self) {
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of the current batch, if there was any.
    pub fn batch(&self) -> Option<u32> {
        Some(self.batches.load(Ordering::Relaxed)).filter(|batch| *batch > 0)
    }

    pub fn memory(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work`. Returns `None` if the process died before it was done.
    pub async fn live<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.death.notified() => None,
            done = work => Some(done),
        }
    }
}
