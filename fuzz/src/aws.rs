//! A fake AWS that accepts every call and records it.

use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;

/// The bodies of the calls since the last [`Calls::take`].
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<Vec<Vec<u8>>>>);

impl Calls {
    pub fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0.lock().expect("nobody panicked"))
    }
}

impl HttpClient for Calls {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Calls {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().expect("the body is in memory").to_vec();
        let is_json = request.headers().get("x-amz-target").is_some();
        let response = if is_json { "{}".to_owned() } else { published(&body) };
        self.0.lock().expect("nobody panicked").push(body);
        let ok = 200.try_into().expect("a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(ok, SdkBody::from(response))))
    }
}

/// A configuration whose clients call nothing outside this process.
pub fn sdk(calls: Calls) -> SdkConfig {
    let credentials = Credentials::new("a", "b", None, None, "fuzz");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .region(Region::from_static("us-east-1"))
        .endpoint_url("http://127.0.0.1:1")
        .http_client(calls)
        .build()
}

/// SNS's response to `PublishBatch`: every entry was accepted.
fn published(form: &[u8]) -> String {
    let fields = form_urlencoded::parse(form);
    let ids =
        fields.filter(|(name, _)| name.starts_with("PublishBatchRequestEntries.") && name.ends_with(".Id"));
    let member = |(_, id)| format!("<member><Id>{id}</Id><MessageId>1</MessageId></member>");
    let members: String = ids.map(member).collect();
    format!(
        "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
         <Successful>{members}</Successful></PublishBatchResult></PublishBatchResponse>"
    )
}
