//! The stack that events are read from: local or deployed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use livehooks_aws::{clients, http_client};

use super::HistoryError;
use super::unreadable::Unreadable;
use crate::local::{TABLE, TOPIC_ARN, local_sdk_config};

/// A generous estimate; DynamoDB promises no limit.
const INDEX_LAG: Duration = Duration::from_secs(1);

/// A stack's table of events, and the topic on which they are published.
#[derive(Clone, Debug)]
pub struct Source {
    /// DynamoDB.
    pub client: Client,
    /// The table's name.
    pub table: String,
    /// The topic's ARN.
    pub topic_arn: String,
    /// SDK configuration for the topic and the secrets.
    pub sdk: SdkConfig,
    streams: aws_sdk_dynamodbstreams::Client,
    /// The deployed stack; `None` for the local one.
    pub stack: Option<DeployedStack>,
    pub(super) unreadable_items: Arc<Unreadable>,
    /// Whether events were found that are in the table and not in the index `by_time`.
    pub(super) has_unindexed: Arc<AtomicBool>,
}

/// A stack in AWS, as CloudFormation describes it.
#[derive(Clone, Debug)]
pub struct DeployedStack {
    /// The stack's name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Its outputs.
    pub outputs: BTreeMap<String, String>,
}

impl Source {
    /// The local stack, with its DynamoDB at `dynamodb` and its SNS at `sns`.
    pub fn local(dynamodb: SocketAddr, sns: SocketAddr) -> Self {
        Self {
            client: Client::new(&local_sdk_config(dynamodb)),
            table: TABLE.into(),
            topic_arn: TOPIC_ARN.into(),
            sdk: local_sdk_config(sns),
            streams: aws_sdk_dynamodbstreams::Client::new(&local_sdk_config(dynamodb)),
            stack: None,
            unreadable_items: Arc::default(),
            has_unindexed: Arc::default(),
        }
    }

    /// A local stack at the default ports.
    pub fn at_default_ports() -> Self {
        Self::local(([127, 0, 0, 1], 3001).into(), ([127, 0, 0, 1], 3002).into())
    }

    /// The name of one of the stack's log groups, or its logical id in angle brackets if CloudFormation does not
    /// return the name.
    pub async fn log_group(&self, logical_id: &str) -> String {
        let unknown = || format!("<{logical_id}>");
        let Some(stack) = &self.stack else { return unknown() };
        let describe = aws_sdk_cloudformation::Client::new(&self.sdk).describe_stack_resource();
        let answer = describe.stack_name(&stack.name).logical_resource_id(logical_id).send().await;
        let detail = answer.ok().and_then(|answer| answer.stack_resource_detail);
        detail.and_then(|detail| detail.physical_resource_id).unwrap_or_else(unknown)
    }

    pub(super) fn streams(&self) -> aws_sdk_dynamodbstreams::Client {
        self.streams.clone()
    }

    /// Waits until what was stored before this call is in the table's indexes, which follow the table within a fraction
    /// of a second.
    pub async fn indexed(&self) {
        if self.stack.is_some() {
            tokio::time::sleep(INDEX_LAG).await;
        }
    }

    /// A name for messages.
    pub fn name(&self) -> String {
        match &self.stack {
            None => "the local stack".into(),
            Some(stack) => format!("stack {} in {}", stack.name, stack.region),
        }
    }

    /// Finds a deployed stack by name with the default AWS credentials.
    ///
    /// # Errors
    /// Returns CloudFormation's answer and how to fix it.
    pub async fn of_stack(name: &str, region: Option<&str>) -> Result<Self, HistoryError> {
        let roots = clients::roots().map_err(|error| HistoryError::Certificates(error.to_string()))?;
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client::client(roots, http_client::CONNECT_TIMEOUT));
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        let sdk = loader.load().await;
        let region = sdk.region().ok_or(HistoryError::NoRegion)?.to_string();
        let stack = |why| HistoryError::Stack { name: name.into(), region: region.clone(), why };
        let describe = aws_sdk_cloudformation::Client::new(&sdk).describe_stacks().stack_name(name);
        let answer = describe.send().await.map_err(|error| stack(livehooks_aws::describe(&error)))?;
        let found =
            answer.stacks().first().ok_or_else(|| stack("CloudFormation returned no stack".into()))?;
        let output = |output: &aws_sdk_cloudformation::types::Output| {
            Some((output.output_key()?.to_owned(), output.output_value()?.to_owned()))
        };
        let outputs: BTreeMap<String, String> = found.outputs().iter().filter_map(output).collect();
        let one = |key: &'static str| {
            outputs.get(key).cloned().ok_or_else(|| HistoryError::NoOutput { name: name.into(), key })
        };
        Ok(Self {
            client: Client::new(&sdk),
            table: one("TableName")?,
            topic_arn: one("TopicArn")?,
            streams: aws_sdk_dynamodbstreams::Client::new(&sdk),
            sdk,
            stack: Some(DeployedStack { name: name.into(), region, outputs }),
            unreadable_items: Arc::default(),
            has_unindexed: Arc::default(),
        })
    }
}
