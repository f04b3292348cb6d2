//! One scenario: senders, processes that start slowly and die, event sources that repeat, and an operator.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt;
use futures::future::{LocalBoxFuture, join_all};
use jiff::{SignedDuration, Timestamp};
use lambda_http::{Body, Request};
use livehooks_aws::config::{FallbackConfig, IngestConfig, KeySource};
use livehooks_aws::{Fault, Ingest, Outcome, fallback};
use livehooks_core::{Provider, for_each_provider};
use livehooks_signing::{Answer, Next, ProviderInfo};
use serde_json::{Value, json};
use tokio::time::{sleep, sleep_until};

use crate::fake_aws::{FALLBACK_URL, FakeAws};
use crate::invariants::{self, Report};
use crate::mutants::Mutant;
use crate::operator::Operator;
use crate::process::Process;
use crate::sender::{self, Attempt, Delivery};
use crate::wire::sdk_config;

/// No scenario takes longer unless it never settles.
const TIMEOUT: Duration = Duration::from_secs(30 * 3_600);

/// How often a forger retries at most. Some providers retry for a day.
const FORGER_RETRIES: u32 = 4;

pub const RETENTION: SignedDuration = SignedDuration::from_hours(24 * 90);

/// The longest time that a process takes to start, and a copy to arrive.
const START_MAX: Duration = Duration::from_secs(4);
const COPY_DELAY_MAX: Duration = Duration::from_secs(8);

/// Runs the scenario of a seed, with the product or a mutant of it.
pub fn run(seed: u64, mutant: Option<Mutant>) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    // The SDK draws the length of its pauses from here.
    fastrand::seed(seed);
    runtime.unwrap().block_on(async {
        let mut rng = Rng::with_seed(seed);
        let deliveries = sender::deliveries(&mut rng);
        let providers: BTreeSet<_> = deliveries.iter().map(|delivery| delivery.entry.name).collect();
        let operator = Operator::of(&mut rng, providers.into_iter().collect());
        let scenario = Scenario {
            seed,
            mutant,
            aws: FakeAws::new(rng, operator),
            deliveries,
            attempts: RefCell::default(),
            idle: RefCell::default(),
            processes: Cell::new(0),
            is_over: Cell::new(false),
        };
        scenario.run().await
    })
}

pub struct Scenario {
    pub seed: u64,
    pub mutant: Option<Mutant>,
    pub aws: Arc<FakeAws>,
    pub deliveries: Vec<Arc<Delivery>>,
    /// By index of the delivery.
    pub attempts: RefCell<BTreeMap<usize, Vec<Attempt>>>,
    /// Whether everything is sent, fixed and redriven.
    pub is_over: Cell<bool>,
    idle: RefCell<BTreeMap<&'static str, Vec<Instance>>>,
    processes: Cell<u32>,
}

/// A process that runs one provider's function.
struct Instance {
    process: Arc<Process>,
    function: Rc<dyn Receive>,
}

trait Receive {
    fn receive<'a>(&'a self, request: &'a Request, now: Timestamp) -> LocalBoxFuture<'a, Outcome>;

    /// The request as a message of the fallback queue.
    fn message(&self, request: &Request, now: Timestamp) -> String;
}

impl<P: Provider> Receive for Ingest<P> {
    fn receive<'a>(&'a self, request: &'a Request, now: Timestamp) -> LocalBoxFuture<'a, Outcome> {
        self.receive_at(request, now).boxed_local()
    }

    fn message(&self, request: &Request, now: Timestamp) -> String {
        let headers = request.headers();
        let delivery = livehooks_core::Delivery { headers, url_token: None, body: request.body().as_ref() };
        fallback::message::<P>(&delivery, now, &Fault::StoreTimeout(0)).unwrap()
    }
}

impl Scenario {
    async fn run(&self) -> Report {
        let started = tokio::time::Instant::now();
        self.queue_old_forgeries();
        let senders = async {
            join_all(self.deliveries.iter().enumerate().map(|(index, delivery)| self.send(index, delivery)))
                .await;
            sleep_until(started + self.aws.operator.fixed_at()).await;
            self.aws.log(format_args!("everything is sent and fixed; no call fails any more"));
            self.aws.state().plan.stop();
            self.redrive_all().await;
            self.is_over.set(true);
        };
        let everything = async {
            tokio::join!(senders, self.run_stream_source(), self.run_queue_source(), self.redrive_early())
        };
        let settled = tokio::time::timeout(TIMEOUT, everything).await.is_ok();
        invariants::check(self, settled)
    }

    /// Forgeries that an older version queued without checking them.
    fn queue_old_forgeries(&self) {
        for delivery in self.deliveries.iter().filter(|delivery| !delivery.is_authentic()) {
            if self.aws.chance(0.1) {
                let now = self.aws.now();
                let function = self.function(delivery.entry, &self.process("old"));
                let message = function.message(&delivery.request(now, false), now);
                self.aws.state().send(&json!({ "QueueUrl": FALLBACK_URL, "MessageBody": message }));
            }
        }
    }

    async fn send(&self, index: usize, delivery: &Delivery) {
        sleep(delivery.at).await;
        let request = delivery.request(self.aws.now(), self.aws.operator.uses_new_keys(self.aws.elapsed()));
        // A proxy may send a request twice, at the same time or later.
        let copy_delay = match self.aws.chance(0.15) {
            true if self.aws.chance(0.5) => Some(self.aws.up_to(COPY_DELAY_MAX)),
            true => Some(Duration::ZERO),
            false => None,
        };
        let copies = [Some(Duration::ZERO), copy_delay].into_iter().flatten();
        join_all(copies.map(|delay| self.send_copy(index, delivery, &request, delay))).await;
    }

    async fn send_copy(&self, index: usize, delivery: &Delivery, request: &Request, delay: Duration) {
        sleep(delay).await;
        for tries_before in 0.. {
            let status = self.attempt(index, delivery, request).await;
            let answer = status.map_or(Answer::Broken, |status| Answer::Status(status, None));
            let Next::RetryAfter(pause) = delivery.entry.sender.retries.next(tries_before, &answer) else {
                return;
            };
            if !delivery.is_authentic() && tries_before >= FORGER_RETRIES {
                return;
            }
            sleep(pause).await;
        }
    }

    async fn attempt(&self, index: usize, delivery: &Delivery, request: &Request) -> Option<u16> {
        let sent_at = self.aws.now();
        let mut process = None;
        let answer = match self.aws.chance(0.02) {
            true => None,
            false => self.answered(delivery, request, &mut process).await,
        };
        let is_lost = self.aws.chance(0.02);
        let (status, word, id) = match answer.filter(|_| !is_lost) {
            None => (None, String::new(), String::new()),
            Some((status, body)) => {
                let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
                (Some(status), text("status"), text("id"))
            }
        };
        self.aws.log(format_args!("{}: {status:?} {word} {id}", delivery.name));
        let answered_at = self.aws.now();
        let attempt = Attempt { sent_at, answered_at, process, status, word, id };
        self.attempts.borrow_mut().entry(index).or_default().push(attempt);
        status
    }

    /// API Gateway's answer, or `None` if the process died.
    async fn answered(
        &self,
        delivery: &Delivery,
        request: &Request,
        name: &mut Option<String>,
    ) -> Option<(u16, Value)> {
        let request = match self.mutant {
            Some(Mutant::StampsWithItsOwnClock) => request.clone(),
            _ => sender::stamped(request, self.aws.now()),
        };
        self.aws.log(format_args!("{} is received", delivery.name));
        let mut instance = self.idle_or_new(delivery.entry).await;
        let process = instance.process.clone();
        *name = Some(process.name().to_owned());
        let now = self.aws.now();
        self.aws.log(format_args!("{} handles {}", process.name(), delivery.name));
        let work = instance.function.receive(&request, now);
        let outcome = process.live(Mutant::receive(self.mutant, delivery, work, &self.aws, &process)).await?;
        if self.mutant == Some(Mutant::ForgetsFailedReads)
            && matches!(outcome, Outcome::Failed(_) | Outcome::Queued { .. })
        {
            instance.function = self.function(delivery.entry, &process);
        }
        let response = outcome.into_response();
        let status = response.status().as_u16();
        let Body::Text(body) = response.into_body() else { panic!("expected an answer of text") };
        let is_recycled = self.aws.chance(0.1);
        if !is_recycled && !process.is_dead() {
            self.idle.borrow_mut().entry(delivery.entry.name).or_default().push(instance);
        }
        Some((status, serde_json::from_str(&body).unwrap()))
    }

    /// An idle instance, or a new one after its startup time.
    async fn idle_or_new(&self, entry: &'static ProviderInfo) -> Instance {
        let idle = self.idle.borrow_mut().get_mut(entry.name).and_then(Vec::pop);
        match idle {
            Some(instance) => instance,
            None => {
                let process = self.process(entry.name);
                sleep(self.aws.up_to(START_MAX)).await;
                let function = self.function(entry, &process);
                Instance { process, function }
            }
        }
    }

    fn function(&self, entry: &ProviderInfo, process: &Arc<Process>) -> Rc<dyn Receive> {
        let ingest = for_each_provider!(P => (P::NAME == entry.name).then(|| self.ingest::<P>(process)));
        ingest.into_iter().flatten().next().expect("the entry is on the list")
    }

    fn ingest<P: Provider>(&self, process: &Arc<Process>) -> Rc<dyn Receive> {
        let config = IngestConfig {
            table: "Events".into(),
            keys: KeySource::SecretsManager(P::NAME.into()),
            retention: RETENTION,
            deadline: livehooks_aws::config::INGEST_DEADLINE,
            fallback: Some(FallbackConfig {
                queue_url: FALLBACK_URL.into(),
                deadline: livehooks_aws::config::FALLBACK_DEADLINE,
            }),
        };
        Rc::new(Ingest::<P>::new(config, &sdk_config(&self.aws, process, self.mutant)))
    }

    pub fn process(&self, name: &str) -> Arc<Process> {
        self.processes.set(self.processes.get() + 1);
        Process::new(format!("{}-{name}-{}", self.seed, self.processes.get()))
    }
}
