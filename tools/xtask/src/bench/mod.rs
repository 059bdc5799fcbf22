//! `cargo xtask bench`: the same work on Dhow and on every peer that is installed, in turn.
//!
//! Machines are shared and noisy, so each round runs every contender once and medians of many
//! rounds are compared; the ratio to Dhow is what counts. Processor time is that of everything the
//! contender did (client, engine, runtime, container), read from a cgroup of its own.
//! Results are printed, and written to `target/bench.json` and, as a drawing, to `target/bench.svg`.

pub(crate) mod api;
mod archive;
mod cases;
mod cgroup;
mod copy;
mod growth;
mod many;
pub(crate) mod memory;
mod network;
mod peers;
mod plot;
mod ready;
mod report;
mod series;
mod view;

pub(crate) use peers::{build, release_binary};

use anyhow::Result;

/// Runs all cases whose name contains `only`.
pub(crate) fn run(only: Option<&str>, rounds: usize) -> Result<()> {
    view::enter()?;
    build()?;
    let arena = peers::Arena::new()?;
    let mut tables = Vec::new();
    for case in cases::ALL.iter().filter(|case| only.is_none_or(|text| case.name.contains(text))) {
        let contenders = (case.contenders)(&arena)?;
        let table = series::run(case, contenders, rounds)?;
        report::print(&table);
        tables.push(table);
    }
    if only.is_none_or(|text| growth::NAME.contains(text)) {
        let table = growth::measure(&arena)?;
        report::print(&table);
        tables.push(table);
    }
    if only.is_none_or(|text| "memory".contains(text)) {
        memory::print(&arena)?;
    }
    report::write(&tables)
}
