//! `livehooks queue`: shows queued and dead-lettered deliveries, and redrives dead letters.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::StackOptions;
use super::fallback_queue::{Counts, DeadLetter, FallbackQueue, Redrive};
use crate::error::{CommandError, Ending};
use crate::terminal::{BOLD, DIM, column, length, line, styled};

/// How often to ask for a redrive's progress.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The arguments of `queue`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  cargo livehooks queue
  cargo livehooks queue --stack live --json
  cargo livehooks queue redrive --stack live

A queued delivery that fails verification is dead-lettered, not deleted. Fix the keys (`keys show`, `keys add`), wait \
half a minute, then redrive: each delivery is verified again as of its receive time. Counts come from SQS and may be a \
minute old."
)]
pub struct ManageQueue {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    which: Which,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// Move dead letters back to the fallback queue
    Redrive(Which),
}

#[derive(Clone, Debug, clap::Args)]
struct Which {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stack: StackOptions,
}

impl ManageQueue {
    /// Shows the queues, or redrives the dead letters.
    ///
    /// # Errors
    /// If SQS does not answer or the redrive fails.
    pub async fn run(self) -> Result<Ending, CommandError> {
        match self.action {
            None => show(&self.which).await?,
            Some(Action::Redrive(which)) => redrive(&which).await?,
        }
        Ok(Ending::Fine)
    }
}

async fn show(which: &Which) -> Result<(), CommandError> {
    let queue = FallbackQueue::of(&which.stack.source().await?)?;
    let (waiting, dead) = (queue.waiting().await?, queue.dead_lettered().await?);
    let sample = queue.sample().await?;
    let total = dead.total().max(sample.len());
    let groups = Group::of(&sample);
    if which.json {
        return Ok(line(json(waiting, total, sample.len(), &groups))?);
    }
    line(format!("waiting        {:>6}", waiting.total()))?;
    line(format!("dead-lettered  {total:>6}"))?;
    if waiting.total() > 0 {
        let note = "waiting deliveries are only counted, because each read counts toward the 480 attempts";
        line(styled(DIM, format!("  {note};\n  the metric Queued has provider and fault")))?;
    }
    if groups.is_empty() {
        return Ok(());
    }
    line("")?;
    line(styled(
        BOLD,
        format!("{} {} {:>6}  OLDEST", column("PROVIDER", 10), column("REASON", 28), "COUNT"),
    ))?;
    let now = Timestamp::now();
    for group in &groups {
        let oldest = group.oldest.map_or_else(|| "-".into(), |oldest| length(now.duration_since(oldest)));
        let (provider, reason) = (column(&group.provider, 10), column(&group.reason, 28));
        line(format!("{provider} {reason} {:>6}  {oldest}", group.count))?;
    }
    if sample.len() < total {
        let note = format!("a sample of {} of {total} dead letters", sample.len());
        line(styled(DIM, format!("  {note}; the metric DeadLettered counts all by provider and reason")))?;
    }
    line(styled(
        DIM,
        format!("  fix the cause, then run: cargo livehooks queue redrive{}", which.stack.to_arguments()),
    ))?;
    Ok(())
}

async fn redrive(which: &Which) -> Result<(), CommandError> {
    let queue = FallbackQueue::of(&which.stack.source_to_publish().await?)?;
    let source = queue.start_redrive().await?;
    let mut reported = None;
    let done = loop {
        let redrive = queue.redrive(&source).await?;
        if redrive.status != "RUNNING" {
            break redrive;
        }
        if reported.replace(redrive.moved) != Some(redrive.moved) {
            let of = redrive.to_move.map_or_else(String::new, |count| format!(" of about {count}"));
            anstream::eprintln!(
                "moved {}{of}; the redrive continues if you stop this command",
                redrive.moved
            );
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    };
    let Redrive { status, moved, failure, .. } = done;
    if status != "COMPLETED" {
        return Err(CommandError::Stopped {
            what: "the redrive",
            why: format!(
                "{}: {}, after {moved} messages",
                status,
                failure.as_deref().unwrap_or("no reason given")
            ),
            advice: "the remaining messages are still dead-lettered; run the command again".into(),
        });
    }
    match which.json {
        true => line(json!({ "moved": moved }))?,
        false => line(format!("{moved} moved back to the fallback queue, to be verified again"))?,
    }
    Ok(())
}

/// Dead letters of one provider, for one reason.
struct Group {
    provider: String,
    reason: String,
    count: usize,
    oldest: Option<Timestamp>,
}

impl Group {
    /// The largest group first.
    fn of(sample: &[DeadLetter]) -> Vec<Self> {
        let mut groups: BTreeMap<(&str, &str), (usize, Option<Timestamp>)> = BTreeMap::new();
        for letter in sample {
            let (count, oldest) = groups.entry((&letter.provider, &letter.reason)).or_default();
            *count += 1;
            *oldest = [*oldest, letter.received_at].into_iter().flatten().min();
        }
        let group = |((provider, reason), (count, oldest)): ((&str, &str), _)| Self {
            provider: provider.to_owned(),
            reason: reason.to_owned(),
            count,
            oldest,
        };
        let mut groups: Vec<Self> = groups.into_iter().map(group).collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups
    }
}

fn json(waiting: Counts, total: usize, sampled: usize, groups: &[Group]) -> Value {
    let group = |group: &Group| {
        json!({
            "provider": group.provider, "reason": group.reason, "count": group.count, "oldest": group.oldest,
        })
    };
    json!({
        "waiting": { "visible": waiting.visible, "hidden": waiting.hidden },
        "dead_lettered": {
            "count": total,
            "sampled": sampled,
            "groups": groups.iter().map(group).collect::<Vec<_>>(),
        },
    })
}
