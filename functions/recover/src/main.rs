//! Lambda function: deliveries that were queued in an outage, to the table.

use livehooks_aws::recover::{Way, run};
use livehooks_core::{hms::Hms, livekit::LiveKit, plugnmeet::PlugNmeet, videosdk::VideoSdk};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    run(&[Way::of::<Hms>(), Way::of::<VideoSdk>(), Way::of::<PlugNmeet>(), Way::of::<LiveKit>()]).await
}
