//! The AWS protocols in memory. Turns the production SDK's requests into calls and applies each call's result.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, SharedAsyncSleep, SharedCredentialsProvider,
};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use livehooks_aws::clients;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::fake_aws::{self, FakeAws, Item};
use crate::faults::{CallResult, Poison, Service};
use crate::mutants::Mutant;
use crate::process::Process;
use crate::secret_reads::Read;

const LONGEST_CALL: Duration = Duration::from_millis(30);

/// The SDK configuration of a process: production timeouts and retries, with the fake AWS.
pub fn sdk_config(aws: &Arc<FakeAws>, process: &Arc<Process>, mutant: Option<Mutant>) -> SdkConfig {
    let wire = Wire { aws: aws.clone(), process: process.clone(), mutant };
    let connector = SharedHttpConnector::new(wire);
    // The SDK shares its retry quota per region. A region per process and run gives each process its own quota, as in
    // Lambda.
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let region = Region::new(format!("{}-{}", RUNS.fetch_add(1, Ordering::Relaxed), process.name()));
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "a", "b", None, None, "scenario",
        )))
        .region(region)
        .endpoint_url("http://aws")
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .timeout_config(clients::timeouts())
        .retry_config(clients::retries())
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .build()
}

#[derive(Clone)]
struct Wire {
    aws: Arc<FakeAws>,
    process: Arc<Process>,
    mutant: Option<Mutant>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let wire = self.clone();
        HttpConnectorFuture::new(async move { wire.exchange(&Call::read(&request)).await })
    }
}

/// The relevant parts of a request.
pub enum Call {
    Put {
        item: Item,
        is_conditional: bool,
    },
    Query {
        event_key: String,
        is_forward: bool,
        limit: usize,
        /// The occurrence after which the page begins.
        start: Option<u64>,
    },
    Secret {
        id: String,
    },
    Send {
        request: Value,
    },
    Publish {
        entries: Vec<(String, String)>,
    },
}

impl Call {
    fn read(request: &HttpRequest) -> Self {
        let body = request.body().bytes().expect("a body in memory");
        let Some(target) = request.headers().get("x-amz-target") else {
            let form: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
            assert_eq!(form["Action"], "PublishBatch");
            let field = |index, name| form.get(&format!("PublishBatchRequestEntries.member.{index}.{name}"));
            let entries = (1..)
                .map_while(|index| Some((field(index, "Id")?.clone(), field(index, "Message")?.clone())));
            return Self::Publish { entries: entries.collect() };
        };
        let request: Value = serde_json::from_slice(body).unwrap();
        match target.rsplit('.').next().unwrap() {
            "PutItem" => Self::Put {
                item: request["Item"].as_object().unwrap().clone(),
                is_conditional: request["ConditionExpression"] == "attribute_not_exists(event_key)",
            },
            "Query" => Self::Query {
                event_key: request["ExpressionAttributeValues"][":key"]["S"].as_str().unwrap().to_owned(),
                is_forward: request["ScanIndexForward"] != false,
                limit: request["Limit"].as_u64().map_or(usize::MAX, |limit| limit as usize),
                start: request["ExclusiveStartKey"]["occurrence"]["N"]
                    .as_str()
                    .map(|occurrence| occurrence.parse().unwrap()),
            },
            "GetSecretValue" => Self::Secret { id: request["SecretId"].as_str().unwrap().to_owned() },
            "SendMessage" => Self::Send { request },
            other => panic!("the fake AWS does not support {other}"),
        }
    }

    fn service(&self) -> Service {
        match self {
            Self::Put { .. } | Self::Query { .. } => Service::Table,
            Self::Secret { .. } => Service::Secrets,
            Self::Send { request } => fake_aws::queue(request),
            Self::Publish { .. } => Service::Topic,
        }
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Put { item, .. } => {
                write!(f, "put {} {}", item["event_key"]["S"], item["occurrence"]["N"])
            }
            Self::Query { event_key, .. } => write!(f, "query {event_key:?}"),
            Self::Secret { id } => write!(f, "read secret {id}"),
            Self::Send { request } => write!(f, "send to {:?}", fake_aws::queue(request)),
            Self::Publish { entries } => write!(f, "publish {}", entries.len()),
        }
    }
}

impl Wire {
    async fn exchange(&self, call: &Call) -> Result<HttpResponse, ConnectorError> {
        sleep(self.aws.up_to(LONGEST_CALL)).await;
        let result = self.aws.call_result(call.service());
        self.aws.log(format_args!("{} {call}: {result:?}", self.process.name()));
        if let Call::Secret { id } = call {
            let is_answered = matches!(result, CallResult::Fine | CallResult::DoneTwice | CallResult::Partly);
            let key = (self.process.name().to_owned(), id.clone());
            let read = Read { at: self.aws.elapsed(), batch: self.process.batch(), is_answered };
            self.aws.state().secret_reads.entry(key).or_default().push(read);
        }
        if let Some(answer) = Mutant::answer(self.mutant, call, result, &self.aws, &self.process).await {
            return Ok(answer);
        }
        let answer = match result {
            CallResult::Fine | CallResult::Partly => self.act(call, result == CallResult::Partly),
            CallResult::DoneTwice => {
                if matches!(call, Call::Send { .. } | Call::Publish { .. }) {
                    self.act(call, false);
                }
                self.act(call, false)
            }
            CallResult::DoneButBroken
            | CallResult::DoneButSilent
            | CallResult::DoneButReset
            | CallResult::DiesAfter => {
                self.act(call, false);
                response(500, String::new())
            }
            CallResult::Throttled => throttled(call.service()),
            CallResult::Denied => denied(call.service(), self.aws.up_to(Duration::from_secs(1)).as_millis()),
            CallResult::Broken | CallResult::Silent | CallResult::Reset | CallResult::DiesBefore => {
                response(500, String::new())
            }
        };
        sleep(self.aws.up_to(LONGEST_CALL)).await;
        match result {
            CallResult::Silent | CallResult::DoneButSilent => std::future::pending().await,
            CallResult::Reset | CallResult::DoneButReset => {
                Err(ConnectorError::io("connection reset".into()))
            }
            CallResult::DiesBefore | CallResult::DiesAfter => {
                self.process.die();
                std::future::pending().await
            }
            _ => Ok(answer),
        }
    }

    fn act(&self, call: &Call, is_partial: bool) -> HttpResponse {
        let now = self.aws.now();
        let mut state = self.aws.state();
        match call {
            Call::Put { item, is_conditional } => put_answer(state.put(item.clone(), *is_conditional, now)),
            Call::Query { event_key, is_forward, limit, start } => {
                let mut items: Vec<&Item> = state.items(event_key).collect();
                if !is_forward {
                    items.reverse();
                }
                let is_start = |item: &&Item| Some(fake_aws::key(item).1) == *start;
                let first = items.iter().position(is_start).map_or(0, |start| start + 1);
                let page: Vec<&Item> = items[first..].iter().take(*limit).copied().collect();
                let mut answer = json!({ "Count": page.len(), "Items": page });
                // DynamoDB names the last item of a full page, whether or not there are more.
                if let Some(last) = page.last().filter(|_| page.len() == *limit) {
                    answer["LastEvaluatedKey"] =
                        json!({ "event_key": last["event_key"], "occurrence": last["occurrence"] });
                }
                response(200, answer.to_string())
            }
            Call::Secret { id } => {
                drop(state);
                match self.aws.secret(id) {
                    Some(secret) => response(200, json!({ "Name": id, "SecretString": secret }).to_string()),
                    None => denied(Service::Secrets, 0),
                }
            }
            Call::Send { request } => {
                state.send(request);
                response(200, json!({ "MessageId": "a message" }).to_string())
            }
            Call::Publish { entries } => {
                let (mut successes, mut failures) = (String::new(), String::new());
                let poisons: Vec<_> = entries.iter().map(|(_, message)| state.poison(message)).collect();
                let rejected = poisons.iter().find_map(|poison| match poison {
                    Some(Poison::WholeBatch(code)) => Some(code),
                    _ => None,
                });
                if let Some(code) = rejected {
                    return rejected_batch(400, code);
                }
                for ((id, message), poison) in entries.iter().zip(poisons) {
                    if poison.is_some() {
                        failures += &failure(id, "InvalidParameter", true);
                        continue;
                    }
                    match if is_partial { state.rng.u8(..4) } else { 0 } {
                        1 => failures += &failure(id, "InternalError", false),
                        // Published, but reported as failed.
                        2 => {
                            state.publish(message);
                            failures += &failure(id, "InternalError", false);
                        }
                        // Neither published nor mentioned.
                        3 => {}
                        _ => {
                            state.publish(message);
                            successes += &format!("<member><Id>{id}</Id><MessageId>m</MessageId></member>");
                        }
                    }
                }
                publish_answer(&successes, &failures)
            }
        }
    }
}

pub fn failure(id: &str, code: &str, is_senders_fault: bool) -> String {
    format!("<member><Id>{id}</Id><Code>{code}</Code><SenderFault>{is_senders_fault}</SenderFault></member>")
}

pub fn rejected_batch(status: u16, code: &str) -> HttpResponse {
    let error = format!(
        "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
    );
    response(status, error)
}

pub fn publish_answer(successes: &str, failures: &str) -> HttpResponse {
    let result = format!(
        "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
         <Successful>{successes}</Successful><Failed>{failures}</Failed>\
         </PublishBatchResult></PublishBatchResponse>"
    );
    response(200, result)
}

pub fn put_answer(put: Result<(), Item>) -> HttpResponse {
    match put {
        Ok(()) => response(200, "{}".into()),
        Err(existing) => {
            let kind = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
            let failure =
                json!({ "__type": kind, "message": "The conditional request failed", "Item": existing });
            response(400, failure.to_string())
        }
    }
}

fn throttled(service: Service) -> HttpResponse {
    let kind = match service {
        Service::Table => "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        Service::Topic => return rejected_batch(400, "Throttling"),
        Service::Queue | Service::DeadLetters | Service::Quarantine => "com.amazonaws.sqs#RequestThrottled",
        Service::Secrets => "ThrottlingException",
    };
    response(400, json!({ "__type": kind, "message": "slow down" }).to_string())
}

/// An error that an operator must fix: a missing permission, encryption key or resource.
fn denied(service: Service, variant: u128) -> HttpResponse {
    const TOPIC: [(u16, &str); 6] = [
        (403, "AuthorizationError"),
        (404, "NotFound"),
        (400, "KMSAccessDenied"),
        (400, "KMSDisabled"),
        (400, "KMSThrottling"),
        (403, "InvalidClientTokenId"),
    ];
    if service == Service::Topic {
        let (status, code) = TOPIC[variant as usize % TOPIC.len()];
        return rejected_batch(status, code);
    }
    response(400, json!({ "__type": "AccessDeniedException", "message": "not allowed" }).to_string())
}

pub fn response(status: u16, body: String) -> HttpResponse {
    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
}
