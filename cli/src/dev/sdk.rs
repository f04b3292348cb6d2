//! SDK configuration for the functions in the local stack.

use std::net::SocketAddr;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::SdkConfig;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::local::local_sdk_config;

/// SDK configuration for the table at `dynamodb`, and SNS and SQS at `aws`. All requests go through `http_client`.
pub(super) fn sdk_config(dynamodb: SocketAddr, aws: SocketAddr, http_client: SharedHttpClient) -> SdkConfig {
    let config = local_sdk_config(dynamodb).to_builder();
    config.service_config(SnsAndSqsAt(aws)).http_client(http_client).build()
}

#[derive(Debug)]
struct SnsAndSqsAt(SocketAddr);

impl LoadServiceConfig for SnsAndSqsAt {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        matches!(key.service_id(), "SNS" | "SQS").then(|| format!("http://{}", self.0))
    }
}
