//! The local stack: the functions' own code and an embedded DynamoDB, in one process.
//!
//! ```text
//! web               POST /webhooks/…  ->  Ingest    ->  database (DynamoDB on loopback)
//!                                                   ->  queue, in an outage (SQS on loopback)
//! queue_poller      queue             ->  Recover   ->  database
//!                                                   ->  dead letters (SQS on loopback)
//! stream_poller     database's stream ->  Notifier  ->  endpoint (SNS and SQS on loopback)
//! notification_log  published notifications: a log with a cursor per reader (API, --forward-to)
//! ```

mod data;
mod database;
mod dead_letters;
mod dynamodb_api;
mod endpoint;
mod forward;
mod notes;
mod notification_log;
mod queue;
mod queue_poller;
mod report;
mod sdk;
mod sqs;
mod stream_poller;
mod web;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use livehooks_aws::config::{FallbackConfig, KeySource, NotifyConfig, RecoverConfig};
use livehooks_aws::{Notifier, Recover};
use livehooks_signing::{PROVIDERS, ProviderInfo};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use data::DataError;
pub use database::{Database, DatabaseError};
pub use dead_letters::{Counts, DeadLetter};
pub use notification_log::NotificationLog;
pub use queue::{Queue, RECEIVES_MAX};
pub use report::{RejectedDelivery, Report};
pub use sqs::{DEAD_LETTER_PATH, FALLBACK_PATH};
pub use web::WebhookRoutes;

use crate::forward::HttpTarget;
use crate::history::Source;
use crate::keys_file::KeysFile;
use crate::local::{LOCAL_TIMEOUT, TABLE, TOPIC_ARN, local_http_client};
use crate::providers::PROVIDER_PIPELINES;
use data::DataFolder;
use web::RETENTION;

/// How to start a local stack.
#[derive(Clone)]
pub struct Options {
    /// Port of the webhooks and the API; 0 picks a free one.
    pub port: u16,
    /// Port of the embedded DynamoDB; `None` means the one after `port`, or a free one.
    pub dynamodb_port: Option<u16>,
    /// Address of the embedded DynamoDB, and of the local SNS and SQS.
    pub aws_host: Ipv4Addr,
    /// The data folder; `None` keeps events in memory.
    pub data: Option<PathBuf>,
    /// Every provider's keys.
    pub keys: KeysFile,
    /// The URL to which every notification is posted.
    pub forward_to: Option<String>,
    /// Whether to print a line per delivery.
    pub verbose: bool,
}

/// Why the local stack did not start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum StartError {
    #[error(
        "cannot listen on {host}:{port}: {error}\n  choose another with {option} (port 0 picks a free one)"
    )]
    Port { host: Ipv4Addr, port: u16, option: &'static str, error: std::io::Error },
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("--forward-to: expected an http or https URL, found {0:?}")]
    ForwardTo(String),
    #[error("the local stack cannot start: {0}")]
    Other(String),
}

/// A running local stack.
pub struct Stack {
    /// Address of the webhooks and the API.
    pub address: SocketAddr,
    /// Address of the embedded DynamoDB.
    pub dynamodb: SocketAddr,
    /// Address of the local SNS and SQS.
    pub aws: SocketAddr,
    /// What happened to each delivery.
    pub report: Arc<Report>,
    /// The published notifications.
    pub published: Arc<NotificationLog>,
    /// The fallback queue.
    pub queue: Queue,
    tasks: JoinSet<()>,
}

impl Stack {
    /// Starts the stack and returns when it listens.
    ///
    /// # Errors
    /// If a port is in use or the data folder cannot be used; nothing is overwritten.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        Self::start_with(options, local_http_client()).await
    }

    /// Starts the stack. The functions' calls to DynamoDB, SNS and SQS go through `http_client`.
    ///
    /// # Errors
    /// As [`Stack::start`].
    pub async fn start_with(options: Options, http_client: SharedHttpClient) -> Result<Self, StartError> {
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

        let mut tasks = JoinSet::new();
        tasks.spawn(database.serve(dynamodb));
        let endpoint =
            endpoint::Endpoint { published: published.clone(), queue: queue.clone(), moves: Arc::default() };
        tasks.spawn(endpoint::serve(aws, options.aws_host, endpoint));
        if let Some(url) = forward_to {
            tasks.spawn(forward::run(url, published.clone(), report.clone()));
        }
        let sdk = sdk::sdk_config(dynamodb_address, aws_address, http_client);
        let notifier = Notifier::new(
            NotifyConfig {
                table: TABLE.into(),
                topic_arn: TOPIC_ARN.into(),
                quarantine_queue_url: format!("http://{aws_address}{}", sqs::QUARANTINE_PATH),
                // --forward-to promises the stream's order.
                batches_at_once: 1,
            },
            &sdk,
        );
        let source = Source::local(dynamodb_address, aws_address);
        let recover = Recover::new(PROVIDER_PIPELINES, recover_config(&options.keys, aws_address), &sdk);
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
        Ok(Self { address, dynamodb: dynamodb_address, aws: aws_address, report, published, queue, tasks })
    }

    /// The base address of the webhooks and the API.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops at once, as a crash would.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    /// Runs until one of its tasks ends, which no task should.
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

/// Listens on `port + offset` if it is free, so that settings that name the port stay valid, or on any free port.
async fn listen_near(host: Ipv4Addr, port: u16, offset: u16) -> Result<TcpListener, StartError> {
    let near = port.checked_add(offset).filter(|_| port != 0).unwrap_or(0);
    match listen(host, near, "--aws-host").await {
        Ok(listener) => Ok(listener),
        Err(_) => listen(host, 0, "--aws-host").await,
    }
}

fn recover_config(keys: &KeysFile, aws: SocketAddr) -> RecoverConfig {
    let inline = |provider: &ProviderInfo| {
        (provider.name.to_owned(), KeySource::Inline(keys.secret(provider).to_string()))
    };
    RecoverConfig {
        table: TABLE.into(),
        keys: PROVIDERS.iter().map(inline).collect(),
        retention: RETENTION,
        dead_letter_queue_url: format!("http://{aws}{DEAD_LETTER_PATH}"),
        deadline: LOCAL_TIMEOUT,
    }
}
