//! The second process: handles samples, and prints what the functions log and, after that, what is stored.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use livehooks::dev::Database;
use livehooks::envelope::Delivered;
use livehooks::local::{LOCAL_TIMEOUT, local_sdk_config};
use livehooks_aws::config::{IngestConfig, KeySource, NotifyConfig};
use livehooks_aws::store::{BY_TIME, Index, Item, ROOMS};
use livehooks_aws::telemetry::{self, Telemetry};
use livehooks_aws::{Ingest, Notifier, Outcome, gateway, ingest};
use livehooks_core::{Provider, for_each_provider};
use livehooks_signing::{ProviderInfo, Sample, SampleValues};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::BODY_BYTES;
use crate::harness::KEYS;

/// The start of a line that describes the event of the lines before, if they are to be measured.
pub const MARK: &str = "event ";

/// A stored event, and its sizes as DynamoDB counts them.
#[derive(Debug, Deserialize, Serialize)]
pub struct Event {
    pub provider: String,
    pub sample: String,
    pub body_bytes: usize,
    pub item_bytes: usize,
    /// The size of its entry in the index; absent if it names no room.
    pub rooms_entry_bytes: Option<usize>,
    pub by_time_entry_bytes: usize,
    /// The operations on the table that stored it.
    pub operations: Vec<String>,
    /// The number of items that each query read.
    pub items_read: Vec<usize>,
}

pub fn print() {
    let telemetry = telemetry::init().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let notifier = notifier().await;
        for_each_provider!(P => samples::<P>(&notifier, &telemetry).await);
    });
}

async fn samples<P: Provider>(notifier: &Notifier, telemetry: &Telemetry) {
    let entry = ProviderInfo::named(P::NAME).unwrap();
    let client = reqwest::Client::new();
    let mut rng = fastrand::Rng::with_seed(7);
    for sample in entry.samples() {
        for body_bytes in BODY_BYTES {
            let Some(body) = padded(&sample, body_bytes, &mut rng) else { continue };
            let mut table = Table::new(&client).await;
            let now = Timestamp::now();
            table.ingest::<P>(entry, &body, now).await;
            telemetry.flush();
            let mut requests = table.requests();
            if requests.iter().any(|(operation, _)| operation == "Query") {
                // An event of a sequence: measure one that follows others.
                let other = format!("{} }}", body.strip_suffix('}').unwrap());
                table = Table::new(&client).await;
                for hours in [3, 2, 1] {
                    table.ingest::<P>(entry, &other, now - SignedDuration::from_hours(hours)).await;
                    telemetry.flush();
                }
                println!("{MARK}null");
                table.requests();
                table.ingest::<P>(entry, &body, now).await;
                telemetry.flush();
                requests = table.requests();
            }
            let mut records = table.database.records(&table.database.stream_start().unwrap(), 10).unwrap();
            records.records.drain(..records.records.len() - 1);
            notifier.handle(&records).await;
            telemetry.flush();
            let event = Event {
                provider: P::NAME.into(),
                sample: sample.name.into(),
                body_bytes,
                item_bytes: table.bytes(None).await.unwrap(),
                rooms_entry_bytes: table.bytes(Some(ROOMS)).await,
                by_time_entry_bytes: table.bytes(Some(BY_TIME)).await.unwrap(),
                items_read: requests
                    .iter()
                    .filter_map(|(_, answer)| answer["Count"].as_u64()?.try_into().ok())
                    .collect(),
                operations: requests.into_iter().map(|(operation, _)| operation).collect(),
            };
            println!("{MARK}{}", json!(event));
        }
    }
}

/// The sample with ids of usual length and a field that makes it this long; `None` if it is longer.
fn padded(sample: &Sample<'_>, body_bytes: usize, rng: &mut fastrand::Rng) -> Option<String> {
    let id = || Uuid::new_v4().to_string();
    let values = SampleValues {
        room: id(),
        participant: id(),
        session: id(),
        ..SampleValues::of(id(), Timestamp::now())
    };
    let body = sample.body(&values);
    let around = r#","padding":"""#.len();
    let padding = body_bytes.checked_sub(body.len() + around)?;
    // As hard to compress as a token.
    let padding: String = std::iter::repeat_with(|| rng.alphanumeric()).take(padding).collect();
    Some(format!("{},\"padding\":\"{padding}\"}}", body.trim_end().strip_suffix('}')?))
}

/// Operations and their answers.
type Requests = Arc<Mutex<Vec<(String, Value)>>>;

/// A new table.
struct Table {
    database: Database,
    client: Client,
    /// Records requests.
    recorded: aws_types::SdkConfig,
    requests: Requests,
}

/// Passes a request on to the database and records it.
async fn record(
    State((database, requests, client)): State<(SocketAddr, Requests, reqwest::Client)>,
    headers: HeaderMap,
    body: String,
) -> String {
    let target = headers["x-amz-target"].to_str().unwrap();
    let request = client.post(format!("http://{database}/")).header("x-amz-target", target);
    let answer = request.body(body).send().await.unwrap();
    assert!(answer.status().is_success());
    let answer = answer.text().await.unwrap();
    let operation = target.split('.').nth(1).unwrap().to_owned();
    requests.lock().unwrap().push((operation, serde_json::from_str(&answer).unwrap()));
    answer
}

impl Table {
    async fn new(client: &reqwest::Client) -> Self {
        let database = Database::open(None).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(database.serve(listener));
        let (requests, client) = (Requests::default(), client.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let recorded = local_sdk_config(listener.local_addr().unwrap());
        let app = Router::new().fallback(record).with_state((address, requests.clone(), client));
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { database, client: Client::new(&local_sdk_config(address)), recorded, requests }
    }

    /// The requests since the last call.
    fn requests(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    /// Handles a delivery as the function does at this time.
    async fn ingest<P: Provider>(&self, entry: &ProviderInfo, body: &str, received_at: Timestamp) {
        let signed = (entry.sign)(KEYS.signing(entry).unwrap(), body.as_bytes(), received_at.into()).unwrap();
        let delivered = Delivered {
            path: &format!("/webhooks/{}", P::NAME),
            url_token: None,
            headers: &signed.headers,
            body: body.as_bytes(),
            base64: false,
            received_at,
        };
        let config = IngestConfig {
            table: "Events".into(),
            keys: KeySource::Inline(KEYS.secret(entry).to_string()),
            retention: SignedDuration::from_hours(24 * 90),
            deadline: LOCAL_TIMEOUT,
            fallback: None,
        };
        let ingest = Ingest::<P>::new(config, &self.recorded);
        let request = gateway::request(&delivered.http_api().to_string()).unwrap();
        let started = Instant::now();
        let outcome = ingest.receive_at(&request, received_at).await;
        ingest::record(P::NAME, &outcome, started.elapsed());
        assert!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}");
    }

    /// The size of an item, or of an entry in an index. All are alike.
    async fn bytes(&self, index: Option<Index>) -> Option<usize> {
        let scan = self.client.scan().table_name("Events");
        let scan = scan.set_index_name(index.map(|index| index.name.to_owned()));
        scan.send().await.unwrap().items().first().map(bytes)
    }
}

/// As DynamoDB counts it: names and values; a number takes a byte per two digits.
fn bytes(item: &Item) -> usize {
    let value = |value: &AttributeValue| match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        other => panic!("expected a string, bytes or a number, found {other:?}"),
    };
    item.iter().map(|(name, found)| name.len() + value(found)).sum()
}

/// A notifier whose topic accepts the only entry of each batch.
async fn notifier() -> Notifier {
    let answer = "<PublishBatchResponse><PublishBatchResult><Successful><member><Id>0</Id>\
        <MessageId>1</MessageId></member></Successful><Failed/></PublishBatchResult></PublishBatchResponse>";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sdk = local_sdk_config(listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().fallback(async move || answer)).into_future());
    let config = NotifyConfig {
        table: "Events".into(),
        topic_arn: "arn:aws:sns:us-east-1:000000000000:livehooks".into(),
        quarantine_queue_url: "http://127.0.0.1:1/quarantine".into(),
        batches_at_once: 1,
    };
    Notifier::new(config, &sdk)
}
