//! Stories of confinement, told through the OCI command on the real kernel.
//!
//! Has no test harness: the runtime is this very program with `runtime` before its arguments. Other
//! arguments: a part of a name chooses stories, as with the usual harness. Which advisory each story
//! answers: `docs/security.md`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking; this one has a harness of its own")]

#[path = "confinement/bundle.rs"]
mod bundle;
#[path = "confinement/command.rs"]
mod command;
#[path = "confinement/configuration.rs"]
mod configuration;
#[path = "confinement/descriptors.rs"]
mod descriptors;
#[path = "confinement/filters.rs"]
mod filters;
#[path = "confinement/identity.rs"]
mod identity;
#[path = "confinement/paths.rs"]
mod paths;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

use bundle::Bundle;

type Story = fn(&Bundle);

const STORIES: &[&[(&str, Story)]] =
    &[filters::ALL, descriptors::ALL, paths::ALL, identity::ALL, configuration::ALL, command::ALL];

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == "runtime") {
        return dhow_runtime::command::run(arguments.skip(1));
    }
    if arguments.peek().is_some_and(|first| first == identity::SOCKETS) {
        identity::try_sockets();
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() || !Path::new("/bin/busybox").exists() {
        println!("not run here: needs root, and /bin/busybox, statically linked (package busybox-static)");
        return ExitCode::SUCCESS;
    }
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let mut failed = 0;
    for (name, story) in STORIES.iter().copied().flatten() {
        if wanted.as_ref().is_some_and(|part| !name.contains(part.as_str())) {
            continue;
        }
        let is_fine = catch_unwind(AssertUnwindSafe(|| story(&Bundle::new()))).is_ok();
        println!("story {name} ... {}", if is_fine { "ok" } else { "FAILED" });
        failed += usize::from(!is_fine);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
