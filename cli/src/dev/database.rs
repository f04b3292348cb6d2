//! The embedded DynamoDB.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use aws_lambda_events::event::dynamodb::Event;
use dynoxide::Database as Dynoxide;
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
                    check(file).map_err(damaged)?;
                }
                Dynoxide::new(&file.to_string_lossy())
            }
        };
        let database = database.map_err(|error| damaged(failed(error)))?;
        let database = Self(database);
        database.make_table().map_err(damaged)?;
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
                { "AttributeName": "room_key", "AttributeType": "S" },
                { "AttributeName": "occurred_at", "AttributeType": "S" },
            ],
            "GlobalSecondaryIndexes": [{
                "IndexName": "by_room",
                "KeySchema": [
                    { "AttributeName": "room_key", "KeyType": "HASH" },
                    { "AttributeName": "occurred_at", "KeyType": "RANGE" },
                ],
                "Projection": { "ProjectionType": "ALL" },
            }],
            "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" },
        });
        self.0.create_table(request(table)?).map_err(failed)?;
        let ttl = json!({ "Enabled": true, "AttributeName": "expires_at" });
        let ttl = json!({ "TableName": TABLE, "TimeToLiveSpecification": ttl });
        self.0.update_time_to_live(request(ttl)?).map_err(failed)?;
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

/// Without these indexes every write to the stream and every read would scan all of it.
fn add_indexes(file: &Path) -> Result<(), DatabaseError> {
    let indexes = "
        CREATE INDEX IF NOT EXISTS stream_end
            ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
        CREATE INDEX IF NOT EXISTS shard_place
            ON _stream_records (table_name, shard_id, CAST(sequence_number AS INTEGER));";
    rusqlite::Connection::open(file).and_then(|file| file.execute_batch(indexes)).map_err(failed)
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
