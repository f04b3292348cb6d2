//! The local stack: the real handlers, an embedded DynamoDB and the real notifier, in one process.
//!
//! ```text
//! web            POST /webhooks/…  ->  the functions' own handlers ->  database (DynamoDB on loopback)
//!                                                                  ->  queue, in an outage (SQS on loopback)
//! queue_poller   queue             ->  the function's own Recover  ->  database
//!                                                                  ->  dead letters (SQS on loopback)
//! stream_poller  database's stream ->  the function's own Notifier    ->  endpoint (SNS and SQS on loopback)
//! published      what the endpoint took: a log with a cursor per reader (API, --forward-to)
//! ```

mod data;
mod database;
mod dead_letters;
mod dynamodb_api;
mod endpoint;
mod forward;
mod notes;
mod notification_log;
mod outage;
mod queue;
mod queue_poller;
mod report;
mod sqs;
mod stream_poller;
mod web;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use livehooks_aws::config::{FallbackConfig, KeySource, NotifyConfig, RecoverConfig};
use livehooks_aws::{Notifier, Recover};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use data::DataError;
pub use database::Database;
pub use dead_letters::{Counts, DeadLetter};
pub use endpoint::{Faults, Outage, PublishFault};
pub use notification_log::NotificationLog;
pub use queue::{Queue, RECEIVES_MAX};
pub use report::{RejectedDelivery, Report};
pub use sqs::{DEAD_LETTER_PATH, FALLBACK_PATH};
pub use web::WebhookRoutes;

use crate::forward::HttpTarget;
use crate::history::Source;
use crate::keys_file::KeysFile;
use crate::local::{LOCAL_TIMEOUT, TABLE, TOPIC_ARN, local_sdk_config};
use crate::providers::{ALL, Entry, PIPELINES};
use data::DataFolder;
use web::RETENTION;

/// How to start a local stack.
#[derive(Clone)]
pub struct Options {
    /// Port of the webhooks and the API; 0 takes a free one.
    pub port: u16,
    /// Port of the embedded DynamoDB; `None` takes the one after `port`, or a free one.
    pub dynamodb_port: Option<u16>,
    /// Address of the embedded DynamoDB, and of the local SNS and SQS.
    pub aws_host: Ipv4Addr,
    /// Where the events stay; `None` keeps them in memory.
    pub data: Option<PathBuf>,
    /// Every provider's keys.
    pub keys: KeysFile,
    /// The developer's own app, to which every notification is posted.
    pub forward_to: Option<String>,
    /// Whether each event is logged on the terminal.
    pub verbose: bool,
}

/// Why the local stack did not start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum StartError {
    #[error(
        "cannot listen on {host}:{port}: {error}\n  choose another with {option} (port 0 takes a free one)"
    )]
    Port { host: Ipv4Addr, port: u16, option: &'static str, error: std::io::Error },
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("--forward-to: expected an http or https URL, found {0:?}")]
    ForwardTo(String),
    #[error("the local stack cannot start: {0}")]
    Other(String),
}

/// A local stack that listens.
pub struct Stack {
    /// Address of the webhooks and the API.
    pub address: SocketAddr,
    /// Address of the embedded DynamoDB.
    pub dynamodb: SocketAddr,
    /// Address of the local SNS and SQS.
    pub aws: SocketAddr,
    /// What has happened.
    pub report: Arc<Report>,
    /// What was published.
    pub published: Arc<NotificationLog>,
    /// The deliveries that wait for the table.
    pub queue: Queue,
    /// What the local AWS is to reject; for tests.
    pub faults: Arc<Faults>,
    tasks: JoinSet<()>,
}

impl Stack {
    /// Starts everything and returns once it listens.
    ///
    /// # Errors
    /// Says which port is taken, or what is wrong with the data folder; nothing is overwritten.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let forward_to = options.forward_to.as_deref().map(target).transpose()?;
        let listener = listen(Ipv4Addr::LOCALHOST, options.port, "--port").await?;
        let dynamodb = match options.dynamodb_port {
            Some(port) => listen(options.aws_host, port, "--dynamodb-port").await?,
            None => listen_near(options.aws_host, options.port, 1).await?,
        };
        let aws = listen_near(options.aws_host, options.port, 2).await?;
        let folder = options.data.as_deref().map(DataFolder::open).transpose()?;
        let database = Database::open(folder.as_ref().map(DataFolder::database).as_deref())?;
        let queue = Queue::open(folder.as_ref().map(DataFolder::queue).as_deref())?;

        let other = |error: std::io::Error| StartError::Other(error.to_string());
        let address = listener.local_addr().map_err(other)?;
        let dynamodb_address = dynamodb.local_addr().map_err(other)?;
        let aws_address = aws.local_addr().map_err(other)?;
        let published = Arc::new(NotificationLog::new().map_err(other)?);
        let report = Arc::new(Report::new(options.verbose));
        let faults = Arc::new(Faults::default());

        let mut tasks = JoinSet::new();
        tasks.spawn(database.serve(dynamodb));
        let (log, waiting, wrong) = (published.clone(), queue.clone(), faults.clone());
        tasks.spawn(endpoint::serve(
            aws,
            options.aws_host,
            endpoint::Endpoint { published: log, queue: waiting, faults: wrong, moves: Arc::default() },
        ));
        if let Some(url) = forward_to {
            tasks.spawn(forward::run(url, published.clone(), report.clone()));
        }
        let notifier = Notifier::new(
            NotifyConfig {
                table: TABLE.into(),
                topic_arn: TOPIC_ARN.into(),
                quarantine_queue_url: format!("http://{aws_address}{}", sqs::QUARANTINE_PATH),
                // In the stream's order, as --forward-to promises.
                batches_at_once: 1,
            },
            &local_sdk_config(aws_address),
        );
        let sdk = outage::sdk_config(dynamodb_address, aws_address, faults.clone());
        let source = Source::local(dynamodb_address, aws_address);
        let recover = Recover::new(PIPELINES, recover_config(&options.keys, aws_address), &sdk);
        let fallback = FallbackConfig {
            queue_url: format!("http://{aws_address}{}", FALLBACK_PATH),
            deadline: LOCAL_TIMEOUT,
        };
        let routes = WebhookRoutes { sdk, fallback, report: report.clone(), stored: Arc::default() };
        let queue_poller = queue_poller::QueuePoller {
            queue: queue.clone(),
            recover,
            report: report.clone(),
            stored: routes.stored.clone(),
        };
        let stream_poller = stream_poller::StreamPoller {
            database,
            notifier,
            published: published.clone(),
            report: report.clone(),
            folder,
            stored: routes.stored.clone(),
        };
        tasks.spawn(stream_poller.run());
        tasks.spawn(queue_poller.run());
        tasks.spawn(web::serve(listener, routes, source, options.keys.clone(), published.clone()));
        Ok(Self {
            address,
            dynamodb: dynamodb_address,
            aws: aws_address,
            report,
            published,
            queue,
            faults,
            tasks,
        })
    }

    /// The base address of the webhooks and the API.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends everything, as a crash would: nothing is finished first.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    /// Runs until one of its parts ends, which is an error of that part.
    pub async fn run(mut self) {
        self.tasks.join_next().await;
    }
}

fn target(url: &str) -> Result<HttpTarget, StartError> {
    HttpTarget::at(url).ok_or_else(|| StartError::ForwardTo(url.to_owned()))
}

async fn listen(host: Ipv4Addr, port: u16, option: &'static str) -> Result<TcpListener, StartError> {
    let bound = TcpListener::bind((host, port)).await;
    bound.map_err(|error| StartError::Port { host, port, option, error })
}

/// On the port that lies `offset` behind, where that is free: settings that name it stay right.
async fn listen_near(host: Ipv4Addr, port: u16, offset: u16) -> Result<TcpListener, StartError> {
    let near = port.checked_add(offset).filter(|_| port != 0).unwrap_or(0);
    match listen(host, near, "--aws-host").await {
        Ok(listener) => Ok(listener),
        Err(_) => listen(host, 0, "--aws-host").await,
    }
}

fn recover_config(keys: &KeysFile, aws: SocketAddr) -> RecoverConfig {
    let inline = |entry: &Entry| (entry.name.to_owned(), KeySource::Inline(keys.secret(entry).to_string()));
    RecoverConfig {
        table: TABLE.into(),
        keys: ALL.iter().map(inline).collect(),
        retention: RETENTION,
        dead_letter_queue_url: format!("http://{aws}{DEAD_LETTER_PATH}"),
        deadline: LOCAL_TIMEOUT,
    }
}
