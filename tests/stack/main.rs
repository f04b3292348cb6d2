//! End-to-end tests of the functions' handlers with the real AWS SDK and the embedded DynamoDB.

#[path = "../common/faulty_client.rs"]
mod faulty_client;
#[path = "../common/fixture.rs"]
mod fixture;
#[path = "../common/schema.rs"]
mod schema;

mod fake_aws;
mod harness;

mod adversaries;
mod api;
mod batches;
mod clock;
mod compressed;
mod dead_letters;
mod dedupe;
mod envelopes;
mod events;
mod fallback;
mod faults;
mod interleavings;
mod keys;
mod notify;
mod notify_concurrency;
mod properties;
mod questions;
mod recover;
mod redaction;
mod sizes;
