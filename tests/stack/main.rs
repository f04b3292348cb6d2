//! The whole way of an event, through the functions' own handlers, the real AWS SDK and the embedded DynamoDB.

#[path = "../common/fixture.rs"]
mod fixture;
#[path = "../common/schema.rs"]
mod schema;

mod cloud;
mod harness;

mod api;
mod dedupe;
mod envelopes;
mod events;
mod fallback;
mod faults;
mod keys;
mod recover;
mod redaction;
mod relay;
mod sizes;
