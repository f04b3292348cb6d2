//! Lambda function: webhooks of GetStream Video.

use livehooks_core::getstream::GetStream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    livehooks_aws::ingest::run::<GetStream>().await
}
