//! Lambda function: webhooks of Cloudflare RealtimeKit.

use livehooks_core::realtimekit::RealtimeKit;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    livehooks_aws::ingest::run::<RealtimeKit>().await
}
