//! Lambda function: webhooks of PlugNmeet.

use livehooks_core::plugnmeet::PlugNmeet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    livehooks_aws::ingest::run::<PlugNmeet>().await
}
