//! A Lambda execution environment, which may die at any call it makes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub struct Process {
    name: String,
    is_dead: AtomicBool,
    death: Notify,
    /// What a mutant remembers.
    memory: Mutex<BTreeSet<String>>,
}

impl Process {
    pub fn new(name: String) -> Arc<Self> {
        Arc::new(Self {
            name,
            is_dead: AtomicBool::new(false),
            death: Notify::new(),
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

    pub fn memory(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` where the process has died before `work` was done; what `work` held in memory is gone.
    pub async fn live<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.death.notified() => None,
            done = work => Some(done),
        }
    }
}
