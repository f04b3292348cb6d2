//! Finds items by receive time or room, newest first.
//!
//! The index `by_time` has keys, type and room only, and the index `rooms` no provider's JSON; what a filter or the caller
//! needs besides is read from the table, a hundred items per request.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::scan::ScanOutput;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use livehooks_aws::store::{self, BY_TIME, Item, ROOMS, sortable};
use tokio::task::JoinSet;

use super::attributes::{number, text};
use super::condition::{Condition, Part};
use super::{EventKey, Filter, HistoryError, Source};

/// The most entries of an index per request.
const PAGE_MAX: usize = 1_000;
/// How many entries are looked up in the table at once, if more than the newest few are wanted.
const CHUNK: usize = 1_000;
/// A period up to this length is read from `by_time`, also for one room; a longer one from `rooms`, whose order is that
/// of the provider's clock.
const SHORT: SignedDuration = SignedDuration::from_hours(25);
/// Functions of an older version may write for a while after the first entry of the index.
const UPGRADE: SignedDuration = SignedDuration::from_hours(1);

/// An item that matched the filter, or what was to be kept of it.
pub(super) struct Found {
    pub(super) key: EventKey,
    pub(super) item: Item,
}

/// Which part of an item to return.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Item,
    /// At least what shows the event without the provider's JSON.
    Event,
    Key,
}

impl Source {
    /// Newest first.
    pub(super) async fn find(&self, filter: &Filter, keep: Keep) -> Result<Vec<Found>, HistoryError> {
        let mut matches = Matches { filter, keep, found: Vec::new() };
        let is_empty = filter.since.zip(filter.until).is_some_and(|(since, until)| since >= until);
        if is_empty || filter.limit == Some(0) {
            return Ok(matches.found);
        }
        match filter.room_keys() {
            Some(rooms) if !is_short(filter) => self.find_in_rooms(rooms, &mut matches).await?,
            _ => {
                self.find_by_time(&mut matches).await?;
                matches.newest();
            }
        }
        Ok(matches.found)
    }

    async fn find_in_rooms(&self, rooms: Vec<String>, matches: &mut Matches<'_>) -> Result<(), HistoryError> {
        // The room's key has the provider.
        let filter = Filter { provider: None, ..matches.filter.clone() };
        let condition = Condition::of(&filter, &[Part::Times, Part::Type, Part::Key]);
        for room in rooms {
            let query = self.client.query().table_name(&self.table).index_name(ROOMS.name);
            let query = query.key_condition_expression("room_key = :room");
            let query = query.expression_attribute_values(":room", AttributeValue::S(room));
            let mut pages = Pages::new(condition.on_query(query), PAGE_MAX);
            while !pages.is_done {
                let some = pages.next().await.map_err(|error| self.unreadable(&error))?;
                let some = if filter.text.is_some() { self.items(some).await? } else { some };
                for item in some {
                    self.take(item, matches)?;
                }
            }
        }
        matches.newest();
        if matches.keep == Keep::Item && filter.text.is_none() {
            let entries = std::mem::take(&mut matches.found).into_iter().map(|found| found.item).collect();
            let items = self.items(entries).await?;
            matches.found = items.into_iter().map(|item| Found { key: key(&item), item }).collect();
        }
        Ok(())
    }

    async fn find_by_time(&self, matches: &mut Matches<'_>) -> Result<(), HistoryError> {
        let filter = matches.filter;
        let needs_event = matches.keep != Keep::Key || filter.needs_event();
        let chunk = filter.limit.filter(|_| !filter.needs_event()).unwrap_or(CHUNK).min(CHUNK);
        let mut entries = self.entries(filter, chunk);
        loop {
            let some = entries.next(chunk).await.map_err(|error| self.unreadable(&error))?;
            if some.is_empty() {
                break;
            }
            let some = if needs_event { self.items(some).await? } else { some };
            for item in some {
                self.take(item, matches)?;
            }
            if filter.limit.is_some_and(|limit| matches.found.len() >= limit) {
                return Ok(());
            }
        }
        self.find_unindexed(matches).await
    }

    /// The entries of `by_time` that match what an entry shows of the filter; about so many of them are needed.
    fn entries(&self, filter: &Filter, count: usize) -> Entries {
        let condition = Condition::of(filter, &[Part::Key, Part::Type, Part::Room]);
        // A shard has about a tenth of the newest entries; twice as many leave room for chance.
        let page = if condition.is_empty() { (count / 5).clamp(10, PAGE_MAX) } else { PAGE_MAX };
        let range = match (filter.since, filter.until) {
            (None, None) => "",
            (Some(_), None) => " AND received_at >= :since",
            (None, Some(_)) => " AND received_at < :until",
            // A key has one condition. Both ends are included; what was received at the end does not match the filter.
            (Some(_), Some(_)) => " AND received_at BETWEEN :since AND :until",
        };
        let times = [(":since", filter.since), (":until", filter.until)];
        let shard = |shard: String| {
            let query = self.client.query().table_name(&self.table).index_name(BY_TIME.name);
            let query = query.key_condition_expression(format!("time_shard = :shard{range}"));
            let query = query.expression_attribute_values(":shard", AttributeValue::S(shard));
            let query = times.iter().fold(query, |query, (name, time)| match time {
                Some(time) => query.expression_attribute_values(*name, AttributeValue::S(sortable(*time))),
                None => query,
            });
            let query = condition.on_query(query.scan_index_forward(false));
            (Pages::new(query, page), VecDeque::new())
        };
        Entries { shards: store::time_shards().map(shard).collect() }
    }

    /// Adds the events that were stored before the table had the index `by_time`, if the filter goes back that far.
    async fn find_unindexed(&self, matches: &mut Matches<'_>) -> Result<(), HistoryError> {
        let first = self.first_indexed().await?.unwrap_or(Timestamp::MAX);
        let after = first.checked_add(UPGRADE).unwrap_or(Timestamp::MAX);
        if matches.filter.since.is_some_and(|since| since >= after) || !self.has_unindexed().await? {
            return Ok(());
        }
        let parts = [Part::Unindexed, Part::Times, Part::Key, Part::Type, Part::Room];
        let condition = Condition::of(matches.filter, &parts);
        let mut start = None;
        loop {
            let page = self.scan(&condition, start).await?;
            for item in page.items.unwrap_or_default() {
                self.take(item, matches)?;
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(());
            }
        }
    }

    /// Whether a page of the table shows an event that is not in the index `by_time`. The table's order does not depend on
    /// time.
    async fn has_unindexed(&self) -> Result<bool, HistoryError> {
        let is_known = self.has_unindexed.load(Ordering::Relaxed);
        if !is_known {
            let condition = Condition::of(&Filter::default(), &[Part::Unindexed]);
            if self.scan(&condition, None).await?.items().is_empty() {
                return Ok(false);
            }
            anstream::eprintln!("reading the entire table: some events are older than its index by_time");
            self.has_unindexed.store(true, Ordering::Relaxed);
        }
        Ok(true)
    }

    async fn scan(&self, condition: &Condition, start: Option<Item>) -> Result<ScanOutput, HistoryError> {
        let scan = self.client.scan().table_name(&self.table).limit(PAGE_MAX as i32);
        let scan = condition.on_scan(scan).set_exclusive_start_key(start);
        scan.send().await.map_err(|error| self.unreadable(&error))
    }

    /// The receive time of the oldest entry of `by_time`.
    async fn first_indexed(&self) -> Result<Option<Timestamp>, HistoryError> {
        let mut first = JoinSet::new();
        for shard in store::time_shards() {
            let query = self.client.query().table_name(&self.table).index_name(BY_TIME.name).limit(1);
            let query = query.key_condition_expression("time_shard = :shard");
            first.spawn(query.expression_attribute_values(":shard", AttributeValue::S(shard)).send());
        }
        let mut times: Vec<Timestamp> = Vec::new();
        while let Some(answer) = first.join_next().await {
            let answer = answer.expect("a query does not panic").map_err(|error| self.unreadable(&error))?;
            times.extend(
                answer.items().iter().filter_map(|item| text(item, "received_at")?.parse::<Timestamp>().ok()),
            );
        }
        Ok(times.into_iter().min())
    }

    /// Adds the item if it matches. Skips it if that cannot be said.
    fn take(&self, mut item: Item, matches: &mut Matches<'_>) -> Result<(), HistoryError> {
        let is_match = match matches.filter.matches_item(&item) {
            Ok(is_match) => is_match,
            Err(error) => return self.skip(error),
        };
        if is_match {
            let key = key(&item);
            if matches.keep == Keep::Key {
                item.clear();
            }
            matches.found.push(Found { key, item });
        }
        // Drop what is over the limit before it fills the memory.
        if matches.filter.limit.is_some_and(|limit| matches.found.len() >= limit.saturating_mul(2).max(CHUNK))
        {
            matches.newest();
        }
        Ok(())
    }
}

/// The items that match so far.
struct Matches<'a> {
    filter: &'a Filter,
    keep: Keep,
    found: Vec<Found>,
}

impl Matches<'_> {
    /// Sorts, newest first, and keeps as many as the limit allows.
    fn newest(&mut self) {
        self.found.sort_by(|one, other| other.key.cmp(&one.key));
        self.found.truncate(self.filter.limit.unwrap_or(usize::MAX));
    }
}

/// Whether the filter is for a period of about a day at most.
fn is_short(filter: &Filter) -> bool {
    let until = filter.until.unwrap_or_else(Timestamp::now);
    filter.since.is_some_and(|since| until.duration_since(since) <= SHORT)
}

pub(super) fn key(item: &Item) -> EventKey {
    let text = |name| text(item, name).unwrap_or_default().to_owned();
    let occurrence = number(item, "occurrence").and_then(|number| number.try_into().ok());
    EventKey {
        received_at: text("received_at"),
        event_key: text("event_key"),
        occurrence: occurrence.unwrap_or(0),
    }
}

type QueryError = aws_sdk_dynamodb::error::SdkError<aws_sdk_dynamodb::operation::query::QueryError>;

/// The pages of a query.
struct Pages {
    query: QueryFluentBuilder,
    start: Option<Item>,
    is_done: bool,
}

impl Pages {
    fn new(query: QueryFluentBuilder, page: usize) -> Self {
        // With a limit, because the embedded database reads everything up to the end for a page without one.
        Self { query: query.limit(page as i32), start: None, is_done: false }
    }

    async fn next(&mut self) -> Result<Vec<Item>, QueryError> {
        let query = self.query.clone().set_exclusive_start_key(self.start.take());
        let page = query.send().await?;
        self.is_done = page.last_evaluated_key.is_none();
        self.start = page.last_evaluated_key;
        Ok(page.items.unwrap_or_default())
    }
}

/// The entries of all shards of `by_time`, merged.
struct Entries {
    /// Each shard's pages, and the entries that were read and not yet returned.
    shards: Vec<(Pages, VecDeque<Item>)>,
}

impl Entries {
    /// The next `count` entries, newest first; fewer only at the end.
    async fn next(&mut self, count: usize) -> Result<Vec<Item>, QueryError> {
        let mut next = Vec::new();
        while next.len() < count {
            self.fill().await?;
            // An empty shard is at its end.
            let newest = self.shards.iter_mut().filter(|(_, read)| !read.is_empty());
            let newest = newest.max_by_key(|(_, read)| read.front().map(key));
            match newest.and_then(|(_, read)| read.pop_front()) {
                Some(item) => next.push(item),
                None => break,
            }
        }
        Ok(next)
    }

    /// Reads on in all shards of which no entry is left.
    async fn fill(&mut self) -> Result<(), QueryError> {
        loop {
            let mut reads = JoinSet::new();
            for (index, (pages, read)) in self.shards.iter_mut().enumerate() {
                if read.is_empty() && !pages.is_done {
                    let mut pages =
                        Pages { query: pages.query.clone(), start: pages.start.take(), is_done: false };
                    reads.spawn(async move {
                        let items = pages.next().await;
                        (index, pages, items)
                    });
                }
            }
            if reads.is_empty() {
                return Ok(());
            }
            while let Some(read) = reads.join_next().await {
                let (index, pages, items) = read.expect("a query does not panic");
                self.shards[index] = (pages, items?.into());
            }
        }
    }
}
