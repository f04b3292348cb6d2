//! Lambda function: publishes stored events to SNS.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    livehooks_aws::notify::run().await
}
