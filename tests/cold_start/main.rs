//! Measures the functions' real binaries under a fake Lambda, next to a baseline that only makes one put.
//!
//! ```text
//! cargo build --release -p livekit -p notify
//! cargo build --release -p livehooks-tests --example baseline
//! cargo bench -p livehooks-tests --bench cold_start [-- FOLDER]    the binaries' folder, by default target/release
//! ```
//!
//! init: from process start until it asks for its first event; first: from sending the first event to its answer;
//! warm: the same for later events; peak: peak resident memory. The embedded DynamoDB answers on loopback.

#[path = "../common/lambda.rs"]
mod lambda;
mod notify;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use lambda::Function;
use livehooks::dev::Database;
use livehooks::envelope::Delivered;
use livehooks::keys_file::KeysFile;
use livehooks_signing::{ProviderInfo, SampleValues};
use tokio::net::TcpListener;

const COLD_STARTS: usize = 20;
const WARM_EVENTS: usize = 200;

fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let baseline = beside_this("examples/baseline");
    let functions = folder.map_or_else(|| beside_this(""), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        ingest(&baseline, &functions.join("livekit")).await;
        notify::measure(&functions.join("notify")).await;
    });
}

/// A path in cargo's output folder. This program is in its `deps`.
fn beside_this(path: &str) -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join(path)
}

#[derive(Default)]
struct Figures {
    init: Vec<f64>,
    first: Vec<f64>,
    warm: Vec<f64>,
    peak: Vec<f64>,
    log_bytes: usize,
}

async fn ingest(baseline: &Path, livekit: &Path) {
    let keys = KeysFile::make();
    let sender = ProviderInfo::named("livekit").unwrap();
    let secret = keys.secret(sender).to_string();
    let mut found = [Figures::default(), Figures::default()];
    // Alternate, so that other load on the machine affects both.
    for round in 0..COLD_STARTS {
        for (figures, binary) in found.iter_mut().zip([baseline, livekit]) {
            // A new database each time: it gets slower with every stored event.
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let endpoint = format!("http://{}", listener.local_addr().unwrap());
            let database = tokio::spawn(Database::open(None).unwrap().serve(listener));
            let variables = [
                ("AWS_ENDPOINT_URL", endpoint.as_str()),
                ("TABLE_NAME", "Events"),
                ("PROVIDER_SECRET", &secret),
            ];
            let mut function = Function::start(binary, &variables).await;
            figures.init.push(ms(function.ready().await));
            for index in 0..=WARM_EVENTS {
                let (answer, took) =
                    function.invoke(delivery(sender, &keys, &format!("{round}-{index}"))).await;
                assert_eq!(answer["statusCode"], 200, "{answer}");
                if index == 0 { &mut figures.first } else { &mut figures.warm }.push(ms(took));
            }
            figures.peak.push(peak_mib(&function));
            figures.log_bytes = function.stop().await.len() / (WARM_EVENTS + 1);
            database.abort();
        }
    }
    println!("{COLD_STARTS} cold starts with {WARM_EVENTS} warm events each, one put per event");
    for (name, figures) in ["baseline", "livekit"].iter().zip(&mut found) {
        spread(name, "init ms", &mut figures.init);
        spread(name, "first ms", &mut figures.first);
        spread(name, "warm ms", &mut figures.warm);
        spread(name, "peak MiB", &mut figures.peak);
    }
    let [baseline, livekit] = &found;
    println!("log and metrics per event: {} bytes", livekit.log_bytes);
    println!("warm p50, livekit to baseline: {:.2}", median(&livekit.warm) / median(&baseline.warm));
}

fn delivery(sender: &ProviderInfo, keys: &KeysFile, id: &str) -> String {
    let now = Timestamp::now();
    let values = SampleValues {
        room: "Demo Room".into(),
        session: "RM_hycBMAjmt6Ub".into(),
        ..SampleValues::of(id, now)
    };
    let samples = sender.samples();
    let sample = samples.iter().find(|sample| sample.name == "participant_joined").unwrap();
    let body = sample.body(&values);
    let signed = (sender.sign)(keys.signing(sender).unwrap(), body.as_bytes(), now.into()).unwrap();
    let delivered = Delivered {
        path: "/webhooks/livekit",
        url_token: None,
        headers: &signed.headers,
        body: body.as_bytes(),
        base64: false,
        received_at: now,
    };
    delivered.http_api().to_string()
}

fn peak_mib(function: &Function) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", function.process.id().unwrap())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Expects sorted figures.
fn median(figures: &[f64]) -> f64 {
    figures[figures.len() / 2]
}

fn spread(name: &str, what: &str, figures: &mut [f64]) {
    figures.sort_by(f64::total_cmp);
    let (count, last) = (figures.len(), figures.len() - 1);
    let p99 = figures[(count * 99 / 100).min(last)];
    println!(
        "{name:<8} {what:<9} n={count:<5} min {:8.2}  p50 {:8.2}  p99 {p99:8.2}  max {:8.2}",
        figures[0],
        median(figures),
        figures[last]
    );
}
