//! The whole way of an event, through the functions' own handlers, the real AWS SDK and the embedded DynamoDB.

#[path = "../common/fixture.rs"]
mod fixture;
#[path = "../common/schema.rs"]
mod schema;

mod cloud;
mod harness;

mod adversaries;
mod api;
mod batches;
mod clock;
mod cost;
mod dead_letters;
mod dedupe;
mod envelopes;
mod events;
mod fallback;
mod faults;
mod interleavings;
mod keys;
mod properties;
mod recover;
mod redaction;
mod relay;
mod relay_at_once;
mod sizes;
