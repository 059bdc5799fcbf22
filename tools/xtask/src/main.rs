//! Tasks of developers.
//!
//! - `cargo xtask check`: format, lints, layering, licences, documentation.
//! - `cargo xtask test`: all of that, then every test; installs what they need. CI runs this.
//! - `cargo xtask demo`: the main job, from an empty machine to a container that ran.
//! - `cargo xtask bench`: the same work on Dhow and on every peer that is installed.

mod check;
mod layering;
mod setup;
mod shell;
mod test;

use anyhow::Result;
use clap::Parser;

/// Tasks of developers.
#[derive(Parser)]
enum Task {
    /// Format, lints, layering, licences, documentation.
    Check,
    /// Everything that a change must pass; installs what it needs.
    Test,
}

fn main() -> Result<()> {
    let root = shell::workspace_root()?;
    std::env::set_current_dir(&root)?;
    match Task::parse() {
        Task::Check => check::run(),
        Task::Test => test::run(),
    }
}
