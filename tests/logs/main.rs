//! Searches the functions' logs and metrics for secrets, credentials and bodies.
//!
//! This program starts itself a second time. The second process is a function with telemetry at its most verbose: it
//! handles and publishes valid, broken and hostile input, and writes down what it was given.

#[allow(dead_code, reason = "this test uses less of it than tests/stack")]
#[path = "../common/faulty_client.rs"]
mod faulty_client;
#[allow(dead_code, reason = "this test uses less of it than tests/stack")]
#[path = "../common/fixture.rs"]
mod fixture;
#[allow(dead_code, reason = "this test uses less of it than tests/stack")]
#[path = "../stack/harness.rs"]
mod harness;
#[allow(dead_code, reason = "this test uses less of it than tests/stack")]
#[path = "../common/schema.rs"]
mod schema;

mod deliveries;
mod faults;
mod lines;
mod notes;
mod notifier;

use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};
use livehooks_aws::telemetry;
use notes::Notes;

/// Names the file for the function's notes.
const NOTES: &str = "LIVEHOOKS_TEST_NOTES";

fn main() {
    if let Some(file) = std::env::var_os(NOTES) {
        return function(file.as_ref());
    }
    let arguments = Arguments::from_args();
    let trial =
        Trial::test("every_line_is_structured_and_no_secret_or_body_reaches_the_log_or_the_metrics", search);
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

fn function(notes: &std::path::Path) {
    let telemetry = telemetry::init().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut seen = Notes::default();
    runtime.block_on(async {
        deliveries::fixtures(&mut seen).await;
        deliveries::samples(&mut seen).await;
        faults::all(&mut seen).await;
        notifier::all(&mut seen).await;
    });
    telemetry.flush();
    seen.write(notes);
}

fn search() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let notes = folder.path().join("notes.json");
    let function = Command::new(std::env::current_exe()?)
        .env(NOTES, &notes)
        .env("LOG_LEVEL", "TRACE")
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full")
        .output()?;
    let log = String::from_utf8(function.stdout)? + &String::from_utf8(function.stderr)?;
    if !function.status.success() {
        return Err(format!("the function failed:\n{log}").into());
    }
    let notes = Notes::read(&notes);
    for expected in &notes.expected {
        assert!(log.contains(expected), "the log does not contain {expected}: the search is incomplete");
    }
    assert!(notes.forbidden.len() > 1_000 && log.lines().count() > 500, "{} lines", log.lines().count());
    log.lines().for_each(lines::check);
    let mut found = notes.found_in(&log);
    let has_query = |line: &&str| line.split("http").skip(1).any(is_url_with_query);
    found.extend(log.lines().filter(has_query).map(|line| format!("a URL with a query in {line}")));
    if found.is_empty() { Ok(()) } else { Err(found.join("\n").into()) }
}

/// Whether the text after `http` is the rest of a URL with a query.
fn is_url_with_query(url: &str) -> bool {
    let url =
        url.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\\' | '<')).next().unwrap_or_default();
    url.trim_start_matches('s').starts_with("://") && url.contains('?')
}
