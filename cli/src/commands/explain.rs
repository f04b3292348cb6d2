//! `livehooks explain`: shows one event's history, from delivery to notification.

use jiff::Timestamp;
use livehooks_event::{Assurance, TimeBasis};
use serde::Serialize;

use super::{StackOptions, ended};
use crate::dev::PublishCount;
use crate::error::{CommandError, Ending};
use crate::forward::describe;
use crate::history::{Filter, HistoryError, Source, Stored, Tombstone, decision};
use crate::local::lock_file::RunningStack;
use crate::terminal::{BOLD, GREEN, YELLOW, length, line, local, safe, styled};

/// The arguments of `explain`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks explain EV_eugWmGhovZmm
  cargo livehooks explain EV_eugWmGhovZmm --stack live
  cargo livehooks explain EV_eugWmGhovZmm --json | jq .event.data.raw

EVENT_ID is the event's id, as `events` shows it. If the provider assigns no ids, it ends in a dot and a number.

Exit status: 0 found, 1 not found, 2 error.")]
pub struct Explain {
    /// The event's id, or a prefix of it
    event_id: String,
    /// Print each history as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stack: StackOptions,
}

/// What is known about one event.
#[derive(Serialize)]
struct EventHistory<'a> {
    event: &'a serde_json::value::RawValue,
    occurred_at: Timestamp,
    received_at: Timestamp,
    /// From the provider's clock to ours; absent if the provider gives no time.
    delivery_lag_s: Option<f64>,
    assurance: &'a str,
    dedupe: Dedupe<'a>,
    stored: StorageInfo<'a>,
    published: Published,
}

#[derive(Serialize)]
struct Dedupe<'a> {
    basis: &'a str,
    event_key: &'a str,
    occurrence: u64,
    decision: String,
}

#[derive(Serialize)]
struct StorageInfo<'a> {
    table: &'a str,
    event_bytes: usize,
    is_compressed: bool,
    body_sha256: &'a str,
    expires_at: Option<Timestamp>,
    /// When parts of it were erased.
    forgotten_at: Option<Timestamp>,
}

/// Whether the event was published, as far as is known.
#[derive(Serialize)]
struct Published {
    /// Absent if unknown.
    is_published: Option<bool>,
    detail: String,
    /// Commands that show more.
    #[serde(rename = "look")]
    commands: Vec<String>,
}

impl Explain {
    /// Prints the history.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let source = self.stack.source().await?;
        let mut found = source.events_with_id(&self.event_id).await?;
        let forgotten =
            if found.is_empty() { source.tombstones_with_id(&self.event_id).await? } else { Vec::new() };
        if !forgotten.is_empty() {
            forgotten.iter().try_for_each(|tombstone| self.print_tombstone(&source, tombstone))?;
            return Ok(ended(&source, Ending::Fine));
        }
        if found.is_empty() {
            // `events` truncates long ids, so a prefix is accepted, although it takes a look at every entry of the index.
            let part = self.event_id.trim_end_matches('…');
            if !part.is_empty() {
                found = source.events(&Filter { id: Some(part.into()), ..Filter::default() }).await?;
            }
        }
        if found.is_empty() && source.skipped() > 0 {
            return Ok(ended(&source, Ending::Fine));
        }
        if found.is_empty() {
            anstream::eprintln!(
                "no event with id {:?} in {}\n  it may have expired or never have been accepted; search with: cargo livehooks events{} --text TEXT",
                self.event_id,
                source.name(),
                self.stack.to_arguments()
            );
            return Ok(Ending::No);
        }
        for (index, stored) in found.iter().enumerate() {
            let history = history(&source, stored).await?;
            if index > 0 && !self.json {
                line("")?;
            }
            match self.json {
                true => line(serde_json::to_string(&history).unwrap_or_default().replace(['\r', '\n'], " "))?,
                false => print(&source, stored, &history)?,
            }
        }
        Ok(ended(&source, Ending::Fine))
    }

    fn print_tombstone(&self, source: &Source, tombstone: &Tombstone) -> Result<(), CommandError> {
        if self.json {
            return Ok(line(serde_json::to_string(tombstone).unwrap_or_default())?);
        }
        row("event", &safe(&self.event_id, 120))?;
        row("type", &safe(&tombstone.r#type, 80))?;
        if let Some(received_at) = tombstone.received_at {
            row("received", &time(received_at))?;
        }
        row("forgotten", &format!("{} with `livehooks forget`", time(tombstone.forgotten_at)))?;
        row("stored", &key(source, &tombstone.event_key, tombstone.occurrence))?;
        row("", "only the key, so that a repeated delivery is a duplicate")?;
        match tombstone.expires_at {
            Some(expires_at) => row("", &format!("expires {}", time(expires_at))),
            None => Ok(()),
        }
    }
}

async fn history<'a>(source: &'a Source, stored: &'a Stored) -> Result<EventHistory<'a>, CommandError> {
    let event = &stored.event;
    let raw: &serde_json::value::RawValue = serde_json::from_str(&stored.json).map_err(|error| {
        HistoryError::NoEvent { event_key: stored.event_key.clone(), why: error.to_string() }
    })?;
    let lag = stored.received_at.duration_since(event.time);
    Ok(EventHistory {
        event: raw,
        occurred_at: event.time,
        received_at: stored.received_at,
        delivery_lag_s: (event.timebasis == TimeBasis::Provider).then(|| lag.as_secs_f64()),
        assurance: event.assurance.as_str(),
        dedupe: Dedupe {
            basis: event.dedupebasis.as_str(),
            event_key: &stored.event_key,
            occurrence: stored.occurrence,
            decision: decision(source, stored).await?,
        },
        stored: StorageInfo {
            table: &source.table,
            event_bytes: stored.event_bytes,
            is_compressed: stored.is_compressed,
            body_sha256: &stored.body_sha256,
            expires_at: stored.expires_at,
            forgotten_at: stored.forgotten_at,
        },
        published: match &source.stack {
            None => published_locally(stored).await,
            Some(_) => published_in_aws(source, stored).await,
        },
    })
}

/// Asks the local stack how often it has published the event since its start.
async fn published_locally(stored: &Stored) -> Published {
    let running = RunningStack::read().ok().flatten();
    let base = running.map_or_else(|| "http://127.0.0.1:3000".into(), |running| running.url);
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("source", &stored.event.source).append_pair("id", &stored.event.id);
    let url = format!("{base}/api/announcements/count?{}", query.finish());
    let read = async { reqwest::get(&url).await?.error_for_status()?.bytes().await };
    let count = match read.await {
        Ok(json) => serde_json::from_slice::<PublishCount>(&json).map_err(|error| error.to_string()),
        Err(error) => Err(describe(error)),
    };
    let PublishCount { published, replayed } = match count {
        Ok(count) => count,
        Err(why) => {
            let detail = format!("unknown: {why}");
            return Published { is_published: None, detail, commands: vec![format!("curl '{url}'")] };
        }
    };
    let detail = match (published, replayed) {
        (0, 0) => "not since the local stack started; perhaps before".into(),
        (published, 0) => format!("{published}× since the local stack started"),
        (published, replayed) => {
            format!("{published}× since the local stack started, and replayed {replayed}×")
        }
    };
    Published { is_published: (published > 0).then_some(true), detail, commands: Vec::new() }
}

/// The deployed notifier logs failures only.
async fn published_in_aws(source: &Source, stored: &Stored) -> Published {
    let region = source.stack.as_ref().map_or("", |stack| stack.region.as_str());
    let search = |group: String, pattern: &str| {
        let from = stored.received_at.as_millisecond().saturating_sub(60_000);
        format!(
            "aws logs filter-log-events --region {region} --log-group-name {group} --start-time {from} --filter-pattern '{pattern}'"
        )
    };
    let ingest = source.log_group("IngestLogGroup").await;
    let notify = source.log_group("NotifyLogGroup").await;
    let id = safe(&stored.event.id, 200).replace(['\'', '"'], "?");
    Published {
        is_published: None,
        detail:
            "the notifier logs failures only: no line after the receive time means the event was published"
                .into(),
        commands: vec![search(notify, "?ERROR ?WARN"), search(ingest, &format!("\"{id}\""))],
    }
}

fn print(source: &Source, stored: &Stored, history: &EventHistory<'_>) -> Result<(), CommandError> {
    let event = &stored.event;
    let known = |text: &Option<String>| safe(text.as_deref().unwrap_or("-"), 80);
    row("event", &safe(&event.id, 120))?;
    row("type", &format!("{} ({} type {})", event.r#type, event.provider, known(&event.providertype)))?;
    row("room", &known(&event.subject))?;
    if let Some(who) = event.participant_key() {
        row("participant", &safe(who, 80))?;
    }
    match history.delivery_lag_s {
        Some(_) => row("occurred", &format!("{} by the provider's clock", time(event.time)))?,
        None => row("occurred", "the provider gives no time; the receive time is used")?,
    }
    let lag = stored.received_at.duration_since(event.time);
    let lag = match history.delivery_lag_s {
        None => String::new(),
        Some(lag_s) if lag_s < 0.0 => format!(", {} before it occurred (the clocks differ)", length(lag)),
        Some(_) => format!(", {} later", length(lag)),
    };
    row("received", &format!("{}{lag}", time(stored.received_at)))?;
    row("verified", &format!("{}: {}", event.assurance, assurance_text(&event.assurance)))?;
    if let Some(account) = event.source.split('/').nth(3) {
        row("", &format!("account or key {}", safe(account, 60)))?;
    }
    row("dedupe", &format!("by {}; {}", event.dedupebasis, history.dedupe.decision))?;
    row("stored", &key(source, &stored.event_key, stored.occurrence))?;
    let packed = if stored.is_compressed { " compressed" } else { "" };
    row("", &format!("{} bytes{packed}", stored.event_bytes))?;
    row("", &format!("body {}", stored.body_sha256))?;
    if let Some(expires_at) = stored.expires_at {
        row("", &format!("expires {}", time(expires_at)))?;
    }
    if let Some(forgotten_at) = stored.forgotten_at {
        row("forgotten", &format!("{}: a person and the provider's JSON were erased", time(forgotten_at)))?;
    }
    let published = match history.published.is_published {
        Some(true) => styled(GREEN, &history.published.detail),
        _ => styled(YELLOW, &history.published.detail),
    };
    row("published", &published)?;
    for command in &history.published.commands {
        row("", command)?;
    }
    Ok(())
}

fn row(name: &str, text: &str) -> Result<(), CommandError> {
    Ok(line(format!("{} {text}", styled(BOLD, format!("{name:11}"))))?)
}

fn time(time: Timestamp) -> String {
    local(time, "%Y-%m-%d %H:%M:%S%.3f %Z")
}

fn key(source: &Source, event_key: &str, occurrence: u64) -> String {
    format!("table {}, key {} / {occurrence}", source.table, safe(event_key, 120))
}

fn assurance_text(assurance: &Assurance) -> &'static str {
    match assurance {
        Assurance::Signed => "this account's key signed this body",
        Assurance::ProviderSigned => "the provider signed this body, but not for a specific account",
        Assurance::SharedSecret => "a secret header matched; the body is not signed",
        _ => "unknown to this version",
    }
}
