//! Checks the files for `sam local invoke` in events/.

use std::fs;
use std::path::{Path, PathBuf};

use aws_lambda_events::event::dynamodb::Event;
use livehooks::dev::Database;
use livehooks::local::{LOCAL_TIMEOUT, local_sdk_config};
use livehooks_aws::config::{IngestConfig, NotifyConfig};
use livehooks_aws::{Ingest, Notifier};
use livehooks_core::for_each_provider;
use livehooks_signing::Signer;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::harness::Local;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events")
}

fn read<T: DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The variables that `env.json` sets for a function.
fn environment(function: &str) -> impl Fn(&str) -> Option<String> {
    let variables = read::<Value>(&root().join("env.json"))[function].clone();
    move |name| variables[name].as_str().map(str::to_owned)
}

async fn check<P: Signer>() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sdk = local_sdk_config(listener.local_addr().unwrap());
    tokio::spawn(Database::open(None).unwrap().serve(listener));
    let config =
        IngestConfig { deadline: LOCAL_TIMEOUT, ..IngestConfig::read(environment(P::FUNCTION)).unwrap() };
    let ingest = Ingest::<P>::new(config, &sdk);
    let mut files: Vec<PathBuf> =
        fs::read_dir(root().join(P::NAME)).unwrap().map(|entry| entry.unwrap().path()).collect();
    // Send the duplicate after the event that it repeats.
    files.sort_by_key(|file| (file.ends_with("duplicate.json"), file.clone()));
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let response = ingest.handle_event(&fs::read_to_string(&file).unwrap()).await;
        let status = response.status().as_u16();
        let lambda_http::Body::Text(body) = response.into_body() else {
            panic!("expected an answer of text")
        };
        let body: Value = serde_json::from_str(&body).unwrap();
        let expected = match name.as_str() {
            "tampered" | "expired" => (401, None),
            "duplicate" => (200, Some("duplicate")),
            _ => (200, Some("accepted")),
        };
        let result = body["status"].as_str();
        assert_eq!((status, result), expected, "{}/{name}.json: {body}", P::NAME);
    }
}

#[tokio::test]
async fn each_file_has_the_result_that_its_name_says() {
    for_each_provider!(P => check::<P>().await);
}

#[tokio::test]
async fn the_stream_batch_is_published() {
    let local = Local::start().await;
    let mut config = NotifyConfig::read(environment("NotifyFunction")).unwrap();
    config.quarantine_queue_url = format!("http://{}/000000000000/quarantine", local.stack.aws);
    let notifier = Notifier::new(config, &local_sdk_config(local.stack.aws));
    let event: Event = read(&root().join("notify/stream.json"));
    assert!(notifier.handle(&event).await.batch_item_failures.is_empty());
    assert_eq!(local.notifications(event.records.len()).await.len(), event.records.len());
}
