//! The HTTP client of all AWS clients: one connection pool, one TLS configuration.
//!
//! `aws-smithy-http-client` does the same and more (HTTP/2, proxies), but supports only the system's certificates or a
//! PEM file, not compiled-in ones. Reading the system's certificates doubles a cold start (docs/performance.md).

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector as Tcp};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};

/// How long a function waits for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(700);

/// Why the certificates in `AWS_CA_BUNDLE` cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum CaBundleError {
    #[error("AWS_CA_BUNDLE: expected a file with certificates in PEM, found: {0}")]
    Pem(#[from] pem::Error),
    #[error("AWS_CA_BUNDLE: expected certificates of certificate authorities, found: {0}")]
    Certificate(#[from] rustls::Error),
    #[error("AWS_CA_BUNDLE: expected certificates, found none")]
    Empty,
}

/// A client that trusts these certificate authorities.
pub fn client(roots: RootCertStore, connect_timeout: Duration) -> SharedHttpClient {
    let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let mut tcp = Tcp::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    let pool =
        Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(https.wrap_connector(tcp));
    let connector = SharedHttpConnector::new(Https(pool));
    http_client_fn(move |_, _| connector.clone())
}

/// Mozilla's certificate authorities, compiled in.
pub fn mozilla() -> RootCertStore {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
}

/// The certificate authorities in a PEM file.
///
/// # Errors
/// Says what is wrong with the file.
pub fn ca_bundle(file: &Path) -> Result<RootCertStore, CaBundleError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.add(certificate?)?;
    }
    if roots.is_empty() { Err(CaBundleError::Empty) } else { Ok(roots) }
}

#[derive(Debug)]
struct Https(Client<HttpsConnector<Tcp>, SdkBody>);

impl HttpConnector for Https {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        let response = self.0.request(request);
        HttpConnectorFuture::new(async {
            let response = response.await.map_err(connector_error)?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Classifies errors: those of the connection are worth a retry.
fn connector_error(error: hyper_util::client::legacy::Error) -> ConnectorError {
    let hyper = source::<hyper::Error>(&error);
    if error.is_connect()
        || hyper.is_some_and(|hyper| hyper.is_closed() || hyper.is_canceled())
        || source::<std::io::Error>(&error).is_some()
    {
        ConnectorError::io(error.into())
    } else if hyper.is_some_and(hyper::Error::is_incomplete_message) {
        ConnectorError::other(error.into(), Some(ErrorKind::TransientError))
    } else if hyper.is_some_and(hyper::Error::is_user) {
        ConnectorError::user(error.into())
    } else {
        ConnectorError::other(error.into(), None)
    }
}

fn source<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}
