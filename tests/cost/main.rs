//! Checks the numbers in `docs/cost.md`: the write units, read units and log bytes of events, and their sum.
//!
//! This program starts itself a second time. The second process is ingest and notify with their telemetry: it handles
//! samples of every provider, and describes each item before the lines that the functions log about it.

#[allow(dead_code, reason = "this test uses less of it than tests/stack")]
#[path = "../common/faulty_client.rs"]
mod faulty_client;
#[allow(dead_code, reason = "this test uses less of it than tests/stack")]
#[path = "../stack/harness.rs"]
mod harness;
#[allow(dead_code, reason = "this test uses less of it than tests/stack")]
#[path = "../common/schema.rs"]
mod schema;

mod events;
mod table;

use std::collections::BTreeMap;
use std::process::Command;

use events::Event;
use libtest_mimic::{Arguments, Trial};

/// Set for the second process.
const FUNCTION: &str = "LIVEHOOKS_TEST_FUNCTION";
/// Bodies of these sizes are in the table.
const BODY_BYTES: [usize; 2] = [1_000, 3_000];
/// CloudWatch adds this to each line.
const LINE_BYTES: usize = 26;
/// DynamoDB adds this to each item and each entry of an index that it stores.
const INDEXING_BYTES: usize = 100;

fn main() {
    if std::env::var_os(FUNCTION).is_some() {
        return events::print();
    }
    let arguments = Arguments::from_args();
    let trial = Trial::test("docs_cost_md_is_what_events_of_every_provider_cost", || {
        check(&measure());
        Ok(())
    });
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

/// Each event with the log lines about it.
fn measure() -> Vec<(Event, Vec<String>)> {
    let function = Command::new(std::env::current_exe().unwrap())
        .env(FUNCTION, "1")
        .env("LOG_LEVEL", "INFO")
        .env("METRICS_NAMESPACE", "livehooks/live")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&function.stderr);
    assert!(function.status.success(), "the function failed:\n{errors}");
    let (mut events, mut lines) = (Vec::new(), Vec::new());
    for line in String::from_utf8(function.stdout).unwrap().lines() {
        match line.strip_prefix(events::MARK) {
            None => lines.push(line.to_owned()),
            Some(event) => {
                let event: Option<Event> = serde_json::from_str(event).unwrap();
                events.extend(event.map(|event| (event, std::mem::take(&mut lines))));
                lines.clear();
            }
        }
    }
    events
}

fn check(events: &[(Event, Vec<String>)]) {
    let rows = table::rows();
    check_sums(&rows);
    let row = |start: &str| rows.iter().find(|row| row.what.starts_with(start)).unwrap();
    let mut usages: BTreeMap<(&str, usize), Vec<Usage>> = BTreeMap::new();
    for (event, lines) in events {
        let name = format!("{} {}", event.provider, event.sample);
        assert_eq!(lines.len(), 2, "{name}: one line of ingest and one of notify, not {lines:#?}");
        let operations = if event.items_read.is_empty() { &["PutItem"][..] } else { &["Query", "PutItem"] };
        assert_eq!(event.operations, operations, "{name}");
        let column = BODY_BYTES.iter().position(|bytes| *bytes == event.body_bytes).unwrap();
        usages.entry((&event.provider, column)).or_default().push(Usage::of(event, lines));
    }
    for ((provider, column), usages) in &usages {
        let body_bytes = BODY_BYTES[*column];
        let most = |part: fn(&Usage) -> usize| usages.iter().map(part).max().unwrap() as f64;
        let mean = |part: fn(&Usage) -> usize| usages.iter().map(part).sum::<usize>() / usages.len();
        println!(
            "{provider:11} {body_bytes} {:3} samples, mean: item {} B, rooms {} B, by_time {} B, logs {} B",
            usages.len(),
            mean(|usage| usage.bytes[0]),
            mean(|usage| usage.bytes[1]),
            mean(|usage| usage.bytes[2]),
            mean(|usage| usage.log_bytes),
        );
        for (what, units) in [
            ("DynamoDB, table", most(|usage| units(usage.bytes[0]))),
            ("DynamoDB, index `rooms`", most(|usage| units(usage.bytes[1]))),
            ("DynamoDB, index `by_time`", most(|usage| units(usage.bytes[2]))),
            ("DynamoDB, reading the sequence", most(|usage| usage.read_units)),
        ] {
            let documented = row(what).amount(*column);
            assert!(
                units <= documented,
                "{provider}, {body_bytes} bytes: {what}: {units} units, {documented} M"
            );
        }
        let documented = row("CloudWatch Logs").amount(*column);
        let logged = mean(|usage| usage.log_bytes) as f64 / 1e3;
        assert!(logged <= documented, "{provider}, {body_bytes} bytes: {logged} GB of logs, {documented} GB");
        for (what, indexes) in [("DynamoDB, storage", 3), ("DynamoDB, point-in-time recovery", 1)] {
            let stored = usages.iter().flat_map(|usage| &usage.bytes[..indexes]);
            let stored =
                stored.map(|bytes| if *bytes > 0 { bytes + INDEXING_BYTES } else { 0 }).sum::<usize>();
            let stored = (stored / usages.len()) as f64 / 1e3;
            let documented = row(what).amount(*column);
            assert!(
                stored <= documented,
                "{provider}, {body_bytes} bytes: {what}: {stored} GB, {documented} GB"
            );
        }
    }
}

/// Checks that costs are amounts times prices, that the sums are right, and that the first is not too high.
fn check_sums(rows: &[table::Row]) {
    for (column, most) in [5.50, 7.00].into_iter().enumerate() {
        let (mut sum, mut sums) = (0.0, Vec::new());
        for row in rows {
            let cost = row.costs[column];
            if row.is_sum() {
                assert!((cost - sum).abs() < 0.001, "expected {sum:.2} in {row:?}");
                sums.push(sum);
                continue;
            }
            sum += cost;
            if let Some(price) = row.price_per_unit() {
                let expected = price * row.amount(column);
                assert!(
                    (cost - expected).abs() < 0.0051,
                    "expected {expected:.3} in column {column} of {row:?}"
                );
            }
        }
        assert!(sums[0] <= most, "{:.2} dollars, expected at most {most:.2}", sums[0]);
    }
}

/// What one event causes.
struct Usage {
    /// The sizes of the item and its entries in `rooms` and `by_time`.
    bytes: [usize; 3],
    read_units: usize,
    log_bytes: usize,
}

impl Usage {
    fn of(event: &Event, lines: &[String]) -> Self {
        let access_log = table::access_log_bytes(&event.provider);
        let lines = lines.iter().map(String::len).chain([access_log]);
        let read = event.items_read.iter().map(|items| (items * event.item_bytes).div_ceil(4 * 1024).max(1));
        Self {
            bytes: [event.item_bytes, event.rooms_entry_bytes.unwrap_or(0), event.by_time_entry_bytes],
            read_units: read.sum(),
            log_bytes: lines.map(|bytes| bytes + LINE_BYTES).sum(),
        }
    }
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}
