//! The whole way of an event, through the functions' own handlers, the real AWS SDK and the embedded DynamoDB.

#[path = "../common/fixture.rs"]
mod fixture;
#[path = "../common/schema.rs"]
mod schema;

mod harness;

mod api;
mod cost;
mod dedupe;
mod envelopes;
mod events;
mod faults;
mod keys;
mod redaction;
mod relay;
mod relay_at_once;
mod sizes;
