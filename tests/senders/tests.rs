//! Runs the simulated senders against the local stack.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use livehooks::keys_file::KeysFile;
use livehooks_core::PROVIDER_NAMES;

use crate::burst::{self, Largest};
use crate::local::Local;
use crate::outage::Plan;
use crate::sender::{self, Outcome};
use crate::statuses;
use crate::wire::Pace;

/// Shared by all tests, because generating an RSA key is slow.
static KEYS: LazyLock<Arc<KeysFile>> = LazyLock::new(|| Arc::new(KeysFile::make()));

#[test]
fn every_try_sends_the_same_token_and_body() {
    let observed = statuses::observe(&KEYS);
    let case = statuses::CASES.iter().position(|(label, _)| *label == "503").unwrap();
    let tries = |provider: &str| {
        let is_of = |seen: &&statuses::Seen| seen.case == case && seen.provider == provider;
        observed.seen.iter().filter(is_of).collect::<Vec<_>>()
    };
    for (provider, count) in [("plugnmeet", 3), ("livekit", 5), ("100ms", 4), ("videosdk", 1)] {
        let tries = tries(provider);
        assert_eq!(tries.len(), count, "{provider}");
        assert!(
            tries.iter().all(|retry| retry == &tries[0]),
            "{provider} sends a different request on a retry"
        );
    }
    assert!(tries("livekit")[0].authorization.is_some());
}

/// The range between the two comments for `name` in `docs/delivery.md`.
fn section(page: &str, name: &str) -> std::ops::Range<usize> {
    let (begin, end) = (format!("<!-- {name} -->\n\n"), format!("\n<!-- end of {name} -->"));
    page.find(&begin).unwrap() + begin.len()..page.find(&end).unwrap()
}

#[test]
fn the_page_says_how_each_sender_handles_each_answer() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/delivery.md");
    let mut page = std::fs::read_to_string(file).unwrap();
    let table = statuses::observe(&KEYS).table();
    let range = section(&page, "statuses");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        page.replace_range(range, &table);
        std::fs::write(file, &page).unwrap();
    }
    assert_eq!(&page[section(&page, "statuses")], table);
}

#[test]
fn the_largest_burst_depends_on_the_queue_and_the_response_time() {
    let local = Local::start(&KEYS, None);
    let largest = |provider, init_s, answer_ms, is_warm, most| {
        let answer = Duration::from_millis(answer_ms);
        let pace = Pace { init: Duration::from_secs(init_s), answer, fault: answer };
        let Largest { events, next } = burst::largest(&local, sender::named(provider), pace, is_warm, most);
        (events, next)
    };
    // The queue holds 200 events. At 150 ms each, the last is sent in time.
    assert_eq!(largest("livekit", 0, 150, true, 210), (200, Some(Outcome::DroppedQueueFull)));
    // At one second each, the last is sent when it is 30 s old.
    assert_eq!(largest("livekit", 0, 1000, true, 40), (31, Some(Outcome::DroppedTooOld)));
    assert_eq!(largest("livekit", 10, 1000, false, 40), (21, Some(Outcome::DroppedTooOld)));
    // The room's queue is killed after 50 s.
    assert_eq!(largest("plugnmeet", 0, 1000, true, 60), (50, Some(Outcome::DroppedRoomOver)));
    assert_eq!(largest("plugnmeet", 10, 1000, false, 60), (40, Some(Outcome::DroppedRoomOver)));
    // Events do not wait for each other.
    assert_eq!(largest("100ms", 10, 2400, false, 30), (30, None));
    assert_eq!(largest("videosdk", 10, 2400, false, 30), (30, None));
}

#[test]
fn an_outage_of_twenty_seconds_loses_nothing_with_the_queue() {
    let local = Local::start(&KEYS, None);
    let lost = |has_queue| {
        let pace =
            Pace { answer: Duration::from_millis(50), fault: Duration::from_millis(2400), ..Pace::default() };
        let (lasts, every) = (Duration::from_secs(20), Duration::from_secs(1));
        let plan = Plan { lasts, has_queue, pace, rooms: 1, every };
        plan.run(&local).iter().map(|it| (it.provider, it.lost, it.sent)).collect::<Vec<_>>()
    };
    let none: Vec<_> = PROVIDER_NAMES.iter().map(|provider| (*provider, 0, 40)).collect();
    assert_eq!(lost(true), none);
    // Without the queue, the others retry long enough: the last tries of 100ms and LiveKit start 14 and 15 s after the
    // first, plus the time that the answers take. Those of RealtimeKit and GetStream come 3 and 2 s after the first.
    let losing: Vec<_> = lost(false).into_iter().filter(|(_, lost, _)| *lost > 0).collect();
    assert_eq!(
        losing,
        [("videosdk", 20, 40), ("plugnmeet", 2, 40), ("realtimekit", 13, 40), ("getstream", 14, 40)]
    );
}
