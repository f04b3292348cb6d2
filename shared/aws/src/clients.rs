//! The AWS clients of a function: endpoints, credentials and timeouts. Timeouts are short, because a sender that waits
//! for the response gives up after a few seconds.

use std::path::Path;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_types::SdkConfig;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use rustls::RootCertStore;

use crate::config::env;
use crate::http_client::{self, CaBundleError};

/// The configuration of every client in a function, from the variables that Lambda sets and those that redirect a
/// client: `AWS_ENDPOINT_URL`, its variants per service, and `AWS_CA_BUNDLE`. Reads no files but that bundle, and calls
/// no service.
///
/// # Errors
/// If `AWS_CA_BUNDLE` names a file without usable certificates.
pub fn from_env() -> Result<SdkConfig, CaBundleError> {
    let roots = roots()?;
    let credentials = Credentials::new(
        set("AWS_ACCESS_KEY_ID").unwrap_or_default(),
        set("AWS_SECRET_ACCESS_KEY").unwrap_or_default(),
        set("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    let mut config = base(roots)
        .region(set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")).map(Region::new))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .service_config(PerService)
        .use_fips(is_true("AWS_USE_FIPS_ENDPOINT"))
        .use_dual_stack(is_true("AWS_USE_DUALSTACK_ENDPOINT"))
        .timeout_config(timeouts());
    config.set_endpoint_url(set("AWS_ENDPOINT_URL"));
    Ok(config.build())
}

/// The certificate authorities in `AWS_CA_BUNDLE`, or Mozilla's.
///
/// # Errors
/// If `AWS_CA_BUNDLE` names a file without usable certificates.
pub fn roots() -> Result<RootCertStore, CaBundleError> {
    match set("AWS_CA_BUNDLE") {
        Some(file) => http_client::ca_bundle(Path::new(&file)),
        None => Ok(http_client::mozilla()),
    }
}

/// The common base of every configuration: retries, and the HTTP client that all AWS clients share.
pub fn base(roots: RootCertStore) -> aws_types::sdk_config::Builder {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http_client::client(roots, http_client::CONNECT_TIMEOUT))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .retry_config(retries())
}

/// A call, retries included, takes at most 2.2 s. Connecting takes at most 700 ms.
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_millis(1_000))
        .operation_timeout(Duration::from_millis(2_200))
        .build()
}

/// Three attempts, with short delays.
pub fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(50))
        .with_max_backoff(Duration::from_millis(400))
}

/// Settings for one service, such as `AWS_ENDPOINT_URL_DYNAMODB`.
#[derive(Debug)]
struct PerService;

impl LoadServiceConfig for PerService {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace(' ', "_");
        set(&format!("{}_{service}", key.env()))
    }
}

fn is_true(name: &str) -> bool {
    set(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// The variable, if it is not empty: `sam local` sets unknown variables to the empty string.
fn set(name: &str) -> Option<String> {
    env(name).filter(|value| !value.trim().is_empty())
}
