//! The life of containers, told through the port, on the real kernel.
//!
//! Has no test harness: the launcher is this very program under another name, and must be entered
//! before the first thread. Arguments: a part of a name chooses stories, as with the usual harness.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking; this one has a harness of its own"
)]

#[path = "port/own_program.rs"]
mod own_program;
#[path = "port/stage.rs"]
mod stage;
#[path = "port/stories.rs"]
mod stories;

use std::panic::{AssertUnwindSafe, catch_unwind};

fn main() {
    dhow_runtime::launcher::enter();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, directory] = arguments.as_slice()
        && role == stage::ENGINE
    {
        return stories::engine_that_will_be_killed(directory.as_ref());
    }
    if arguments.first().is_some_and(|role| role == stage::OVERWRITER) {
        return own_program::overwrite();
    }
    if let Some(reason) = stage::cannot_run() {
        println!("not run here: {reason}");
        return;
    }
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-'));
    let mut failed = Vec::new();
    for (name, story) in stories::ALL {
        if wanted.is_some_and(|part| !name.contains(part.as_str())) {
            continue;
        }
        let result = catch_unwind(AssertUnwindSafe(|| stage::on_stage(story)));
        println!("story {name} ... {}", if result.is_ok() { "ok" } else { "FAILED" });
        if result.is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{} failed: {failed:?}", failed.len());
}
