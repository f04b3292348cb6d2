//! `livehooks completions`: what the shell has to know to complete a command line.

use clap_complete::Shell;

/// For which shell.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  livehooks completions bash >~/.local/share/bash-completion/completions/livehooks
  livehooks completions zsh >\"${fpath[1]}/_livehooks\"
  livehooks completions fish >~/.config/fish/completions/livehooks.fish

They complete `livehooks`, as `cargo install --path cli` puts it into the path; not `cargo livehooks`.")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// The script, for the command as clap knows it.
    pub fn script(&self, mut command: clap::Command) -> Vec<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "livehooks", &mut script);
        script
    }
}
