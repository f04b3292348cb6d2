//! Lambda function: webhooks of VideoSdk.

use livehooks_core::videosdk::VideoSdk;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    livehooks_aws::ingest::run::<VideoSdk>().await
}
