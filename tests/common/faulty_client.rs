//! An HTTP client through which the functions' calls to a local stack fail as calls to AWS do.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::byte_stream::ByteStream;
use http::StatusCode;
use livehooks::local::local_http_client;
use serde_json::Value;

/// How publishing one batch fails.
#[derive(Clone, Debug)]
pub enum PublishFault {
    /// SNS answers 500 and publishes nothing.
    Whole,
    /// SNS answers with this status and code, and publishes nothing.
    Rejected(u16, &'static str),
    /// SNS answers 200, but these entries failed: index, and whether by the sender's fault.
    Entries(Vec<(usize, bool)>),
    /// SNS answers 200, but does not publish or mention this entry.
    Silent(usize),
}

/// The faults to inject, and the messages sent to the quarantine queue.
#[derive(Debug, Default)]
pub struct Faults {
    /// Whether the table fails.
    pub reject_table: AtomicBool,
    /// Whether the fallback queue fails.
    pub reject_fallback: AtomicBool,
    /// Whether the quarantine queue fails.
    pub reject_quarantine: AtomicBool,
    /// Faults of the next batches, in order.
    pub publish: Mutex<Vec<PublishFault>>,
    /// The messages that the quarantine queue accepted.
    pub quarantined: Mutex<Vec<String>>,
}

impl Faults {
    /// A client with these faults.
    pub fn client(self: &Arc<Self>) -> SharedHttpClient {
        let (faults, inner) = (self.clone(), local_http_client());
        http_client_fn(move |settings, components| {
            let inner = inner.http_connector(settings, components);
            SharedHttpConnector::new(Faulty { inner, faults: faults.clone() })
        })
    }

    fn next_of_publish(&self) -> Option<PublishFault> {
        let mut faults = self.publish.lock().unwrap();
        (!faults.is_empty()).then(|| faults.remove(0))
    }
}

#[derive(Debug)]
struct Faulty {
    inner: SharedHttpConnector,
    faults: Arc<Faults>,
}

impl HttpConnector for Faulty {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        match target.split_once('.') {
            Some((service, _))
                if service.starts_with("DynamoDB_") && self.faults.reject_table.load(Ordering::SeqCst) =>
            {
                unavailable()
            }
            Some(("AmazonSQS", "SendMessage")) => self.send_message(request),
            None => self.publish(request),
            _ => self.inner.call(request),
        }
    }
}

impl Faulty {
    fn send_message(&self, request: HttpRequest) -> HttpConnectorFuture {
        let message: Value = serde_json::from_slice(body(&request)).unwrap();
        let queue = message["QueueUrl"].as_str().unwrap().rsplit('/').next().unwrap();
        match queue {
            "fallback" if self.faults.reject_fallback.load(Ordering::SeqCst) => return unavailable(),
            "quarantine" if self.faults.reject_quarantine.load(Ordering::SeqCst) => return unavailable(),
            "quarantine" => {
                let body = message["MessageBody"].as_str().unwrap().to_owned();
                self.faults.quarantined.lock().unwrap().push(body);
            }
            _ => {}
        }
        self.inner.call(request)
    }

    fn publish(&self, request: HttpRequest) -> HttpConnectorFuture {
        match self.faults.next_of_publish() {
            None => self.inner.call(request),
            Some(PublishFault::Whole) => unavailable(),
            Some(PublishFault::Rejected(status, code)) => answer(status, &error(code)),
            Some(PublishFault::Entries(failed)) => self.publish_rest(request, &failed, None),
            Some(PublishFault::Silent(entry)) => self.publish_rest(request, &[], Some(entry)),
        }
    }

    /// Publishes all entries but these, and adds the failed ones to the answer.
    fn publish_rest(
        &self,
        mut request: HttpRequest,
        failed: &[(usize, bool)],
        silent: Option<usize>,
    ) -> HttpConnectorFuture {
        const ENTRY: &str = "PublishBatchRequestEntries.member.";
        let form: Vec<(String, String)> = form_urlencoded::parse(body(&request)).into_owned().collect();
        let index = |name: &str| name.strip_prefix(ENTRY)?.split_once('.')?.0.parse::<usize>().ok();
        let is_left_out = |number: usize| {
            silent == Some(number - 1) || failed.iter().any(|(index, _)| *index == number - 1)
        };
        let numbers: BTreeSet<usize> = form.iter().filter_map(|(name, _)| index(name)).collect();
        let left: Vec<usize> = numbers.into_iter().filter(|number| !is_left_out(*number)).collect();
        let mut rest = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &form {
            let Some(number) = index(name) else {
                rest.append_pair(name, value);
                continue;
            };
            if let Some(position) = left.iter().position(|left| *left == number) {
                let field = name.strip_prefix(&format!("{ENTRY}{number}.")).unwrap();
                rest.append_pair(&format!("{ENTRY}{}.{field}", position + 1), value);
            }
        }
        let id = |index: usize| {
            let name = format!("{ENTRY}{}.Id", index + 1);
            &form.iter().find(|(found, _)| *found == name).unwrap().1
        };
        let failures: String = failed
            .iter()
            .map(|(index, sender_fault)| {
                let id = id(*index);
                format!(
                    "<member><Id>{id}</Id><Code>Failed</Code><SenderFault>{sender_fault}</SenderFault></member>"
                )
            })
            .collect();
        if left.is_empty() {
            return answer(200, &published(&failures));
        }
        let rest = rest.finish();
        request.headers_mut().insert("content-length", rest.len().to_string());
        *request.body_mut() = rest.into();
        let call = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let answer = call.await?;
            let status = answer.status();
            let body = ByteStream::new(answer.into_body()).collect().await;
            let body = body.map_err(|error| ConnectorError::other(error.into(), None))?.into_bytes();
            let text = String::from_utf8(body.to_vec()).unwrap();
            let text = text.replace("<Failed></Failed>", &format!("<Failed>{failures}</Failed>"));
            Ok(HttpResponse::new(status, text.into()))
        })
    }
}

fn body(request: &HttpRequest) -> &[u8] {
    request.body().bytes().expect("the functions send no streams")
}

fn unavailable() -> HttpConnectorFuture {
    answer(500, "")
}

fn answer(status: u16, text: &str) -> HttpConnectorFuture {
    let status = StatusCode::from_u16(status).unwrap().into();
    HttpConnectorFuture::ready(Ok(HttpResponse::new(status, text.to_owned().into())))
}

fn error(code: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>rejected</Message></Error></ErrorResponse>"
    )
}

/// SNS's answer to a batch of which nothing was published.
fn published(failures: &str) -> String {
    format!(
        "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
         <Successful></Successful><Failed>{failures}</Failed></PublishBatchResult></PublishBatchResponse>"
    )
}
