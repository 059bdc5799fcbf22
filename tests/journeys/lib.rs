//! Journeys of the real binary: what a user does, on the real kernel, with nothing in between.
//!
//! Each file below `tests/` is one chapter. Every test has an engine of its own: data directory,
//! socket, cgroup parent. They need root; without it they say so and end.

use anyhow::Result;
use dhow_testkit::Engine;
use dhow_testkit::process::Answer;

/// An engine with busybox as `busybox:latest`.
///
/// # Errors
/// When it does not start.
pub fn engine() -> Result<Engine> {
    Engine::with_busybox(&[])
}

/// Runs the stock command line with the words of a line.
#[must_use]
pub fn docker(engine: &Engine, line: &str) -> Answer {
    engine.docker(&line.split_whitespace().collect::<Vec<_>>())
}
