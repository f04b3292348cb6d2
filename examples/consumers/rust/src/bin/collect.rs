//! Lambda function: stores the facts among the queue's events.

use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::{LambdaEvent, service_fn};
use livehooks_consumer::{Error, collect, facts::Facts};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let facts = &Facts::from_env().await?;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, Error>(collect::batch(facts, event.payload).await)
    }))
    .await
}
