//! Runs other programs: prints the line, fails when they fail.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a command line of plain words; its output goes to ours.
pub(crate) fn run(line: &str) -> Result<()> {
    let words: Vec<&str> = line.split_whitespace().collect();
    run_words(&words)
}

/// Runs a command given word by word.
pub(crate) fn run_words(words: &[&str]) -> Result<()> {
    eprintln!("$ {}", words.join(" "));
    let status = command(words)?.status().with_context(|| format!("cannot run {:?}", words[0]))?;
    if !status.success() {
        bail!("{:?} ended with {status}", words.join(" "));
    }
    Ok(())
}

/// The same with a variable set in its environment.
pub(crate) fn run_with(line: &str, variable: &str, value: &Path) -> Result<()> {
    let assignment = format!("{variable}={}", value.display());
    let words: Vec<&str> = ["env", &assignment].into_iter().chain(line.split_whitespace()).collect();
    run_words(&words)
}

/// What a command prints.
pub(crate) fn read(line: &str) -> Result<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let output =
        command(&words)?.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {line:?}"))?;
    if !output.status.success() {
        bail!("{line:?} ended with {}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether a command line succeeds; its words go nowhere.
pub(crate) fn succeeds(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let quiet =
        command(&words).map(|mut command| command.stdout(Stdio::null()).stderr(Stdio::null()).status());
    matches!(quiet, Ok(Ok(status)) if status.success())
}

/// Whether a program is on the PATH.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// The folder with the workspace's Cargo.toml.
pub(crate) fn workspace_root() -> Result<PathBuf> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.ancestors().nth(2).context("xtask lives two folders below the root")?;
    Ok(root.to_owned())
}

fn command(words: &[&str]) -> Result<Command> {
    let Some((program, arguments)) = words.split_first() else { bail!("an empty command") };
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}
