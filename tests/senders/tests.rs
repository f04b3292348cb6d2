//! The rules against vectors, and the simulators against the stack.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use livehooks::keys_file::KeysFile;

use crate::burst::{self, Largest};
use crate::local::Local;
use crate::outage::Plan;
use crate::rules::{Answer, Next, Rules};
use crate::sender::{HMS, LIVEKIT, PLUGNMEET, VIDEOSDK, Verdict};
use crate::statuses;
use crate::wire::Pace;

/// Making an RSA key takes a while: one set serves all tests.
static KEYS: LazyLock<Arc<KeysFile>> = LazyLock::new(|| Arc::new(KeysFile::make()));

fn status(status: u16) -> Answer {
    Answer::Status(status, None)
}

fn with_retry_after(status: u16, retry_after: &str) -> Answer {
    Answer::Status(status, Some(retry_after.into()))
}

/// When the tries are made, in seconds, if every one is answered alike and at once.
fn schedule(rules: Rules, answer: &Answer) -> Vec<u64> {
    let (mut at, mut schedule) = (Duration::ZERO, Vec::new());
    for tries_before in 0.. {
        schedule.push(at.as_secs());
        match rules.next(tries_before, answer) {
            Next::Again(wait) => at += wait,
            _ => break,
        }
    }
    schedule
}

const fn retryable(retry_max: u32) -> Rules {
    Rules::Retryable { retry_max }
}

#[test]
fn retryable_http_doubles_its_waits_from_one_second_to_thirty() {
    assert_eq!(schedule(retryable(2), &status(500)), [0, 1, 3]);
    assert_eq!(schedule(retryable(4), &status(500)), [0, 1, 3, 7, 15]);
    assert_eq!(schedule(retryable(8), &Answer::Broken), [0, 1, 3, 7, 15, 31, 61, 91, 121]);
    assert_eq!(schedule(retryable(40), &status(500)).last(), Some(&(31 + 35 * 30)));
}

#[test]
fn retryable_http_retries_429_and_what_is_from_500_on_except_501() {
    for code in 100..1000 {
        let retried = matches!(retryable(4).next(0, &status(code)), Next::Again(_));
        assert_eq!(retried, code == 429 || (code >= 500 && code != 501), "{code}");
    }
    assert_eq!(retryable(4).next(0, &status(401)), Next::CountsAsDelivered);
    assert_eq!(retryable(4).next(4, &status(503)), Next::GivesUp);
    assert_eq!(retryable(4).next(0, &Answer::Silence), Next::WaitsOn);
}

#[test]
fn retryable_http_honours_retry_after_with_429_and_503_alone_and_without_a_limit() {
    assert_eq!(schedule(retryable(2), &with_retry_after(503, "1")), [0, 1, 2]);
    assert_eq!(schedule(retryable(4), &with_retry_after(503, "1")), [0, 1, 2, 3, 4]);
    assert_eq!(schedule(retryable(2), &with_retry_after(429, "86400")), [0, 86_400, 172_800]);
    assert_eq!(schedule(retryable(4), &with_retry_after(503, "0")), [0; 5]);
    assert_eq!(schedule(retryable(2), &with_retry_after(500, "60")), [0, 1, 3]);
    for unread in ["-1", "soon", "1.5", ""] {
        assert_eq!(schedule(retryable(2), &with_retry_after(503, unread)), [0, 1, 3], "{unread}");
    }
}

#[test]
fn hms_comes_back_after_1_3_and_10_seconds_for_all_but_exactly_200() {
    let rules = crate::sender::HMS.rules;
    for code in (201..=599).map(status).chain([Answer::Broken, Answer::Silence]) {
        assert_eq!(schedule(rules, &code), [0, 1, 4, 14], "{code:?}");
    }
    assert_eq!(rules.next(0, &status(200)), Next::CountsAsDelivered);
    assert_eq!(rules.next(3, &status(200)), Next::CountsAsDelivered);
    assert_eq!(rules.next(3, &status(204)), Next::GivesUp);
}

#[test]
fn every_try_brings_the_same_token_and_the_same_body() {
    let observed = statuses::observe(&KEYS);
    let case = statuses::CASES.iter().position(|(label, _)| *label == "503").unwrap();
    let tries = |provider: &str| {
        let is_of = |seen: &&statuses::Seen| seen.case == case && seen.provider == provider;
        observed.seen.iter().filter(is_of).collect::<Vec<_>>()
    };
    for (provider, count) in [("plugnmeet", 3), ("livekit", 5), ("100ms", 4), ("videosdk", 1)] {
        let tries = tries(provider);
        assert_eq!(tries.len(), count, "{provider}");
        assert!(tries.iter().all(|again| again == &tries[0]), "{provider} sends another request again");
    }
    assert!(tries("livekit")[0].authorization.is_some());
}

/// `docs/delivery.md` between the two comments around `name`.
fn section(page: &str, name: &str) -> std::ops::Range<usize> {
    let (begin, end) = (format!("<!-- {name} -->\n\n"), format!("\n<!-- end of {name} -->"));
    page.find(&begin).unwrap() + begin.len()..page.find(&end).unwrap()
}

#[test]
fn the_page_says_what_each_sender_makes_of_each_answer() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/delivery.md");
    let mut page = std::fs::read_to_string(file).unwrap();
    let table = statuses::observe(&KEYS).table();
    let place = section(&page, "statuses");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        page.replace_range(place.clone(), &table);
        std::fs::write(file, &page).unwrap();
    }
    assert_eq!(&page[section(&page, "statuses")], table);
}

#[test]
fn the_largest_burst_follows_from_the_queue_and_the_time_of_an_answer() {
    let local = Local::start(&KEYS, None);
    let largest = |sender, init_s, answer_ms, is_warm, most| {
        let answer = Duration::from_millis(answer_ms);
        let pace = Pace { init: Duration::from_secs(init_s), answer, fault: answer };
        let Largest { events, next } = burst::largest(&local, sender, pace, is_warm, most);
        (events, next)
    };
    // Two hundred wait; answered in 150 ms each, the last of them is sent in time.
    assert_eq!(largest(&LIVEKIT, 0, 150, true, 210), (200, Some(Verdict::DroppedQueueFull)));
    // Answered in a second each, the last one is sent when it is 30 s old.
    assert_eq!(largest(&LIVEKIT, 0, 1000, true, 40), (31, Some(Verdict::DroppedTooOld)));
    assert_eq!(largest(&LIVEKIT, 10, 1000, false, 40), (21, Some(Verdict::DroppedTooOld)));
    // After 50 s the room's queue is killed.
    assert_eq!(largest(&PLUGNMEET, 0, 1000, true, 60), (50, Some(Verdict::DroppedRoomOver)));
    assert_eq!(largest(&PLUGNMEET, 10, 1000, false, 60), (40, Some(Verdict::DroppedRoomOver)));
    // Nothing waits for anything else.
    assert_eq!(largest(&HMS, 10, 2400, false, 30), (30, None));
    assert_eq!(largest(&VIDEOSDK, 10, 2400, false, 30), (30, None));
}

#[test]
fn an_outage_of_twenty_seconds_loses_nothing_with_the_queue() {
    let local = Local::start(&KEYS, None);
    let lost = |has_queue| {
        let pace =
            Pace { answer: Duration::from_millis(50), fault: Duration::from_millis(2400), ..Pace::default() };
        let (lasts, every) = (Duration::from_secs(20), Duration::from_secs(1));
        let plan = Plan { lasts, has_queue, pace, rooms: 1, every };
        plan.run(&local).iter().map(|cost| (cost.provider, cost.lost, cost.sent)).collect::<Vec<_>>()
    };
    assert_eq!(lost(true), ["plugnmeet", "livekit", "100ms", "videosdk"].map(|provider| (provider, 0, 40)));
    // Without it 100ms and LiveKit are patient enough: their last tries come 14 and 15 s after the first, and some
    // answers later.
    assert_eq!(
        lost(false),
        [("plugnmeet", 2, 40), ("livekit", 0, 40), ("100ms", 0, 40), ("videosdk", 20, 40)]
    );
}
