//! The embedded DynamoDB.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use aws_lambda_events::event::dynamodb::Event;
use dynoxide::Database as Dynoxide;
use livehooks_aws::store::{BY_TIME, Index, ROOMS, time_shard};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::data::{DataError, Position};
use super::dynamodb_api;
use crate::local::TABLE;
use crate::local::guard::Guard;

/// What the embedded DynamoDB or SQLite answered instead of a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseError(String);

/// An embedded DynamoDB with the table of events.
#[derive(Clone)]
pub struct Database(Dynoxide);

impl Database {
    /// Opens the database in `file`, or a new one in memory, and creates the table if there is none.
    ///
    /// # Errors
    /// If the file is not a database or is damaged; it is not changed.
    pub fn open(file: Option<&Path>) -> Result<Self, DataError> {
        let damaged = |error: DatabaseError| DataError::Damaged { what: "database", why: error.to_string() };
        let database = match file {
            None => Dynoxide::memory(),
            Some(file) => {
                if file.exists() {
                    check(file).and_then(|()| add_time_shards(file)).map_err(damaged)?;
                }
                Dynoxide::new(&file.to_string_lossy())
            }
        };
        let database = database.map_err(|error| damaged(failed(error)))?;
        let database = Self(database);
        database.make_table().and_then(|()| database.make_indexes()).map_err(damaged)?;
        if let Some(file) = file {
            add_indexes(file).map_err(damaged)?;
        }
        Ok(database)
    }

    fn make_table(&self) -> Result<(), DatabaseError> {
        let has_table =
            self.0.list_tables(request(json!({}))?).map_err(failed)?.table_names.iter().any(|n| n == TABLE);
        if has_table {
            return Ok(());
        }
        let table = json!({
            "TableName": TABLE,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [
                { "AttributeName": "event_key", "KeyType": "HASH" },
                { "AttributeName": "occurrence", "KeyType": "RANGE" },
            ],
            "AttributeDefinitions": [
                { "AttributeName": "event_key", "AttributeType": "S" },
                { "AttributeName": "occurrence", "AttributeType": "N" },
            ],
            "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" },
        });
        self.0.create_table(request(table)?).map_err(failed)?;
        let ttl = json!({ "Enabled": true, "AttributeName": "expires_at" });
        let ttl = json!({ "TableName": TABLE, "TimeToLiveSpecification": ttl });
        self.0.update_time_to_live(request(ttl)?).map_err(failed)?;
        Ok(())
    }

    /// Adds the indexes that the table does not have, and removes that of older versions.
    fn make_indexes(&self) -> Result<(), DatabaseError> {
        let table = self.0.describe_table(request(json!({ "TableName": TABLE }))?).map_err(failed)?;
        let table = serde_json::to_value(table).map_err(failed)?;
        let indexes = table["Table"]["GlobalSecondaryIndexes"].as_array();
        let has = |name: &str| indexes.into_iter().flatten().any(|index| index["IndexName"] == name);
        for index in [ROOMS, BY_TIME].iter().filter(|index| !has(index.name)) {
            self.0.update_table(request(creation(index))?).map_err(failed)?;
        }
        if has(REPLACED_INDEX) {
            let delete = json!({ "Delete": { "IndexName": REPLACED_INDEX } });
            let update = json!({ "TableName": TABLE, "GlobalSecondaryIndexUpdates": [delete] });
            self.0.update_table(request(update)?).map_err(failed)?;
        }
        Ok(())
    }

    /// Serves the DynamoDB API to programs on this machine.
    pub fn serve(&self, listener: TcpListener) -> impl Future<Output = ()> + Send + use<> {
        let routes = dynamodb_api::router(self.0.clone());
        async move {
            let host = match listener.local_addr() {
                Ok(SocketAddr::V4(address)) => *address.ip(),
                _ => Ipv4Addr::LOCALHOST,
            };
            // Runs until the process exits.
            let _ = axum::serve(listener, Guard::Aws(host).protect(routes)).await;
        }
    }

    /// The start of the table's stream. Call it once: the database reads the entire stream to describe it.
    ///
    /// # Errors
    /// The database's error.
    pub fn stream_start(&self) -> Result<Position, DatabaseError> {
        let streams = self.0.list_streams(request(json!({ "TableName": TABLE }))?).map_err(failed)?;
        let stream = streams.streams.first().ok_or_else(|| failed("the table has no stream"))?;
        let stream_arn = stream.stream_arn.clone();
        let describe = json!({ "StreamArn": stream_arn });
        let stream = self.0.describe_stream(request(describe)?).map_err(failed)?.stream_description;
        let shard = stream.shards.into_iter().next().ok_or_else(|| failed("the stream has no shard"))?;
        Ok(Position { stream_arn, shard_id: shard.shard_id, after: None })
    }

    /// At most `limit` records after a position, as a Lambda event.
    ///
    /// # Errors
    /// The database's error.
    pub fn records(&self, position: &Position, limit: usize) -> Result<Event, DatabaseError> {
        let start = match &position.after {
            None => json!({ "ShardIteratorType": "TRIM_HORIZON" }),
            Some(after) => json!({ "ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": after }),
        };
        let mut iterator = json!({ "StreamArn": position.stream_arn, "ShardId": position.shard_id });
        if let (Some(iterator), Value::Object(start)) = (iterator.as_object_mut(), start) {
            iterator.extend(start);
        }
        let iterator = self.0.get_shard_iterator(request(iterator)?).map_err(failed)?.shard_iterator;
        let get = json!({ "ShardIterator": iterator, "Limit": limit });
        let records = self.0.get_records(request(get)?).map_err(failed)?.records;
        serde_json::from_value(json!({ "Records": records })).map_err(failed)
    }
}

/// The index of complete items by room, which older versions have.
const REPLACED_INDEX: &str = "by_room";

/// The request that adds an index.
fn creation(index: &Index) -> Value {
    let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
    let definition = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
    json!({
        "TableName": TABLE,
        "AttributeDefinitions": [definition(index.hash_key), definition(index.range_key)],
        "GlobalSecondaryIndexUpdates": [{ "Create": {
            "IndexName": index.name,
            "KeySchema": [key(index.hash_key, "HASH"), key(index.range_key, "RANGE")],
            "Projection": { "ProjectionType": "INCLUDE", "NonKeyAttributes": index.non_key_attributes },
        } }],
    })
}

/// Without these indexes every write to the stream and every read would scan all of it.
fn add_indexes(file: &Path) -> Result<(), DatabaseError> {
    let indexes = "
        CREATE INDEX IF NOT EXISTS stream_end
            ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
        CREATE INDEX IF NOT EXISTS shard_place
            ON _stream_records (table_name, shard_id, CAST(sequence_number AS INTEGER));";
    rusqlite::Connection::open(file).and_then(|file| file.execute_batch(indexes)).map_err(failed)
}

/// Gives events of older versions their keys in the index `by_time`, if the table does not have that yet.
fn add_time_shards(file: &Path) -> Result<(), DatabaseError> {
    let mut file = rusqlite::Connection::open(file).map_err(failed)?;
    let has = |name: &str| -> rusqlite::Result<bool> {
        file.query_row("SELECT count(*) > 0 FROM sqlite_master WHERE name = ?1", [name], |row| row.get(0))
    };
    if !has(TABLE).map_err(failed)? || has(&format!("{TABLE}::gsi::by_time")).map_err(failed)? {
        return Ok(());
    }
    let add = |to: &rusqlite::Transaction<'_>| {
        let keys = format!("SELECT rowid, json_extract(item_json, '$.event_key.S') FROM \"{TABLE}\"");
        let keys = to
            .prepare(&keys)?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<Vec<(i64, String)>, _>>()?;
        let set = "json_set(item_json, '$.time_shard', json_object('S', ?2))";
        let mut set = to.prepare(&format!("UPDATE \"{TABLE}\" SET item_json = {set} WHERE rowid = ?1"))?;
        keys.iter().try_for_each(|(row, key)| set.execute((row, time_shard(key))).map(drop))
    };
    let transaction = file.transaction().map_err(failed)?;
    add(&transaction).and_then(|()| transaction.commit()).map_err(failed)
}

/// Checks every page of the file without changing it.
pub(super) fn check(file: &Path) -> Result<(), DatabaseError> {
    use rusqlite::{Connection, OpenFlags};
    let open = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    let result: String = open.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if result == "ok" { Ok(()) } else { Err(failed(result)) }
}

fn request<T: serde::de::DeserializeOwned>(request: Value) -> Result<T, DatabaseError> {
    serde_json::from_value(request).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> DatabaseError {
    DatabaseError(error.to_string())
}
