//! Lambda function: webhooks of Mux.

use livehooks_core::mux::Mux;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    livehooks_aws::ingest::run::<Mux>().await
}
