//! Plans and simulations of all providers.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use livehooks_core::EventType::{self, *};

use super::*;
use crate::PROVIDERS;

const END: Timestamp = Timestamp::constant(1_767_225_600, 0);

fn meeting(participants: usize, minutes: u32, seed: u64) -> Plan {
    Meeting { participants, minutes, seed }.plan()
}

/// The bodies of a meeting, by provider.
fn bodies(seed: u64, end: Timestamp) -> Vec<Vec<String>> {
    let plan = meeting(12, 40, seed);
    let bodies = PROVIDERS.iter().map(|provider| {
        let keys = (provider.make_keys)();
        let simulation = Simulation::of(provider, &keys, &plan, "standup", Clock::until(end, &plan)).unwrap();
        simulation.deliveries.into_iter().map(|delivery| delivery.body).collect()
    });
    bodies.collect()
}

#[test]
fn a_plan_is_possible_for_every_size_length_and_seed() {
    for (participants, minutes) in [(1, 1), (2, 1), (12, 1), (12, 40), (60, 5), (3, 1_440)] {
        for seed in 0..50 {
            let plan = meeting(participants, minutes, seed);
            let ended = plan.steps.iter().find(|step| step.kind == SessionEnded).unwrap();
            assert_eq!(ended.at_s - ended.began_at_s, i64::from(minutes) * 60);
            let mut present = BTreeSet::new();
            let mut stays = BTreeMap::new();
            for step in &plan.steps {
                assert!(step.began_at_s <= step.at_s && step.at_s >= 0, "{step:?}");
                match step.kind {
                    ParticipantJoined => {
                        assert!(present.insert(step.person), "{seed}: {step:?}");
                        *stays.entry(step.person).or_insert(0) += 1;
                    }
                    ParticipantLeft => assert!(present.remove(&step.person), "{seed}: {step:?}"),
                    TrackPublished | TrackUnpublished => assert!(present.contains(&step.person), "{step:?}"),
                    SessionEnded => assert!(present.is_empty()),
                    _ => {}
                }
            }
            assert_eq!(stays.len(), participants);
            assert!(participants < 2 || stays[&Some(1)] == 2, "nobody lost the connection");
            let ids: BTreeSet<&String> = plan.people.iter().map(|person| &person.id).collect();
            assert_eq!(ids.len(), participants);
        }
    }
}

#[test]
fn the_same_seed_and_end_give_the_same_bodies() {
    let bodies_of_seed_7 = bodies(7, END);
    assert_eq!(bodies_of_seed_7, bodies(7, END));
    assert_ne!(bodies_of_seed_7, bodies(8, END));
    assert_ne!(bodies_of_seed_7, bodies(7, END + jiff::SignedDuration::from_secs(1)));
}

#[test]
fn every_step_becomes_its_event_at_its_time() {
    let plan = meeting(12, 40, 7);
    for provider in PROVIDERS {
        let keys = (provider.make_keys)();
        let simulation = Simulation::of(provider, &keys, &plan, "standup", Clock::until(END, &plan)).unwrap();
        let received = END + jiff::SignedDuration::from_secs(1);
        assert_eq!(simulation.deliveries.last().unwrap().due.max(END), END);
        for delivery in &simulation.deliveries {
            let event = (provider.normalize)(&keys, delivery.body.as_bytes(), received).unwrap();
            assert_eq!(event.kind, delivery.step.kind, "{}: {}", provider.name, delivery.name);
            let event: serde_json::Value = serde_json::from_str(&event.json).unwrap();
            let expected = if delivery.has_time { delivery.due } else { received };
            assert_eq!(event["time"], expected.to_string(), "{}: {}", provider.name, delivery.name);
            assert_eq!(event["subject"], simulation.room.as_str(), "{}: {}", provider.name, delivery.name);
        }
    }
}

#[test]
fn faults_lose_ends_repeat_and_reorder_and_nothing_else() {
    let plan = meeting(12, 40, 7);
    let provider = &PROVIDERS[0];
    let keys = (provider.make_keys)();
    let all = Simulation::of(provider, &keys, &plan, "standup", Clock::until(END, &plan)).unwrap().deliveries;
    let body = |deliveries: &[SimulatedDelivery]| {
        deliveries.iter().map(|delivery| delivery.body.clone()).collect::<Vec<_>>()
    };
    assert_eq!(body(&Faults::default().apply(7, all.clone())), body(&all));

    let lost = Faults { lose_ends: 1.0, ..Faults::default() }.apply(7, all.clone());
    let kinds: BTreeSet<&str> = lost.iter().map(|delivery| delivery.step.kind.as_str()).collect();
    assert!(!kinds.contains(ParticipantLeft.as_str()) && !kinds.contains(SessionEnded.as_str()), "{kinds:?}");
    assert!(kinds.contains(EventType::RecordingReady.as_str()), "{kinds:?}");

    let doubled = body(&Faults { duplicates: 1.0, ..Faults::default() }.apply(7, all.clone()));
    assert!(doubled.len() == 2 * all.len() && doubled.chunks(2).all(|pair| pair[0] == pair[1]));

    let reordered = Faults { reorder: 0.3, ..Faults::default() }.apply(7, all.clone());
    assert!(reordered.iter().zip(&all).all(|(delivery, original)| delivery.due == original.due));
    assert_ne!(body(&reordered), body(&all));
    let sorted = |mut bodies: Vec<String>| {
        bodies.sort();
        bodies
    };
    assert_eq!(sorted(body(&reordered)), sorted(body(&all)));
}
