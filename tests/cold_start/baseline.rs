//! The baseline: a function that only makes one put per event, with the same client.

use aws_sdk_dynamodb::types::AttributeValue;
use lambda_http::{Body, Request, RequestExt, Response, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let table = aws_sdk_dynamodb::Client::new(&livehooks_aws::clients::from_env()?);
    let table = &table;
    lambda_http::run(service_fn(async |request: Request| {
        let id = request.lambda_context_ref().map(|context| context.request_id.clone());
        let body = String::from_utf8_lossy(request.body().as_ref()).into_owned();
        table
            .put_item()
            .table_name("Events")
            .item("event_key", AttributeValue::S(id.unwrap_or_default()))
            .item("occurrence", AttributeValue::N("0".into()))
            .item("event", AttributeValue::S(body))
            // Puts the event into the room index, so that the database does the same work.
            .item("room_key", AttributeValue::S("livekit#Demo Room".into()))
            .item("occurred_at", AttributeValue::S("2025-10-30T09:03:20.000000000Z".into()))
            .condition_expression("attribute_not_exists(event_key)")
            .send()
            .await?;
        Ok::<_, lambda_http::Error>(Response::new(Body::Empty))
    }))
    .await
}
