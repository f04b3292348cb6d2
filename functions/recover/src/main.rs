//! Lambda function: stores deliveries that were queued during an outage.

use livehooks_aws::recover::{ProviderPipeline, run};
use livehooks_core::for_each_provider;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    run(&for_each_provider!(P => ProviderPipeline::of::<P>())).await
}
