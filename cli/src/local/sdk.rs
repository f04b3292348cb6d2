//! How clients reach the local stack.

use std::net::SocketAddr;
use std::time::Duration;

use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use aws_types::SdkConfig;
use livehooks_aws::{clients, http_client};

/// On a laptop that is busy compiling a sender has to wait, and does. A table that rejects does not make it wait.
pub const LOCAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Clients of what listens at `endpoint`, with credentials that no AWS would take.
pub fn local_sdk_config(endpoint: SocketAddr) -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "livehooks");
    clients::base(http_client::mozilla())
        .http_client(http_client::client(http_client::mozilla(), LOCAL_TIMEOUT))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .region(Region::from_static("us-east-1"))
        .endpoint_url(format!("http://{endpoint}"))
        .timeout_config(TimeoutConfig::builder().operation_timeout(LOCAL_TIMEOUT).build())
        .build()
}
