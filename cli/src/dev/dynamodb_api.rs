//! The DynamoDB API over the embedded database. The database's own server is not used because it answers every web
//! page (`access-control-allow-origin: *`).

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// DynamoDB's limit.
const BODY_BYTES_MAX: usize = 16 << 20;
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

pub(super) fn router(database: Database) -> Router {
    Router::new()
        .route("/", post(answer).merge(get(async || "healthy")))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(database)
}

async fn answer(State(database): State<Database>, headers: HeaderMap, body: String) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.split_once('.').map_or("", |(_service, operation)| operation);
    let (status, json) = match perform(&database, operation, &body) {
        Ok(json) => (StatusCode::OK, json),
        Err(error) => {
            let status =
                StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, error.to_json())
        }
    };
    (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], json).into_response()
}

macro_rules! operations {
    ($($name:literal $method:ident,)*) => {
        fn perform(database: &Database, operation: &str, body: &str) -> Result<String, DynoxideError> {
            match operation {
                $($name => database.$method(read(body)?).and_then(|answer| write(&answer)),)*
                _ => Err(DynoxideError::UnsupportedCapability(operation.to_owned())),
            }
        }
    };
}

operations! {
    "BatchExecuteStatement" batch_execute_statement,
    "BatchGetItem" batch_get_item,
    "BatchWriteItem" batch_write_item,
    "CreateTable" create_table,
    "DeleteItem" delete_item,
    "DeleteTable" delete_table,
    "DescribeStream" describe_stream,
    "DescribeTable" describe_table,
    "DescribeTimeToLive" describe_time_to_live,
    "ExecuteStatement" execute_statement,
    "ExecuteTransaction" execute_transaction,
    "GetItem" get_item,
    "GetRecords" get_records,
    "GetShardIterator" get_shard_iterator,
    "ListStreams" list_streams,
    "ListTables" list_tables,
    "ListTagsOfResource" list_tags_of_resource,
    "PutItem" put_item,
    "Query" query,
    "Scan" scan,
    "TagResource" tag_resource,
    "TransactGetItems" transact_get_items,
    "TransactWriteItems" transact_write_items,
    "UntagResource" untag_resource,
    "UpdateItem" update_item,
    "UpdateTable" update_table,
    "UpdateTimeToLive" update_time_to_live,
}

fn read<T: DeserializeOwned>(body: &str) -> Result<T, DynoxideError> {
    serde_json::from_str(body).map_err(|error| DynoxideError::SerializationException(error.to_string()))
}

fn write<T: Serialize>(answer: &T) -> Result<String, DynoxideError> {
    serde_json::to_string(answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}
