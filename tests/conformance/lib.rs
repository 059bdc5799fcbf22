//! Outside judges of the engine: SDKs of others and the stock `docker` command line, each with an engine
//! of its own. What they say is what users of these programs will see.
//!
//! `cargo xtask test` installs docker-py and dockerode below `target/conformance/`, in the versions that
//! `python/requirements.txt` and `node/package.json` name. A judge that is not installed is told about
//! and left out.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use dhow_testkit::process::Answer;
use dhow_testkit::{Engine, process};

/// Runs the stories of a script with docker-py.
///
/// # Errors
/// When a story fails.
pub fn python(script: &str) -> Result<()> {
    let packages = installed("python");
    if !packages.join("docker").is_dir() {
        return left_out("docker-py");
    }
    let mut command = Command::new("python3");
    command.arg(here().join("python").join(script)).env("PYTHONPATH", packages);
    judge(&mut command)
}

/// Runs the stories of a script with dockerode.
///
/// # Errors
/// When a story fails.
pub fn node(script: &str) -> Result<()> {
    let packages = installed("node").join("node_modules");
    if !packages.join("dockerode").is_dir() {
        return left_out("dockerode");
    }
    let mut command = Command::new("node");
    command.arg(here().join("node").join(script)).env("NODE_PATH", packages);
    judge(&mut command)
}

fn judge(command: &mut Command) -> Result<()> {
    let engine = engine()?;
    command.env("DOCKER_HOST", engine.host()).env("DOCKER_CONFIG", engine.scratch());
    // Scripts of a source tree leave nothing in it.
    let answer = process::answer(command.env("PYTHONDONTWRITEBYTECODE", "1"), b"")?;
    eprint!("{}{}", answer.stdout, answer.stderr);
    answer.check()
}

/// An engine with busybox as `busybox:latest`.
///
/// # Errors
/// When it does not start.
pub fn engine() -> Result<Engine> {
    Engine::with_busybox(&[])
}

/// The stock command line.
#[must_use]
pub fn docker() -> Option<PathBuf> {
    let found = process::find("docker");
    if found.is_none() {
        eprintln!("LEFT OUT: the stock docker command line is not installed");
    }
    found
}

/// What a command line says, with `ID` in the place of each id: they differ from run to run.
#[must_use]
pub fn without_ids(text: &str) -> String {
    let is_id = |word: &&str| word.len() >= 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let ids: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_id).collect();
    ids.into_iter().fold(text.to_owned(), |text, id| text.replace(id, "ID"))
}

/// Runs a command of both command lines on one engine, and says how they differ; our own name counts as docker's.
#[must_use]
pub fn difference(engine: &Engine, arguments: &[&str]) -> Option<String> {
    let comparable = |answer: Answer| (answer.status, answer.stdout, answer.stderr.replace("dhow", "docker"));
    let (theirs, ours) = (comparable(engine.docker(arguments)), comparable(engine.dhow(arguments)));
    (theirs != ours).then(|| format!("{arguments:?}\n  docker {theirs:?}\n  dhow   {ours:?}\n"))
}

/// Tells that a judge is not there; in CI, where it must be, that is an error.
///
/// # Errors
/// In CI.
pub fn left_out(name: &str) -> Result<()> {
    if std::env::var_os("CI").is_some() {
        bail!("{name} is not installed: cargo xtask test installs it");
    }
    eprintln!("LEFT OUT: {name} is not installed; cargo xtask test installs it");
    Ok(())
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn installed(language: &str) -> PathBuf {
    here().join("../../target/conformance").join(language)
}
