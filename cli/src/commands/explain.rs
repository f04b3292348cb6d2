//! `livehooks explain`: one event's history, from delivery to notification.

use jiff::Timestamp;
use serde::Serialize;

use super::StackOptions;
use crate::error::{CommandError, Ending, causes};
use crate::history::{Filter, HistoryError, Source, Stored, decision};
use crate::local::lock_file::Running;
use crate::terminal::{BOLD, GREEN, YELLOW, length, line, local, safe, styled};

/// Which event.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks explain EV_eugWmGhovZmm
  cargo livehooks explain EV_eugWmGhovZmm --stack live
  cargo livehooks explain EV_eugWmGhovZmm --json | jq .event.data.raw

The id is that of the event (`events` shows it); for providers without ids it ends in a dot and a number.
Exit status: 0 found, 1 there is no such event, 2 it could not be found out.")]
pub struct Explain {
    /// The event's id, or how it begins
    event_id: String,
    /// Print JSON, one history per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stack: StackOptions,
}

/// What is known about one event.
#[derive(Serialize)]
struct History<'a> {
    event: &'a serde_json::value::RawValue,
    occurred_at: Timestamp,
    received_at: Timestamp,
    /// From the provider's clock to ours; absent where the provider gives no time.
    delivery_lag_s: Option<f64>,
    assurance: &'a str,
    dedupe: Dedupe<'a>,
    stored: Place<'a>,
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
struct Place<'a> {
    table: &'a str,
    event_bytes: usize,
    is_compressed: bool,
    body_sha256: &'a str,
    expires_at: Option<Timestamp>,
}

/// Whether it was published, as far as that can be known.
#[derive(Serialize)]
struct Published {
    /// Absent where only the logs know.
    is_published: Option<bool>,
    detail: String,
    /// Commands that show more.
    look: Vec<String>,
}

impl Explain {
    /// Prints the history.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let source = self.stack.source().await?;
        let mut found = source.events_with_id(&self.event_id).await?;
        if found.is_empty() {
            // The tables show a part of long ids: it will do, at the price of reading the whole table.
            let part = self.event_id.trim_end_matches('…');
            found = source.events(&Filter { text: Some(part.into()), ..Filter::default() }).await?;
            found.retain(|stored| !part.is_empty() && stored.event.id.starts_with(part));
        }
        if found.is_empty() {
            anstream::eprintln!(
                "no event with id {:?} in {}\n  it may have expired, or never have been accepted; look for a part of it with: cargo livehooks events{} --text TEXT",
                self.event_id,
                source.name(),
                self.stack.again()
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
        Ok(Ending::Fine)
    }
}

async fn history<'a>(source: &'a Source, stored: &'a Stored) -> Result<History<'a>, CommandError> {
    let event = &stored.event;
    let raw: &serde_json::value::RawValue = serde_json::from_str(&stored.json).map_err(|error| {
        HistoryError::NoEvent { event_key: stored.event_key.clone(), why: error.to_string() }
    })?;
    let lag = stored.received_at.duration_since(event.time);
    Ok(History {
        event: raw,
        occurred_at: event.time,
        received_at: stored.received_at,
        delivery_lag_s: (event.timebasis == "provider").then(|| lag.as_secs_f64()),
        assurance: &event.assurance,
        dedupe: Dedupe {
            basis: &event.dedupebasis,
            event_key: &stored.event_key,
            occurrence: stored.occurrence,
            decision: decision(source, stored).await?,
        },
        stored: Place {
            table: &source.table,
            event_bytes: stored.event_bytes,
            is_compressed: stored.is_compressed,
            body_sha256: &stored.body_sha256,
            expires_at: stored.expires_at,
        },
        published: match &source.stack {
            None => published_locally(stored).await,
            Some(_) => published_in_aws(source, stored).await,
        },
    })
}

/// The local stack has a log of all notifications since its start.
async fn published_locally(stored: &Stored) -> Published {
    let base = Running::read().map_or_else(|| "http://127.0.0.1:3000".into(), |running| running.url);
    let url = format!("{base}/api/announcements?replay=all&follow=false");
    let read = async { reqwest::get(&url).await?.error_for_status()?.text().await };
    let log = match read.await {
        Ok(log) => log,
        Err(error) => {
            let detail = format!("not known: {}", causes(&error.without_url()));
            return Published { is_published: None, detail, look: vec![format!("curl -N '{url}'")] };
        }
    };
    #[derive(serde::Deserialize)]
    struct Entry {
        message: Message,
    }
    #[derive(serde::Deserialize)]
    struct Message {
        id: String,
        source: String,
        replayid: Option<String>,
    }
    let entries = log.lines().filter_map(|line| line.strip_prefix("data: "));
    let messages =
        entries.filter_map(|data| serde_json::from_str::<Entry>(data).ok()).map(|entry| entry.message);
    let of_event =
        |message: &Message| (&message.id, &message.source) == (&stored.event.id, &stored.event.source);
    let (replays, first): (Vec<_>, Vec<_>) = messages.filter(of_event).partition(|m| m.replayid.is_some());
    let detail = match (first.len(), replays.len()) {
        (0, 0) => "not since this start of the local stack; it may have been before".into(),
        (first, 0) => format!("{first}× since the local stack started"),
        (first, replays) => format!("{first}× since the local stack started, and replayed {replays}×"),
    };
    Published { is_published: (!first.is_empty()).then_some(true), detail, look: Vec::new() }
}

/// The notifier counts what it publishes and logs only what went wrong.
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
        detail: "the notifier logs only what it could not publish: no line after the time of receipt means that it was".into(),
        look: vec![search(notify, "?ERROR ?WARN"), search(ingest, &format!("\"{id}\""))],
    }
}

fn print(source: &Source, stored: &Stored, history: &History<'_>) -> Result<(), CommandError> {
    let event = &stored.event;
    let say = |name: &str, text: &str| line(format!("{} {text}", styled(BOLD, format!("{name:10}"))));
    let time = |time| local(time, "%Y-%m-%d %H:%M:%S%.3f %Z");
    let known = |text: &Option<String>| safe(text.as_deref().unwrap_or("-"), 80);
    say("event", &safe(&event.id, 120))?;
    say("type", &format!("{}, which {} calls {}", event.r#type, event.provider, known(&event.providertype)))?;
    say("room", &known(&event.subject))?;
    if let Some(who) = event.participant_key() {
        say("who", &safe(who, 80))?;
    }
    match history.delivery_lag_s {
        Some(_) => say("occurred", &format!("{} by the provider's clock", time(event.time)))?,
        None => say("occurred", "the provider gives no time: the time of receipt counts")?,
    }
    let lag = stored.received_at.duration_since(event.time);
    let lag = match history.delivery_lag_s {
        None => String::new(),
        Some(lag_s) if lag_s < 0.0 => format!(", {} before it occurred: the clocks differ", length(lag)),
        Some(_) => format!(", {} later", length(lag)),
    };
    say("received", &format!("{}{lag}", time(stored.received_at)))?;
    say("verified", &format!("{}: {}", event.assurance, assured(&event.assurance)))?;
    if let Some(account) = event.source.split('/').nth(3) {
        say("", &format!("account or key {}", safe(account, 60)))?;
    }
    say("dedupe", &format!("by {}; {}", event.dedupebasis, history.dedupe.decision))?;
    say(
        "stored",
        &format!("table {}, key {} / {}", source.table, safe(&stored.event_key, 120), stored.occurrence),
    )?;
    let packed = if stored.is_compressed { " compressed" } else { "" };
    say("", &format!("{} bytes{packed}", stored.event_bytes))?;
    say("", &format!("body {}", stored.body_sha256))?;
    if let Some(expires_at) = stored.expires_at {
        say("", &format!("expires {}", time(expires_at)))?;
    }
    let published = match history.published.is_published {
        Some(true) => styled(GREEN, &history.published.detail),
        _ => styled(YELLOW, &history.published.detail),
    };
    say("published", &published)?;
    for look in &history.published.look {
        say("", look)?;
    }
    Ok(())
}

fn assured(assurance: &str) -> &'static str {
    match assurance {
        "signed" => "a key of this account over exactly this body",
        "provider-signed" => "the provider signed this body, for whichever of its accounts",
        "shared-secret" => "a header that only the provider should know; the body is not covered",
        _ => "not known to this version",
    }
}
