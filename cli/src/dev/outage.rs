//! The handlers' connection to the local AWS, in which tests can inject outages.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_types::SdkConfig;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use livehooks_aws::http_client;

use super::{Faults, Outage};
use crate::local::{LOCAL_TIMEOUT, local_sdk_config};

/// SDK configuration for the table at `dynamodb`, subject to `faults`, and the queue at `sqs`.
pub(super) fn sdk_config(dynamodb: SocketAddr, sqs: SocketAddr, faults: Arc<Faults>) -> SdkConfig {
    let client = http_client::client(http_client::mozilla(), LOCAL_TIMEOUT);
    local_sdk_config(dynamodb)
        .to_builder()
        .service_config(SqsAt(sqs))
        .http_client(SharedHttpClient::new(FaultyLink { inner: client, faults }))
        .build()
}

#[derive(Debug)]
struct SqsAt(SocketAddr);

impl LoadServiceConfig for SqsAt {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        (key.service_id() == "SQS").then(|| format!("http://{}", self.0))
    }
}

#[derive(Debug)]
struct FaultyLink<C> {
    inner: C,
    faults: Arc<Faults>,
}

impl HttpClient for FaultyLink<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(FaultyLink { inner, faults: self.faults.clone() })
    }
}

impl HttpConnector for FaultyLink<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let outage = if target.starts_with("DynamoDB_") { self.faults.table_outage() } else { None };
        match outage {
            None => self.inner.call(request),
            Some(Outage::Rejects) => {
                let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR.into();
                HttpConnectorFuture::ready(Ok(HttpResponse::new(status, "".into())))
            }
            Some(Outage::Hangs) => HttpConnectorFuture::new(std::future::pending()),
        }
    }
}
