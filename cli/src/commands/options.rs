//! Options that several commands share.

use std::path::Path;

use jiff::{SignedDuration, Timestamp, Zoned, civil};
use livehooks_core::PROVIDER_NAMES;
use livehooks_signing::{PROVIDERS, ProviderInfo};
use serde_json::Value;

use crate::error::CommandError;
use crate::history::{Filter, Source};
use crate::keys_file::KeysFile;
use crate::local::default_keys_file;
use crate::local::lock_file::{NotRunning, RunningStack};
use crate::providers::{expected_name, name_choices};
use crate::terminal::{YELLOW, styled};

/// The stack to use.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Stack")]
pub struct StackOptions {
    /// CloudFormation name of a deployed stack [default: this folder's local stack]
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
    /// The deployed stack's region [default: the AWS profile's]
    #[arg(long, value_name = "REGION", requires = "stack")]
    pub region: Option<String>,
}

impl StackOptions {
    /// Connects to the stack to read from it. If none was started from this folder, says so and uses the default ports.
    pub(crate) async fn source(&self) -> Result<Source, CommandError> {
        match self.source_to_publish().await {
            Err(CommandError::NotRunning(why)) if !matches!(why, NotRunning::NoAnswer { .. }) => {
                anstream::eprintln!(
                    "{}: {why}; reading from the default ports (127.0.0.1:3001 and 3002)",
                    styled(YELLOW, "note")
                );
                Ok(Source::at_default_ports())
            }
            source => source,
        }
    }

    /// Connects to the stack, and never to another one than that of this folder.
    pub(crate) async fn source_to_publish(&self) -> Result<Source, CommandError> {
        if let Some(name) = &self.stack {
            return Ok(Source::of_stack(name, self.region.as_deref()).await?);
        }
        let running = RunningStack::find().await.map_err(CommandError::NotRunning)?;
        Ok(Source::local(running.dynamodb, running.sns))
    }

    /// The options as arguments, for a suggested command line.
    pub(crate) fn to_arguments(&self) -> String {
        let option = |name: &str, value: &Option<String>| {
            value.as_ref().map_or(String::new(), |value| format!(" --{name} {value}"))
        };
        option("stack", &self.stack) + &option("region", &self.region)
    }
}

/// The keys to sign with: those in a file, of the local stack of this folder, or new ones.
pub(crate) fn signing_keys(file: Option<&Path>) -> Result<KeysFile, CommandError> {
    if let Some(file) = file {
        return Ok(KeysFile::read(file)?);
    }
    Ok(match RunningStack::read().map_err(CommandError::NowhereToSend)? {
        Some(running) => KeysFile::read(&running.keys)?,
        None => KeysFile::read_or_make(&default_keys_file())?,
    })
}

/// One provider's keys to sign with.
pub(crate) fn keys_of<'a>(keys: &'a KeysFile, provider: &ProviderInfo) -> Result<&'a Value, CommandError> {
    keys.signing(provider).ok_or(CommandError::NoKeys(provider.name))
}

/// The provider of this name, or all of them.
pub(crate) fn providers_named(name: &str) -> Result<Vec<&'static ProviderInfo>, CommandError> {
    if name == "all" {
        return Ok(PROVIDERS.iter().collect());
    }
    let provider = ProviderInfo::named(name).ok_or_else(|| CommandError::Usage {
        option: "provider",
        expected: format!("{} or all", expected_name()),
        found: name.into(),
        advice: "",
    })?;
    Ok(vec![provider])
}

/// Event filters, without the receive time.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Events")]
pub struct Selection {
    /// The provider
    #[arg(long, help = name_choices(), value_parser = provider)]
    pub provider: Option<String>,
    /// The event type; `*` matches any characters, as in 'live.recording.*'
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// The room's id
    #[arg(long)]
    pub room: Option<String>,
    /// The participant's id
    #[arg(long, value_name = "ID")]
    pub participant: Option<String>,
    /// A string that occurs anywhere in the event
    #[arg(long)]
    pub text: Option<String>,
}

/// Event filters.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Events")]
pub struct FilterOptions {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Received since TIME: 30m, 2h, 7d (ago), or a time (2026-01-31, 2026-01-31T22:00, …Z)
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Received before TIME (same formats as --since)
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
}

impl Selection {
    /// The filter for these options.
    pub(crate) fn filter(&self) -> Filter {
        Filter {
            provider: self.provider.clone(),
            r#type: self.kind.clone(),
            room: self.room.clone(),
            participant: self.participant.clone(),
            text: self.text.clone(),
            ..Filter::default()
        }
    }
}

impl Selection {
    /// The options as arguments: `--room standup --type live.recording.*`.
    pub(crate) fn to_arguments(&self) -> String {
        let Self { provider, kind, room, participant, text } = self;
        let all = [
            ("provider", provider),
            ("type", kind),
            ("room", room),
            ("participant", participant),
            ("text", text),
        ];
        let set = all.iter().filter_map(|(name, value)| Some(format!("--{name} {}", value.as_ref()?)));
        set.collect::<Vec<_>>().join(" ")
    }
}

impl FilterOptions {
    /// The filter for these options.
    pub(crate) fn filter(&self, limit: Option<usize>) -> Filter {
        let time = |moment: &Option<Moment>| moment.as_ref().map(|moment| moment.time);
        Filter { since: time(&self.since), until: time(&self.until), limit, ..self.selection.filter() }
    }
}

/// An argument has none of the expected forms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct ArgumentError {
    pub(crate) expected: String,
}

/// Parses a provider's name.
pub(crate) fn provider(text: &str) -> Result<String, ArgumentError> {
    match PROVIDER_NAMES.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(ArgumentError { expected: expected_name() }),
    }
}

/// A time, and how it was written: `2h` is a different time in each run.
#[derive(Clone, Debug)]
pub struct Moment {
    /// As written.
    pub text: String,
    /// The time it denotes.
    pub time: Timestamp,
}

impl std::str::FromStr for Moment {
    type Err = ArgumentError;

    /// Parses a duration (ago), a date, a local time, or a time with an offset.
    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        Ok(Self { text: text.to_owned(), time: time_at(text, &Zoned::now())? })
    }
}

/// Parses a duration such as `90s`, `30m`, `6h` or `7d`.
pub(crate) fn duration(text: &str) -> Result<SignedDuration, ArgumentError> {
    let expected = || ArgumentError { expected: "a duration such as 90s, 30m, 6h or 7d".into() };
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(expected()),
    };
    let number: i64 = number.parse().map_err(|_| expected())?;
    let seconds = number.checked_mul(seconds).filter(|seconds| (0..=3_153_600_000).contains(seconds));
    seconds.map(SignedDuration::from_secs).ok_or_else(expected)
}

fn time_at(text: &str, now: &Zoned) -> Result<Timestamp, ArgumentError> {
    let expected = || ArgumentError {
        expected: "2h, 2026-01-31, 2026-01-31T22:00 (local) or 2026-01-31T22:00:00Z".into(),
    };
    if let Ok(ago) = duration(text) {
        return now.timestamp().checked_sub(ago).map_err(|_| expected());
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let local = text.parse::<civil::DateTime>().map_err(|_| expected())?;
    local.to_zoned(now.time_zone().clone()).map(|zoned| zoned.timestamp()).map_err(|_| expected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_relative_local_or_absolute() {
        let now: Zoned = "2026-01-31T12:00:00+01:00[+01:00]".parse().unwrap();
        for (text, expected) in [
            ("90s", "2026-01-31T10:58:30Z"),
            ("30m", "2026-01-31T10:30:00Z"),
            ("2h", "2026-01-31T09:00:00Z"),
            ("7d", "2026-01-24T11:00:00Z"),
            ("2026-01-30", "2026-01-29T23:00:00Z"),
            ("2026-01-30T22:00", "2026-01-30T21:00:00Z"),
            ("2026-01-30T22:00:00Z", "2026-01-30T22:00:00Z"),
            ("2026-01-30T22:00:00-05:00", "2026-01-31T03:00:00Z"),
        ] {
            assert_eq!(time_at(text, &now).unwrap().to_string(), expected, "{text}");
        }
        for text in ["", "d", "é", "-1h", "2h30", "99999999999999999d", "yesterday"] {
            assert!(time_at(text, &now).is_err(), "{text}");
        }
    }
}
