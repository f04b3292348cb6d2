//! SDK configuration for the local stack.

use std::net::SocketAddr;
use std::time::Duration;

use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::SdkConfig;
use livehooks_aws::{clients, http_client};

/// Generous, because the laptop may be busy compiling. A table that fails at once does not wait for it.
pub const LOCAL_TIMEOUT: Duration = Duration::from_secs(30);

/// An HTTP client for the local stack.
pub fn local_http_client() -> SharedHttpClient {
    http_client::client(http_client::mozilla(), LOCAL_TIMEOUT)
}

/// Configuration for clients of `endpoint`, with dummy credentials.
pub fn local_sdk_config(endpoint: SocketAddr) -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "livehooks");
    clients::base(http_client::mozilla())
        .http_client(local_http_client())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .region(Region::from_static("us-east-1"))
        .endpoint_url(format!("http://{endpoint}"))
        .timeout_config(TimeoutConfig::builder().operation_timeout(LOCAL_TIMEOUT).build())
        .build()
}
