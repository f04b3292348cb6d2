//! `livehooks inspect`: the page over a deployed stack's table, which it only reads.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::history::{HistoryError, Source};
use crate::inspect::{Inspected, Log, follow, guarded, router};

/// Which stack to look at.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Only reads, with your AWS credentials: it needs cloudformation:DescribeStacks, and of the table
dynamodb:Scan, Query, GetItem, DescribeTable, DescribeStream, GetShardIterator and GetRecords.
At the start it reads the whole table once; the page shows the newest 10,000 events.

Examples:
  cargo livehooks inspect --stack livehooks
  cargo livehooks inspect --stack livehooks --region eu-central-1 --port 8080"
)]
pub struct Inspect {
    /// The stack's name
    #[arg(long, value_name = "NAME")]
    stack: String,
    /// Its region [default: that of the AWS settings]
    #[arg(long)]
    region: Option<String>,
    /// Port of the page on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 3010)]
    port: u16,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum InspectError {
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error("cannot listen on 127.0.0.1:{port}: {error}\n  choose another with --port (0 takes a free one)")]
    Port { port: u16, error: std::io::Error },
}

impl Inspect {
    /// Serves the page until it is stopped.
    ///
    /// # Errors
    /// Says why the stack cannot be read, or that the port is taken.
    pub async fn run(self) -> Result<(), InspectError> {
        let source = Source::of_stack(&self.stack, self.region.as_deref()).await?;
        let port = |error| InspectError::Port { port: self.port, error };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await.map_err(port)?;
        let address = listener.local_addr().map_err(port)?;
        let region = source.stack.as_ref().map_or("", |stack| &stack.region);
        anstream::println!("stack      {} in {region}, read only", self.stack);
        anstream::println!("table      {}", source.table);
        anstream::println!("page       http://{address}/");

        let log = Arc::<Log>::default();
        tokio::spawn(follow(source.clone(), log.clone()));
        let page = guarded(router(Inspected { source, log, sending: None }));
        tokio::select! {
            _ = axum::serve(listener, page).into_future() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(())
    }
}
