//! `livehooks simulate`: sends a whole meeting, as a provider reports it.

mod arguments;
mod sending;

use std::path::PathBuf;

use jiff::Timestamp;
use livehooks_signing::{Clock, Faults, Meeting, Plan, ProviderInfo, SimulatedDelivery, Simulation};
use uuid::Uuid;

use self::arguments::Speed;
use self::sending::{Sent, send};
use super::options::{keys_of, providers_named, signing_keys};
use super::webhooks::Webhooks;
use crate::error::{CommandError, Ending};
use crate::keys_file::KeysFile;
use crate::providers::name_choices;
use crate::terminal::{DIM, line, safe, styled};

/// A command to try first.
pub const TRY: &str = "cargo livehooks simulate livekit --room standup";

/// The arguments of `simulate`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks simulate livekit --room standup
  cargo livehooks simulate all --participants 3 --minutes 10 --seed 7
  cargo livehooks simulate videosdk --speed 60
  cargo livehooks simulate 100ms --duplicates 10 --reorder 10 --lose-ends 5

Without --speed, everything is sent at once: the meeting ends now, and its events have the times of a meeting in life. \
With --speed 60, a meeting of 30 minutes takes 30 seconds, and so do its events. A provider sends what it has a sample for \
(see send --list).

Exit status: 0 all accepted, 1 some rejected, 2 error, 130 stopped by Ctrl-C.")]
pub struct Simulate {
    #[arg(help = format!("{}, or `all`", name_choices()))]
    provider: String,
    /// The number of people, from 1 to 1000
    #[arg(long, value_name = "COUNT", default_value = "12", value_parser = arguments::count::<1_000>)]
    participants: u32,
    /// The meeting's length in minutes, from 1 to 1440
    #[arg(long, value_name = "COUNT", default_value = "30", value_parser = arguments::count::<1_440>)]
    minutes: u32,
    /// How many times faster than life, or max: at once
    #[arg(long, default_value = "max")]
    speed: Speed,
    /// The same seed gives the same meeting [default: random]
    #[arg(long)]
    seed: Option<u64>,
    /// The room's id [default: meeting-SEED]
    #[arg(long)]
    room: Option<String>,
    /// Send this part of the deliveries twice
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = arguments::percent)]
    duplicates: f64,
    /// Let this part of the deliveries be overtaken by up to five later ones
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = arguments::percent)]
    reorder: f64,
    /// Never send this part of the events that end something
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = arguments::percent)]
    lose_ends: f64,
    /// The stack's base URL [default: this folder's local stack]
    #[arg(long)]
    url: Option<String>,
    /// Keys file to sign with [default: the local stack's]
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

/// What one provider sends.
struct Script {
    provider: &'static ProviderInfo,
    room: String,
    deliveries: Vec<SimulatedDelivery>,
}

impl Simulate {
    /// Sends the meeting of each provider, and says how to see it.
    ///
    /// # Errors
    /// If the arguments or the keys are invalid, or the stack cannot be reached.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let keys = signing_keys(self.keys.as_deref())?;
        let providers = providers_named(&self.provider)?;
        let webhooks = Webhooks::at(self.url.as_deref()).await?;
        let seed = self.seed.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0 % 1_000_000);
        let room = self.room.clone().unwrap_or_else(|| format!("meeting-{seed}"));
        let meeting = Meeting { participants: self.participants as usize, minutes: self.minutes, seed };
        let plan = meeting.plan();
        let clock = match self.speed {
            Speed::Max => Clock::until(Timestamp::now(), &plan),
            Speed::Times(times) => Clock::from(Timestamp::now(), times),
        };
        let scripts = providers.into_iter().map(|provider| self.script(provider, &keys, &plan, &room, clock));
        let scripts = scripts.collect::<Result<Vec<_>, _>>()?;
        row(
            "meeting",
            format!(
                "{}, {} participants, {} minutes, seed {seed}",
                safe(&room, 60),
                self.participants,
                self.minutes
            ),
        )?;
        let mut deliveries: Vec<&SimulatedDelivery> =
            scripts.iter().flat_map(|script| &script.deliveries).collect();
        deliveries.sort_by_key(|delivery| delivery.due);
        let (sent, ending) = send(&webhooks, &keys, &deliveries, self.speed).await?;
        self.report(&scripts, &sent)?;
        Ok(ending)
    }

    fn script(
        &self,
        provider: &'static ProviderInfo,
        keys: &KeysFile,
        plan: &Plan,
        room: &str,
        clock: Clock,
    ) -> Result<Script, CommandError> {
        let faults = Faults {
            lose_ends: self.lose_ends / 100.0,
            duplicates: self.duplicates / 100.0,
            reorder: self.reorder / 100.0,
        };
        let simulation = Simulation::of(provider, keys_of(keys, provider)?, plan, room, clock);
        let simulation = simulation.map_err(|why| CommandError::Sign { provider: provider.name, why })?;
        let deliveries = faults.apply(plan.seed, simulation.deliveries);
        Ok(Script { provider, room: simulation.room, deliveries })
    }

    fn report(&self, scripts: &[Script], sent: &Sent) -> Result<(), CommandError> {
        for script in scripts {
            row(script.provider.name, sent.of(script.provider))?;
        }
        for script in scripts {
            let undated = script.deliveries.iter().filter(|delivery| !delivery.has_time).count();
            if undated > 0 {
                let all = script.deliveries.len();
                let advice = match self.speed {
                    Speed::Max => "; --speed 60 spreads them",
                    Speed::Times(_) => "",
                };
                let text = format!(
                    "{}: {undated} of {all} bodies hold no time, so these events have the time of their receipt{advice}",
                    script.provider.name
                );
                row("note", styled(DIM, text))?;
            }
        }
        let mut rooms: Vec<&str> = scripts.iter().map(|script| &*script.room).collect();
        rooms.sort_unstable();
        rooms.dedup();
        for room in rooms {
            row("timeline", format!("cargo livehooks timeline {}", argument(room)))?;
        }
        Ok(())
    }
}

fn row(name: &str, text: impl std::fmt::Display) -> Result<(), CommandError> {
    Ok(line(format!("{name:11} {text}"))?)
}

/// A string as one argument of a shell.
fn argument(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", safe(text, 200).replace('\'', r"'\''")),
    }
}
