//! Lambda function: webhooks of LiveKit.

use livehooks_core::livekit::LiveKit;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    livehooks_aws::ingest::run::<LiveKit>().await
}
