//! Lambda function: webhooks of Zoom.

use livehooks_core::zoom::Zoom;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    livehooks_aws::ingest::run::<Zoom>().await
}
