//! `livehooks inspect`: serves the page for a deployed stack, read-only.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::error::{CommandError, Ending};
use crate::history::Source;
use crate::inspect::{Inspected, Log, follow, guarded, router};

/// The arguments of `inspect`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks inspect --stack livehooks
  cargo livehooks inspect --stack livehooks --region eu-central-1 --port 8080

The command only reads. Your AWS credentials need cloudformation:DescribeStacks and, on the table, dynamodb:Query, \
GetItem, BatchGetItem, Scan, DescribeTable, DescribeStream, GetShardIterator and GetRecords. The page shows the newest 10,000 events.")]
pub struct Inspect {
    /// The stack's name
    #[arg(long, value_name = "NAME")]
    stack: String,
    /// The stack's region [default: the AWS profile's]
    #[arg(long)]
    region: Option<String>,
    /// Port of the page on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 3010)]
    port: u16,
}

impl Inspect {
    /// Serves the page until it is stopped.
    ///
    /// # Errors
    /// If the stack cannot be read or the port is in use.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let source = Source::of_stack(&self.stack, self.region.as_deref()).await?;
        let port = |error| CommandError::Port { port: self.port, error };
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
        Ok(Ending::Fine)
    }
}
