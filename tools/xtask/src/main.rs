//! Tasks of developers.
//!
//! - `cargo xtask check`: format, lints, layering, licences, documentation.
//! - `cargo xtask test`: all of that, then every test; installs what they need. CI runs this.
//! - `cargo xtask coverage`: the table of what tests ask of the Engine API.
//! - `cargo xtask demo`: the main job, from an empty machine to a container that ran.
//! - `cargo xtask budget`: what a start costs, counted, against what it may.
//! - `cargo xtask soak`: containers come and go, and nothing of them stays.
//! - `cargo xtask many`: how long the engine takes when it knows of thousands.
//! - `cargo xtask fuzz`: every fuzz target for a while.
//! - `cargo xtask pure-v2`: containers in an emulated machine whose cgroups are version 2 alone.
//! - `cargo xtask quotas`: limits of size in an emulated machine whose kernel has project quotas.
//! - `cargo xtask links`: networks in an emulated machine whose kernel has ipvlan, VLANs, dummy links and SCTP.
//! - `cargo xtask bench`: the same work on Dhow and on every peer that is installed.

mod bench;
mod budget;
mod check;
mod coverage;
mod demo;
mod fuzz;
mod layering;
mod machines;
mod many;
mod setup;
mod shell;
mod soak;
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
    /// The main job: an image is made, run, changed, committed.
    Demo {
        /// A whole Debian as the base image, instead of busybox.
        #[arg(long)]
        debootstrap: bool,
    },
    /// Writes docs/coverage.md: which operations of the Engine API have a test.
    Coverage {
        /// Of what the last run of the tests left, without running them again.
        #[arg(long)]
        last: bool,
    },
    /// What a start, an engine and a container cost, counted, against what they may.
    Budget,
    /// How long the engine takes when it knows of thousands.
    Many {
        /// Containers, created and never started.
        #[arg(long, default_value_t = 10_000)]
        containers: usize,
        /// Images, of one layer.
        #[arg(long, default_value_t = 1_000)]
        images: usize,
    },
    /// Containers come and go, and nothing of them stays.
    Soak {
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        count: usize,
    },
    /// Every fuzz target for a while; needs cargo-fuzz.
    Fuzz {
        /// Only the targets whose name contains this.
        only: Option<String>,
        /// How long each runs.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Containers in an emulated machine whose cgroups are version 2 alone.
    PureV2,
    /// Limits of size in an emulated machine whose kernel has project quotas.
    Quotas,
    /// Networks in an emulated machine whose kernel has ipvlan, VLANs, dummy links and SCTP.
    Links,
    /// The same work on Dhow and on every peer that is installed.
    Bench {
        /// Only the cases whose name contains this.
        only: Option<String>,
        /// How often each contender does the work.
        #[arg(long, default_value_t = 30)]
        rounds: usize,
    },
}

fn main() -> Result<()> {
    let root = shell::workspace_root()?;
    std::env::set_current_dir(&root)?;
    match Task::parse() {
        Task::Check => check::run(),
        Task::Test => test::run(),
        Task::Demo { debootstrap } => demo::run(debootstrap),
        Task::Coverage { last } => coverage::write(!last),
        Task::Budget => budget::run(),
        Task::Fuzz { only, seconds } => fuzz::run(only.as_deref(), seconds),
        Task::Many { containers, images } => many::run(containers, images),
        Task::Soak { count } => soak::run(count),
        Task::PureV2 => machines::PURE_V2.run(),
        Task::Quotas => machines::QUOTAS.run(),
        Task::Links => machines::LINKS.run(),
        Task::Bench { only, rounds } => bench::run(only.as_deref(), rounds),
    }
}
