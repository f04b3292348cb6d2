//! Lambda function: webhooks of 100ms.

use livehooks_core::hms::Hms;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    livehooks_aws::ingest::run::<Hms>().await
}
