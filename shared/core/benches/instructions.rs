//! Counts instructions under valgrind and compares them with `instructions.txt`, which is checked in. Unlike
//! times, counts do not depend on load. A count more than 5 % above the one checked in is a failure.
//!
//! ```text
//! cargo bench -p livehooks-core --bench instructions                    compare
//! UPDATE_EXPECT=1 cargo bench -p livehooks-core --bench instructions    rewrite the file
//! cargo bench -p livehooks-core --bench instructions -- --slower        verify twice, which must fail
//! ```
//!
//! valgrind runs this program with few and with many rounds of each case. The difference, divided by the number of
//! additional rounds, is the cost of one round.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up must stop")]
#![allow(clippy::print_stdout, reason = "the report goes to standard output")]
#![allow(clippy::disallowed_methods, reason = "a benchmark is not the core")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use common::{Case, JOINED, baseline};
use livehooks_core::livekit::LiveKit;
use livehooks_core::{PROVIDER_NAMES, Provider, for_each_provider};
use livehooks_signing::Signer;

const TOLERANCE: f64 = 0.05;
const SIGNED_WITH_RSA: [&str; 2] = ["realtimekit", "videosdk"];
const STEPS: [&str; 3] = ["verify", "normalize", "serialize"];
const SIZES: [(&str, usize); 3] = [("0.5kB", 500), ("5kB", 5_000), ("100kB", 100_000)];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments[..] {
        [flag, case, rounds, slower] if flag == "--run" => {
            run(case, rounds.parse().unwrap(), slower == "true");
            ExitCode::SUCCESS
        }
        [] => compare(false),
        [flag] if flag == "--slower" => compare(true),
        // `cargo test --all-targets` runs benchmarks too, to check that they still work.
        [flag] if flag == "--test" => {
            cases().iter().for_each(|case| run(case, 1, false));
            ExitCode::SUCCESS
        }
        other => panic!("expected no argument or --slower, found {other:?}"),
    }
}

fn cases() -> Vec<String> {
    let mut cases =
        vec!["baseline/695B".to_owned(), "livekit/complete/695B".into(), "livekit/complete/1MiB".into()];
    for provider in PROVIDER_NAMES {
        for (size, _) in SIZES {
            cases.extend(STEPS.iter().map(|step| format!("{provider}/{step}/{size}")));
        }
    }
    cases
}

fn run(case: &str, rounds: u64, slower: bool) {
    match case.split('/').collect::<Vec<_>>()[..] {
        ["baseline", _] => repeat(rounds, || baseline(JOINED.as_bytes())),
        ["livekit", "complete", size] => {
            let case = match size {
                "695B" => Case::<LiveKit>::signed(JOINED),
                _ => Case::<LiveKit>::padded((1 << 20) - 200),
            };
            repeat(rounds, || {
                if slower {
                    black_box(case.verify());
                }
                case.process()
            });
        }
        [provider, step, size] => {
            for_each_provider!(P => {
                if P::NAME == provider {
                    run_step::<P>(step, size, rounds);
                }
            });
        }
        _ => panic!("expected a case, found {case}"),
    }
}

fn run_step<P: Signer>(step: &str, size: &str, rounds: u64) {
    let bytes = SIZES.iter().find(|(name, _)| *name == size).unwrap().1;
    let case = Case::<P>::padded(bytes);
    let verified = case.verify();
    let mut event = case.normalize(&verified);
    match step {
        "verify" => repeat(rounds, || case.verify()),
        "normalize" => repeat(rounds, || case.normalize(&verified)),
        _ => repeat(rounds, || event.to_json(0)),
    }
}

fn repeat<T>(rounds: u64, mut round: impl FnMut() -> T) {
    for _ in 0..rounds {
        black_box(round());
    }
}

fn compare(slower: bool) -> ExitCode {
    let expected = read();
    let (mut report, mut failed) = (String::new(), false);
    println!("{:<28} {:>12} {:>12}", "instructions per round", "now", "checked in");
    for case in cases().into_iter().filter(|case| !slower || case.contains("complete")) {
        let [few, many] = if case.ends_with("100kB") || case.ends_with("1MiB") { [2, 12] } else { [20, 120] };
        // An RSA signature takes a random number of instructions; more rounds average it out.
        let is_averaged =
            SIGNED_WITH_RSA.iter().any(|name| case.starts_with(name)) && !case.contains("verify");
        let rounds = [few, if is_averaged { 10 * many } else { many }];
        let [few, many] = rounds.map(|rounds| count(&case, rounds, slower));
        let found = (many - few) / (rounds[1] - rounds[0]);
        writeln!(report, "{case:<28} {found}").unwrap();
        let Some(before) = expected.get(&case) else {
            failed = true;
            println!("{case:<28} {found:>12} {:>12}", "none");
            continue;
        };
        let change = found as f64 / *before as f64 - 1.0;
        let note = match change {
            change if change > TOLERANCE => {
                failed = true;
                "  SLOWER"
            }
            change if change < -TOLERANCE => "  faster: update the file",
            _ => "",
        };
        println!("{case:<28} {found:>12} {before:>12} {:>+7.1} %{note}", change * 100.0);
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let head = format!("# Instructions per round, compiled by {}; see instructions.rs.\n", compiler());
        std::fs::write(file(), head + &report).unwrap();
        return ExitCode::SUCCESS;
    }
    if failed {
        println!("\nDid another compiler produce the counts? The file names it; this one is {}.", compiler());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// How many instructions one run of this program takes.
fn count(case: &str, rounds: u64, slower: bool) -> u64 {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["--run", case, &rounds.to_string(), &slower.to_string()])
        .output()
        .expect("valgrind is installed");
    let log = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{log}");
    let collected = log.split("Collected : ").nth(1).and_then(|rest| rest.lines().next());
    collected.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("no count in: {log}"))
}

fn read() -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(file()).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let count = |line: &str| {
        let (case, count) = line.split_once(' ')?;
        Some((case.to_owned(), count.trim().parse().ok()?))
    };
    lines.filter_map(count).collect()
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt")
}

fn compiler() -> String {
    let version = Command::new("rustc").arg("--version").output().unwrap();
    String::from_utf8_lossy(&version.stdout).trim().to_owned()
}
