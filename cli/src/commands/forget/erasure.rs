//! Replaces items by what remains of them, several at once.

use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use indicatif::ProgressBar;
use jiff::Timestamp;
use livehooks_aws::describe;
use livehooks_aws::store::Item;
use tokio::task::JoinSet;

use super::person::Person;
use super::redaction::Finding;
use crate::error::{CommandError, Ending};
use crate::history::{EventKey, Source};

const AT_ONCE: usize = 8;
/// How often an item is read again because it has changed since it was read.
const ATTEMPTS: usize = 5;
/// The attributes that change with every write of an item.
const VERSION: [&str; 2] = ["write_id", "forgotten_at"];

/// How an erasure ended.
pub(super) struct Erasure {
    /// How many events are erased, or have expired.
    pub(super) done: usize,
    pub(super) ending: Result<Ending, CommandError>,
}

/// Erases the person from the items with these keys, the second group after the first. Ctrl-C stops after those in
/// progress.
pub(super) async fn run(
    source: &Source,
    person: &Person,
    groups: [Vec<EventKey>; 2],
    bar: &ProgressBar,
) -> Erasure {
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let mut erasure = Erasure { done: 0, ending: Ok(Ending::Fine) };
    let [first, second] = groups.map(Vec::into_iter);
    let (mut keys, mut next, mut writes) = (first, Some(second), JoinSet::new());
    loop {
        while writes.len() < AT_ONCE
            && matches!(erasure.ending, Ok(Ending::Fine))
            && let Some(key) = keys.next()
        {
            let (source, person) = (source.clone(), person.clone());
            writes.spawn(async move { erase(&source, &person, &key).await });
        }
        tokio::select! {
            write = writes.join_next() => match write.map(|write| write.expect("a write does not panic")) {
                None => match next.take() {
                    Some(group) => keys = group,
                    None => return erasure,
                },
                Some(Ok(())) => {
                    erasure.done += 1;
                    bar.inc(1);
                }
                Some(Err(why)) => {
                    let advice = "fix the cause, then run the same command to continue; it needs dynamodb:GetItem and PutItem on the table".into();
                    erasure.ending = Err(CommandError::Stopped { what: "forget", why, advice });
                }
            },
            _ = &mut interrupted, if matches!(erasure.ending, Ok(Ending::Fine)) => {
                erasure.ending = Ok(Ending::Interrupted);
            }
        }
    }
}

/// Erases the person from one item, as it is now.
async fn erase(source: &Source, person: &Person, key: &EventKey) -> Result<(), String> {
    for _ in 0..ATTEMPTS {
        let get = source.client.get_item().table_name(&source.table).consistent_read(true);
        let get = get.key("event_key", AttributeValue::S(key.event_key.clone()));
        let get = get.key("occurrence", AttributeValue::N(key.occurrence.to_string())).send().await;
        let Some(item) = get.map_err(|error| describe(&error))?.item else { return Ok(()) };
        let Ok(finding) = Finding::of(person, &item) else { return Ok(()) };
        let Some(redacted) = finding.redacted(&item, Timestamp::now()) else { return Ok(()) };
        let put = source.client.put_item().table_name(&source.table).set_item(Some(redacted));
        match if_unchanged(put, &item).send().await {
            Ok(_) => return Ok(()),
            Err(error) => match error.as_service_error() {
                Some(failure) if failure.is_conditional_check_failed_exception() => {}
                _ => return Err(describe(&error)),
            },
        }
    }
    Err("an item changes whenever it is to be erased".into())
}

/// Adds the condition that the item exists and is still this one.
fn if_unchanged(put: PutItemFluentBuilder, item: &Item) -> PutItemFluentBuilder {
    let mut terms = vec!["attribute_exists(event_key)".to_owned()];
    let mut put = put;
    for name in VERSION {
        match item.get(name) {
            Some(value) => {
                terms.push(format!("{name} = :{name}"));
                put = put.expression_attribute_values(format!(":{name}"), value.clone());
            }
            None => terms.push(format!("attribute_not_exists({name})")),
        }
    }
    put.condition_expression(terms.join(" AND "))
}
