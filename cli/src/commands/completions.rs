//! `livehooks completions`: prints a shell completion script.

use clap_complete::Shell;

/// The arguments of `completions`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  livehooks completions bash >~/.local/share/bash-completion/completions/livehooks
  livehooks completions zsh >\"${fpath[1]}/_livehooks\"
  livehooks completions fish >~/.config/fish/completions/livehooks.fish

They complete `livehooks`, as installed by `cargo install --path cli`, but not `cargo livehooks`.")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// The completion script.
    pub fn script(&self, mut command: clap::Command) -> Vec<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "livehooks", &mut script);
        script
    }
}
