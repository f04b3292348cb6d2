//! Lambda function: answers `{"provider": …, "room": …}` with the room's attendance.

use lambda_runtime::{LambdaEvent, service_fn};
use livehooks_consumer::{Error, attendance::attendance, facts::Facts};

#[derive(serde::Deserialize)]
struct Request {
    provider: String,
    room: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let facts = &Facts::from_env().await?;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Request>| {
        let Request { provider, room } = event.payload;
        Ok::<_, Error>(attendance(&facts.of_room(&provider, &room).await?))
    }))
    .await
}
