//! Which operations of the engine a test has asked for.
//!
//! With `DHOW_COVERAGE` set to a directory, engines of tests log what they are asked, and each leaves there
//! what it has logged: a line of JSON for each request. `cargo xtask coverage` makes the table of it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The environment variable that names the directory.
pub const VARIABLE: &str = "DHOW_COVERAGE";

/// One request of a test.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Asked {
    /// `suite::test`
    pub test: String,
    /// `GET`, …
    pub method: String,
    /// Without version and query.
    pub path: String,
    /// Keys of the query.
    pub query: Vec<String>,
    /// How it was answered.
    pub status: u16,
}

fn directory() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).map(PathBuf::from)
}

/// Flags of an engine that is to tell, beside those of the test.
pub(crate) fn flags(others: &[String]) -> &'static [&'static str] {
    let is_about_logs = |flag: &String| {
        ["-D", "-l", "--debug", "--log-level", "--log-format"].iter().any(|known| flag.starts_with(known))
    };
    let wanted = directory().is_some() && !others.iter().any(is_about_logs);
    if wanted { &["--log-level", "debug", "--log-format", "json"] } else { &[] }
}

/// Keeps what an engine has logged of its requests.
pub(crate) fn keep(log: &Path) -> Result<()> {
    let Some(directory) = directory() else { return Ok(()) };
    std::fs::create_dir_all(&directory)?;
    let suite = suite().context("the name of the test's program")?;
    let test = format!("{suite}::{}", std::thread::current().name().unwrap_or("main"));
    let asked: BTreeSet<Asked> =
        std::fs::read_to_string(log)?.lines().filter_map(|line| read(line, &test)).collect();
    let path = directory.join(format!("{suite}-{}.jsonl", std::process::id()));
    let mut text = Vec::new();
    for each in asked {
        serde_json::to_writer(&mut text, &each)?;
        text.push(b'\n');
    }
    // In one write: tests of a program run side by side.
    std::fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(&text)?;
    Ok(())
}

/// The program's name without what cargo adds to it.
fn suite() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let stem = program.file_stem()?.to_str()?;
    Some(stem.rsplit_once('-').map_or(stem, |(name, _)| name).to_owned())
}

fn read(line: &str, test: &str) -> Option<Asked> {
    let line: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| line[key].as_str().map(str::to_owned);
    if text("message")? != "request" {
        return None;
    }
    Some(Asked {
        test: test.to_owned(),
        method: text("method")?,
        path: text("path")?,
        query: text("query")?.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect(),
        status: u16::try_from(line["status"].as_u64()?).ok()?,
    })
}

impl Asked {
    /// What every engine of a test is asked at its end, and no test means: see `Drop` of [`crate::Engine`].
    fn is_cleaning_up(&self) -> bool {
        let is = |method: &str, keys: &[&str]| self.method == method && self.query == keys;
        (self.path == "/containers/json" && is("GET", &["all"]))
            || (self.path.starts_with("/containers/") && is("DELETE", &["force", "v"]))
    }
}

/// Everything that was kept in a directory, but for what only cleans up.
///
/// # Errors
/// When it cannot be read.
pub fn kept(directory: &Path) -> Result<Vec<Asked>> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))? {
        let text = std::fs::read_to_string(file?.path())?;
        let asked = text.lines().filter_map(|line| serde_json::from_str::<Asked>(line).ok());
        all.extend(asked.filter(|asked| !asked.is_cleaning_up()));
    }
    Ok(all)
}
