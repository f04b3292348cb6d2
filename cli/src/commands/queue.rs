//! `livehooks queue`: what waits in the fallback queue, what is dead-lettered and why, and the way back.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::StackOptions;
use super::fallback_queue::{Counts, DeadLetter, FallbackQueue, Redrive};
use crate::error::{CommandError, Ending};
use crate::terminal::{BOLD, DIM, column, length, line, styled};

/// How often a redrive is asked how far it has come.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// What to do with the fallback queue.
#[derive(Clone, Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  cargo livehooks queue
  cargo livehooks queue --stack live --json
  cargo livehooks queue redrive --stack live

A delivery that was answered 200 but that the keys of today reject is dead-lettered, not deleted. Fix the keys \
(`keys show`, `keys add`), wait half a minute, then redrive: each delivery is verified again, as of the time at which \
it was received. Counts are SQS's own and may be a minute behind."
)]
pub struct ManageQueue {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    which: Which,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// Put the dead letters back into the fallback queue
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
    /// Shows the queue, or puts the dead letters back.
    ///
    /// # Errors
    /// Where SQS does not answer, or the redrive fails.
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
        let note = "what waits is only counted: SQS gives a message up after 480 reads";
        line(styled(DIM, format!("  {note}; metric Queued has provider and fault")))?;
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
        let note = format!("these are {} of {total} dead letters, a sample", sample.len());
        line(styled(DIM, format!("  {note}; metric DeadLettered has provider and reason of all")))?;
    }
    line(styled(
        DIM,
        format!("  fix the cause, then: cargo livehooks queue redrive{}", which.stack.again()),
    ))?;
    Ok(())
}

async fn redrive(which: &Which) -> Result<(), CommandError> {
    let queue = FallbackQueue::of(&which.stack.source().await?)?;
    let source = queue.start_redrive().await?;
    let mut reported = None;
    let done = loop {
        let redrive = queue.redrive(&source).await?;
        if redrive.status != "RUNNING" {
            break redrive;
        }
        if reported.replace(redrive.moved) != Some(redrive.moved) {
            let of = redrive.to_move.map_or_else(String::new, |count| format!(" of about {count}"));
            anstream::eprintln!("moved {}{of}; it goes on without this command", redrive.moved);
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
            advice: "what was not moved is still dead-lettered: run the same command again".into(),
        });
    }
    match which.json {
        true => line(json!({ "moved": moved }))?,
        false => line(format!("{moved} moved back to the fallback queue, where they are verified again"))?,
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
