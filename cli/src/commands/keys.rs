//! `livehooks keys`: lists, adds and retires a stack's keys without showing any.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use livehooks_signing::ProviderInfo;
use serde::Serialize;
use serde_json::Value;

use super::keys_store::KeysStore;
use super::options::provider;
use super::{StackOptions, keyring};
use crate::error::{CommandError, Ending};
use crate::providers::name_choices;
use crate::terminal::{BOLD, YELLOW, column, line, safe, styled};

/// The arguments of `keys`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks keys show --stack live --provider livekit
  cargo livehooks keys add --stack live --provider livekit --label APInew
  openssl rand -hex 32 | cargo livehooks keys add --stack live --provider videosdk --field url_tokens
  cargo livehooks keys retire --stack live --provider livekit 8f4c21d07a3b
  cargo livehooks keys show --keys .livehooks/keys.json --provider 100ms

Secrets are read from a prompt or from standard input, never from the command line. To rotate a key: add the new one, \
wait five minutes, switch the provider over, retire the old one. Your credentials need secretsmanager:GetSecretValue, \
and to change keys PutSecretValue and UpdateSecretVersionStage. Concurrent changes are not overwritten.")]
pub struct ManageKeys {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// List labels and fingerprints of the keys
    Show(Which),
    /// Add a key
    Add {
        /// The field to add it to [default: the provider's only one]
        #[arg(long)]
        field: Option<String>,
        /// The secret's API key, or the name of the secret header
        #[arg(long)]
        label: Option<String>,
        #[command(flatten)]
        which: Which,
    },
    /// Remove a key
    Retire {
        /// The key's fingerprint, as `show` prints it
        fingerprint: String,
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Clone, Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("where").required(true).args(["stack", "keys"])))]
struct Which {
    #[arg(long, help = name_choices(), value_parser = provider)]
    provider: String,
    /// A keys file of the local stack
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Print each key as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stack: StackOptions,
}

/// A key's label and fingerprint.
#[derive(Serialize)]
struct Shown<'a> {
    provider: &'a str,
    field: &'a str,
    label: Option<&'a str>,
    fingerprint: &'a str,
}

impl ManageKeys {
    /// Performs the action and prints the resulting keys.
    ///
    /// # Errors
    /// If the keys cannot be read or written, or the result would be invalid.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let (Action::Show(which) | Action::Add { which, .. } | Action::Retire { which, .. }) = &self.action;
        let provider = ProviderInfo::named(&which.provider).ok_or_else(|| CommandError::Usage {
            option: "--provider",
            expected: "a provider".into(),
            found: which.provider.clone(),
            advice: "",
        })?;
        let field = match &self.action {
            Action::Add { field, .. } => keyring::field(&provider.fields(), field.as_deref())?,
            Action::Show(_) | Action::Retire { .. } => String::new(),
        };
        let store = match &which.keys {
            Some(file) => KeysStore::File(file.clone()),
            None => KeysStore::of_stack(&which.stack.source().await?, provider)?,
        };
        let loaded = store.read(provider).await?;
        let mut secret = loaded.secret.clone();
        let mut shortness = None;
        match &self.action {
            Action::Show(_) => {}
            Action::Add { label, .. } => {
                let key = read_secret()?;
                keyring::add(&mut secret, &field, label.as_deref(), &key)?;
                shortness = keyring::shortness(&field, &key);
            }
            Action::Retire { fingerprint, .. } => {
                keyring::retire(&mut secret, fingerprint)?;
            }
        }
        let weakness =
            (provider.check_keys)(&provider.public_keys(&secret)).map_err(|error| CommandError::Stopped {
                what: "the change",
                why: format!("the remaining keys would be invalid: {error}"),
                advice: "nothing was changed; add another key first".into(),
            })?;
        if secret != loaded.secret {
            store.write(provider, &loaded, &secret).await?;
        }
        self.show(provider, which, &secret, shortness.into_iter().chain(weakness))
    }

    fn show(
        &self,
        provider: &ProviderInfo,
        which: &Which,
        secret: &Value,
        warnings: impl Iterator<Item = String>,
    ) -> Result<Ending, CommandError> {
        let keys = keyring::list(&provider.public_keys(secret));
        if !which.json {
            line(styled(BOLD, format!("{:16} {} FINGERPRINT", "FIELD", column("LABEL", 28))))?;
        }
        for key in &keys {
            let shown = Shown {
                provider: provider.name,
                field: &key.field,
                label: key.label.as_deref(),
                fingerprint: &key.fingerprint,
            };
            match which.json {
                true => line(serde_json::to_string(&shown).unwrap_or_default())?,
                false => {
                    let label = column(key.label.as_deref().unwrap_or("-"), 28);
                    line(format!("{} {label} {}", column(&key.field, 16), key.fingerprint))?;
                }
            }
        }
        for warning in warnings {
            anstream::eprintln!("{}: {}", styled(YELLOW, "warning"), safe(&warning, 400));
        }
        if !matches!(self.action, Action::Show(_)) && which.keys.is_none() {
            anstream::eprintln!(
                "functions reload their keys within five minutes; wait that long before the next step"
            );
        }
        Ok(Ending::Fine)
    }
}

/// Reads a secret from a prompt without echo, or from standard input without its final line break.
fn read_secret() -> Result<String, CommandError> {
    let failed = |error| CommandError::File { file: "the secret".into(), error };
    let secret = if std::io::stdin().is_terminal() {
        rpassword::prompt_password("secret (hidden): ").map_err(failed)?
    } else {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(failed)?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        line.strip_suffix('\r').unwrap_or(line).to_owned()
    };
    match secret.trim().is_empty() {
        false => Ok(secret),
        true => Err(CommandError::Usage {
            option: "the secret",
            expected: "a secret".into(),
            found: "nothing".into(),
            advice: "\n  type it at the prompt or pass it on standard input",
        }),
    }
}
