//! `livehooks forget`: erases a person from the stored events.
//!
//! What was erased is not found again. So a run that was interrupted is completed by the same command, without a file that
//! would hold the person's id.

mod erasure;
mod person;
mod redaction;
mod summary;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};

use clap::builder::NonEmptyStringValueParser;
use indicatif::{ProgressBar, ProgressStyle};
use livehooks_aws::store::Item;

use super::options::provider;
use super::{Moment, StackOptions, ended};
use crate::error::{CommandError, Ending};
use crate::history::{EventKey, Filter, Source, Stored};
use crate::providers::name_choices;
use crate::terminal::{GREEN, styled};
use erasure::Erasure;
use person::{Aliases, Person};
use redaction::Finding;
use summary::{Summary, key};

/// How many items are read at once.
const CHUNK: usize = 1_000;

/// The arguments of `forget`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks forget --participant user-42 --dry-run
  cargo livehooks forget --stack live --participant user-42
  cargo livehooks forget --stack live --participant user-42 --participant PA_7xKq3bV9fLwT --yes

Events about this person alone lose everything but key, type and times. Other events in which the id occurs lose the \
provider's JSON and what names the person; room, session and times stay, so timelines stay complete. Nothing is \
published, and a repeated delivery is still a duplicate. An interrupted run is completed by the same command. What \
remains elsewhere, and for how long: docs/forgetting.md. It needs dynamodb:GetItem and PutItem.

Exit status: 0 erased (or --dry-run), 1 nothing found or not confirmed, 2 error, 130 stopped by Ctrl-C.")]
pub struct Forget {
    /// The person's id, assigned by the provider or the application; may be repeated
    #[arg(long, value_name = "ID", required = true, value_parser = NonEmptyStringValueParser::new())]
    participant: Vec<String>,
    /// Search also parts of longer words: ann in ann-marie or ann.mp4
    #[arg(long)]
    in_words: bool,
    /// Only this provider
    #[arg(long, help = name_choices(), value_parser = provider)]
    provider: Option<String>,
    /// Only events of this room
    #[arg(long)]
    room: Option<String>,
    /// Only events received since TIME: 30m, 2h, 7d (ago), or a time
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Show what would be erased without erasing it
    #[arg(long)]
    dry_run: bool,
    /// Erase without asking
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Print each group of events as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stack: StackOptions,
}

impl Forget {
    /// Finds the person's events, asks, and erases.
    ///
    /// # Errors
    /// If the table cannot be read or written, or nobody can be asked.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let asks = !self.yes && !self.dry_run;
        if asks && !io::stdin().is_terminal() {
            return Err(CommandError::Stopped {
                what: "forget",
                why: "expected a terminal to ask for confirmation on, found none".into(),
                advice: "see what would be erased with --dry-run, then erase it with --yes".into(),
            });
        }
        let source = self.stack.source_to_publish().await?;
        let person = Person::new(self.participant.clone());
        let person = if self.in_words { person.also_in_words() } else { person };
        let Search { person, groups, summary } = self.search(&source, person).await?;
        summary.print(self.json)?;
        anstream::eprintln!("{}", summary.text(&source.name()));
        let total = groups.iter().map(Vec::len).sum();
        if total == 0 {
            return Ok(if source.skipped() > 0 { ended(&source, Ending::Fine) } else { Ending::No });
        }
        if self.dry_run {
            anstream::eprintln!("nothing was erased");
            return Ok(ended(&source, Ending::Fine));
        }
        if asks && !is_confirmed()? {
            anstream::eprintln!("nothing was erased");
            return Ok(Ending::No);
        }
        let bar = progress(total, "events erased");
        let Erasure { done, ending } = erasure::run(&source, &person, groups, &bar).await;
        bar.finish_and_clear();
        let said = match done == total {
            true => {
                styled(GREEN, format!("erased {done} events; docs/forgetting.md says what remains elsewhere"))
            }
            false => format!("erased {done} of {total} events; run the same command to continue"),
        };
        anstream::eprintln!("{said}");
        ending.map(|ending| ended(&source, ending))
    }

    /// Finds the events in which the person is. Providers give a person other ids in a session; they are then searched in
    /// the same room.
    async fn search(&self, source: &Source, person: Person) -> Result<Search, CommandError> {
        let filter = Filter {
            provider: self.provider.clone(),
            room: self.room.clone(),
            since: self.since.as_ref().map(|since| since.time),
            ..Filter::default()
        };
        source.indexed().await;
        let bar = progress(0, "events searched");
        let (mut summary, mut aliases, mut found) = (Summary::default(), Aliases::new(), BTreeSet::new());
        find(source, &person, &filter, &bar, |item, mut finding| {
            if let Some((room_key, ids)) = finding.aliases.take() {
                aliases.entry(room_key).or_default().extend(ids);
            }
            found.extend(summary.add(item, finding));
        })
        .await?;
        aliases.retain(|_, ids| !ids.is_empty());
        let rooms: Vec<String> = aliases.keys().cloned().collect();
        let (person, mut by_alias) = (person.also_known_as(aliases), BTreeSet::new());
        for (provider, room) in rooms.iter().filter_map(|room_key| room_key.split_once('#')) {
            let filter =
                Filter { provider: Some(provider.into()), room: Some(room.into()), ..filter.clone() };
            find(source, &person, &filter, &bar, |item, finding| {
                if !found.contains(&key(item)) {
                    by_alias.extend(summary.add(item, finding));
                }
            })
            .await?;
        }
        bar.finish_and_clear();
        // The others show that an alias is the person's, so they are erased last: a run may be interrupted.
        let groups = [by_alias, found].map(|keys| keys.into_iter().collect());
        Ok(Search { person, groups, summary })
    }
}

/// The events in which a person is.
struct Search {
    person: Person,
    /// Those found by an alias alone, and the others.
    groups: [Vec<EventKey>; 2],
    summary: Summary,
}

/// Searches the events that match a filter.
async fn find(
    source: &Source,
    person: &Person,
    filter: &Filter,
    bar: &ProgressBar,
    mut found: impl FnMut(&Item, Finding),
) -> Result<(), CommandError> {
    let keys = source.event_keys(filter).await?;
    bar.inc_length(keys.len() as u64);
    for keys in keys.chunks(CHUNK) {
        for item in source.items_at(keys).await? {
            match Finding::of(person, &item) {
                Ok(finding) => found(&item, finding),
                Err(_) => drop(source.readable(Stored::read(&item))?),
            }
        }
        bar.inc(keys.len() as u64);
    }
    Ok(())
}

fn progress(total: usize, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(total as u64);
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {what}, {{eta}} left"));
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn is_confirmed() -> io::Result<bool> {
    anstream::eprint!("Erase this? It cannot be undone. Type yes: ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
