//! Lambda function: webhooks of JaaS.

use livehooks_core::jaas::Jaas;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    livehooks_aws::ingest::run::<Jaas>().await
}
