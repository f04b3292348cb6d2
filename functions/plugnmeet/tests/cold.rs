//! Cold start: the connections are open before the first event arrives.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

#[path = "../../../tests/common/lambda.rs"]
mod lambda;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use axum::{Json, Router};
use lambda::Function;
use livehooks::dev::Database;
use rcgen::{CertifiedKey, KeyPair};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Terminates TLS in front of a plain-text service, and counts the handshakes.
struct Tls {
    url: String,
    handshakes: Arc<AtomicUsize>,
}

impl Tls {
    async fn in_front_of(service: SocketAddr, certificate: &CertifiedKey<KeyPair>) -> Self {
        let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.cert.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let handshakes = Arc::new(AtomicUsize::new(0));
        let counter = handshakes.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, counter) = (acceptor.clone(), counter.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    counter.fetch_add(1, SeqCst);
                    let mut plain = TcpStream::connect(service).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
                });
            }
        });
        Self { url, handshakes }
    }
}

/// DynamoDB and Secrets Manager behind TLS, and a file with their common certificate.
struct Aws {
    table: Tls,
    secrets: Tls,
    certificate: tempfile::NamedTempFile,
}

impl Aws {
    async fn start() -> Self {
        let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let table = Tls::in_front_of(database.local_addr().unwrap(), &certificate).await;
        tokio::spawn(Database::open(None).unwrap().serve(database));

        let secret = event("env.json")["PlugnmeetFunction"]["PROVIDER_SECRET"].clone();
        let manager = Router::new().fallback(async move || Json(json!({ "SecretString": secret })));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let secrets = Tls::in_front_of(listener.local_addr().unwrap(), &certificate).await;
        tokio::spawn(axum::serve(listener, manager).into_future());

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), certificate.cert.pem()).unwrap();
        Self { table, secrets, certificate: file }
    }

    async fn function(&self, others: &[(&str, &str)]) -> Function {
        let variables = [
            ("AWS_ENDPOINT_URL_DYNAMODB", self.table.url.as_str()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &self.secrets.url),
            ("TABLE_NAME", "Events"),
            ("PROVIDER_SECRET_ID", "keys"),
        ];
        Function::start(Path::new(env!("CARGO_BIN_EXE_plugnmeet")), &[&variables, others].concat()).await
    }

    fn handshakes(&self) -> [usize; 2] {
        [&self.table, &self.secrets].map(|tls| tls.handshakes.load(SeqCst))
    }
}

fn event(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(name);
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_finds_every_connection_open() {
    let aws = Aws::start().await;
    let bundle = aws.certificate.path().to_str().unwrap();
    let mut function = aws.function(&[("AWS_CA_BUNDLE", bundle)]).await;
    function.ready().await;
    assert_eq!(aws.handshakes(), [1, 1], "one for the table and one for the keys, before the first event");

    for expected in ["accepted", "duplicate"] {
        let (answer, _) = function.invoke(event("plugnmeet/participant.json").to_string()).await;
        assert!(answer["body"].as_str().unwrap().contains(expected), "{answer}");
    }
    assert_eq!(aws.handshakes(), [1, 1], "no event causes a handshake");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_an_untrusted_certificate_gets_no_event() {
    let aws = Aws::start().await;
    let secret = event("env.json")["PlugnmeetFunction"]["PROVIDER_SECRET"].as_str().unwrap().to_owned();
    let others = [("PROVIDER_SECRET_ID", ""), ("PROVIDER_SECRET", &secret)];
    let mut function = aws.function(&others).await;
    let (answer, _) = function.invoke(event("plugnmeet/participant.json").to_string()).await;
    assert_eq!(answer["statusCode"], 503);
    assert_eq!(aws.handshakes(), [0, 0]);
    let log = function.stop().await;
    assert!(log.contains("UnknownIssuer"), "{log}");
}
