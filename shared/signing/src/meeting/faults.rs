//! What goes wrong between a provider and its receiver.

use fastrand::Rng;
use livehooks_core::EventType;

use super::SimulatedDelivery;

/// How often deliveries are lost, repeated and overtaken; each is a probability from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// An event that ends something is never sent.
    pub lose_ends: f64,
    /// A delivery is sent twice.
    pub duplicates: f64,
    /// A delivery is overtaken by up to five later ones.
    pub reorder: f64,
}

/// How many later deliveries can overtake one.
const OVERTAKEN_MAX: usize = 5;

impl Faults {
    /// Changes deliveries that are in order. The seed determines which.
    pub fn apply(&self, seed: u64, deliveries: Vec<SimulatedDelivery>) -> Vec<SimulatedDelivery> {
        let mut rng = Rng::with_seed(!seed);
        let mut sent = Vec::new();
        for delivery in deliveries {
            if is_end(delivery.step.kind) && rng.f64() < self.lose_ends {
                continue;
            }
            if rng.f64() < self.duplicates {
                sent.push(delivery.clone());
            }
            sent.push(delivery);
        }
        let times: Vec<_> = sent.iter().map(|delivery| delivery.due).collect();
        // From the end, so that no delivery is moved twice.
        for at in (0..sent.len()).rev() {
            if rng.f64() < self.reorder {
                let to = (at + rng.usize(1..=OVERTAKEN_MAX)).min(sent.len() - 1);
                sent[at..=to].rotate_left(1);
            }
        }
        for (delivery, due) in sent.iter_mut().zip(times) {
            delivery.due = due;
        }
        sent
    }
}

fn is_end(kind: EventType) -> bool {
    let name = kind.as_str();
    ["left", "unpublished", "stopped", "ended"].iter().any(|end| name.ends_with(&format!(".{end}")))
}
