//! One scenario: senders, processes that die, event sources that deliver again, and what became of it all.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt;
use futures::future::{LocalBoxFuture, join_all};
use jiff::{SignedDuration, Timestamp};
use lambda_http::{Body, Request};
use livehooks::providers::{ALL, Entry};
use livehooks_aws::config::{FallbackConfig, IngestConfig, KeySource, RecoverConfig, RelayConfig};
use livehooks_aws::recover::{self, Recover, Way};
use livehooks_aws::{Ingest, Outcome, Relay, fallback, ingest};
use livehooks_core::Provider;
use livehooks_core::hms::Hms;
use livehooks_core::livekit::LiveKit;
use livehooks_core::plugnmeet::PlugNmeet;
use livehooks_core::videosdk::VideoSdk;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::fake_aws::FakeAws;
use crate::invariants::{self, Report};
use crate::mutants::Mutant;
use crate::process::Process;
use crate::sender::{self, Answer, Delivery, Rotation};
use crate::wire::sdk_config;

/// Longer than any scenario takes whose events reach their goal.
const TOO_LONG: Duration = Duration::from_secs(6 * 3_600);

const RETENTION: SignedDuration = SignedDuration::from_hours(24 * 90);
/// How long an event source waits, from a quiet stream to one that fails again and again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Runs the scenario of a seed, with the product or a mutant of it.
pub fn run(seed: u64, mutant: Option<Mutant>) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    // The SDK draws the length of its pauses from here.
    fastrand::seed(seed);
    runtime.unwrap().block_on(async {
        let mut rng = Rng::with_seed(seed);
        let deliveries = sender::deliveries(&mut rng);
        let rotation = Rotation::of(&mut rng);
        let scenario = Scenario {
            seed,
            mutant,
            aws: FakeAws::new(rng),
            rotation,
            deliveries,
            answers: RefCell::default(),
            idle: RefCell::default(),
            processes: Cell::new(0),
            is_sent: Cell::new(false),
        };
        scenario.run().await
    })
}

pub struct Scenario {
    pub seed: u64,
    pub mutant: Option<Mutant>,
    pub aws: Arc<FakeAws>,
    pub deliveries: Vec<Arc<Delivery>>,
    /// By delivery.
    pub answers: RefCell<BTreeMap<usize, Vec<Answer>>>,
    rotation: Rotation,
    idle: RefCell<BTreeMap<&'static str, Vec<Instance>>>,
    processes: Cell<u32>,
    is_sent: Cell<bool>,
}

/// A process with one provider's function in it.
struct Instance {
    process: Arc<Process>,
    function: Rc<dyn Receive>,
}

trait Receive {
    fn receive<'a>(&'a self, request: &'a Request, now: Timestamp) -> LocalBoxFuture<'a, Outcome>;
}

impl<P: Provider> Receive for Ingest<P> {
    fn receive<'a>(&'a self, request: &'a Request, now: Timestamp) -> LocalBoxFuture<'a, Outcome> {
        self.receive_at(request, now).boxed_local()
    }
}

impl Scenario {
    async fn run(&self) -> Report {
        for entry in ALL {
            self.aws.state().secrets.insert(entry.name.into(), sender::secret(entry, false));
        }
        let senders = async {
            join_all(self.deliveries.iter().enumerate().map(|(index, delivery)| self.send(index, delivery)))
                .await;
            self.aws.log(format_args!("all is sent; from now on nothing goes wrong"));
            self.aws.state().plan.stop();
            self.is_sent.set(true);
        };
        let everything = async {
            tokio::join!(senders, self.relaying(), self.recovering(), self.rotation.happen(&self.aws))
        };
        let settled = tokio::time::timeout(TOO_LONG, everything).await.is_ok();
        invariants::of(self, settled)
    }

    async fn send(&self, index: usize, delivery: &Delivery) {
        sleep(delivery.at).await;
        let request = delivery.request(self.aws.now(), self.aws.elapsed() >= self.rotation.used_from);
        // A proxy or a network may send the same twice.
        let copies = if self.aws.chance(0.15) { 2 } else { 1 };
        join_all((0..copies).map(|_| self.send_copy(index, delivery, &request))).await;
    }

    async fn send_copy(&self, index: usize, delivery: &Delivery, request: &Request) {
        let mut pauses = sender::pauses_s(delivery.entry.name).iter();
        loop {
            let status = self.attempt(index, delivery, request).await;
            if sender::is_final(delivery.entry.name, status) {
                return;
            }
            let Some(pause) = pauses.next() else { return };
            sleep(Duration::from_secs(*pause)).await;
        }
    }

    async fn attempt(&self, index: usize, delivery: &Delivery, request: &Request) -> Option<u16> {
        let begun = self.aws.now();
        let is_lost_before = self.aws.chance(0.02);
        let answer = if is_lost_before { None } else { self.answered(delivery, request).await };
        let is_lost_after = self.aws.chance(0.02);
        let (status, word, id) = match answer.filter(|_| !is_lost_after) {
            None => (None, String::new(), String::new()),
            Some((status, body)) => {
                let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
                (Some(status), text("status"), text("id"))
            }
        };
        self.aws.log(format_args!("{}: {status:?} {word} {id}", delivery.name));
        self.answers.borrow_mut().entry(index).or_default().push(Answer { begun, status, word, id });
        status
    }

    /// What API Gateway answers. `None` where the process died.
    async fn answered(&self, delivery: &Delivery, request: &Request) -> Option<(u16, Value)> {
        let instance = self.idle_or_new(delivery.entry);
        let now = self.aws.now();
        let process = &instance.process;
        self.aws.log(format_args!("{} {} arrives", process.name(), delivery.name));
        let work = Mutant::receive(self.mutant, delivery, instance.function.receive(request, now), process);
        let response = process.live(work).await?;
        let status = response.status().as_u16();
        let Body::Text(body) = response.into_body() else { panic!("an answer is text") };
        let is_recycled = self.aws.chance(0.1);
        if !is_recycled && !process.is_dead() {
            self.idle.borrow_mut().entry(delivery.entry.name).or_default().push(instance);
        }
        Some((status, serde_json::from_str(&body).unwrap()))
    }

    fn idle_or_new(&self, entry: &'static Entry) -> Instance {
        let idle = self.idle.borrow_mut().get_mut(entry.name).and_then(Vec::pop);
        idle.unwrap_or_else(|| {
            let process = self.process(entry.name);
            let function: Rc<dyn Receive> = match entry.name {
                Hms::NAME => self.ingest::<Hms>(&process),
                VideoSdk::NAME => self.ingest::<VideoSdk>(&process),
                PlugNmeet::NAME => self.ingest::<PlugNmeet>(&process),
                LiveKit::NAME => self.ingest::<LiveKit>(&process),
                other => panic!("{other} has no part in these scenarios"),
            };
            Instance { process, function }
        })
    }

    fn ingest<P: Provider>(&self, process: &Arc<Process>) -> Rc<dyn Receive> {
        let config = IngestConfig {
            table: "Events".into(),
            keys: KeySource::SecretsManager(P::NAME.into()),
            retention: RETENTION,
            deadline: ingest::DEADLINE,
            fallback: Some(FallbackConfig {
                queue_url: "http://aws/fallback".into(),
                deadline: fallback::DEADLINE,
            }),
        };
        Rc::new(Ingest::<P>::new(config, &sdk_config(&self.aws, process, self.mutant)))
    }

    fn process(&self, name: &str) -> Arc<Process> {
        self.processes.set(self.processes.get() + 1);
        Process::new(format!("{}-{name}-{}", self.seed, self.processes.get()))
    }

    /// The event source of the relay: from a checkpoint on, again and again until it is taken.
    async fn relaying(&self) {
        let mut checkpoint = 0;
        let mut instance: Option<(Arc<Process>, Relay)> = None;
        let mut pause = SHORTEST_PAUSE;
        loop {
            let records = self.records(checkpoint);
            if records.is_empty() {
                if self.is_drained() {
                    return;
                }
                sleep(SHORTEST_PAUSE).await;
                continue;
            }
            let (process, relay) = instance.take().unwrap_or_else(|| {
                let process = self.process("notify");
                let config = RelayConfig {
                    table: "Events".into(),
                    topic_arn: "arn:aws:sns:us-east-1:000000000000:livehooks".into(),
                    quarantine_queue_url: "http://aws/quarantine".into(),
                    batches_at_once: 8,
                };
                let relay = Relay::new(config, &sdk_config(&self.aws, &process, self.mutant));
                (process, relay)
            });
            let event = serde_json::from_value(json!({ "Records": records })).unwrap();
            let handled = match self.mutant {
                Some(Mutant::PublishesInline) => Some(Default::default()),
                _ => process.live(relay.handle(&event)).await,
            };
            let Some(response) = handled else {
                sleep(pause).await;
                continue;
            };
            let failed = response.batch_item_failures.iter().filter_map(|failure| {
                let number: usize = failure.item_identifier.as_ref()?.parse().ok()?;
                Some(number - 1)
            });
            let end = checkpoint + records.len();
            let next = Mutant::checkpoint(self.mutant, failed.collect(), end);
            self.aws.log(format_args!("{} relayed {checkpoint}..{end}, goes on at {next}", process.name()));
            // The event source may hand out again what it was told is done.
            if !self.aws.chance(0.05) {
                checkpoint = next;
            }
            pause = if next < end { LONGEST_PAUSE.min(2 * pause) } else { SHORTEST_PAUSE };
            sleep(pause).await;
            instance = Some((process, relay));
        }
    }

    /// The event source of recover: what is not taken stays in the queue.
    async fn recovering(&self) {
        let mut instance: Option<(Arc<Process>, Recover)> = None;
        while !self.is_drained() {
            sleep(Duration::from_secs(1)).await;
            let messages = self.aws.receive();
            if messages.is_empty() {
                continue;
            }
            let (process, recover) = instance.take().unwrap_or_else(|| self.recover());
            let now = self.aws.now();
            let records = messages.iter().map(|message| Mutant::queued(self.mutant, message, now).record());
            let event = serde_json::from_value(json!({ "Records": records.collect::<Vec<_>>() })).unwrap();
            let Some(recovered) = process.live(recover.recover_at(&event, now)).await else { continue };
            let response = recover::response(&recovered);
            let failed: Vec<&str> =
                response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
            self.aws.log(format_args!(
                "{} recovered all of {} but {failed:?}",
                process.name(),
                messages.len()
            ));
            for message in &messages {
                let is_done = self.mutant == Some(Mutant::DropsWhatFails)
                    || !failed.contains(&&*message.id.to_string());
                // The queue may hand out again what was deleted.
                if is_done && !self.aws.chance(0.05) {
                    self.aws.delete(message.id);
                }
            }
            instance = Some((process, recover));
        }
    }

    fn recover(&self) -> (Arc<Process>, Recover) {
        let process = self.process("recover");
        let ways = [Way::of::<Hms>(), Way::of::<VideoSdk>(), Way::of::<PlugNmeet>(), Way::of::<LiveKit>()];
        let keys = ALL.iter().map(|entry| (entry.name.into(), KeySource::SecretsManager(entry.name.into())));
        let config = RecoverConfig {
            table: "Events".into(),
            keys: keys.collect(),
            retention: RETENTION,
            deadline: recover::DEADLINE,
        };
        let recover = Recover::new(&ways, config, &sdk_config(&self.aws, &process, self.mutant));
        (process, recover)
    }

    /// Whether no delivery is on its way to the table.
    fn is_drained(&self) -> bool {
        self.is_sent.get() && self.aws.state().queue.is_empty()
    }

    fn records(&self, checkpoint: usize) -> Vec<Value> {
        let state = &mut *self.aws.state();
        let limit = state.rng.usize(1..=25);
        state.stream.iter().skip(checkpoint).take(limit).cloned().collect()
    }
}
