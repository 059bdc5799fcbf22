//! `dhow runtime …`: the OCI runtime as a command, with runc's arguments, documents and exit codes.
//!
//! In reading order: [`arguments`] reads the command line, [`log`] is where errors go, [`container`]
//! keeps the state of containers below `--root`; [`make`] brings a container up for [`create`](mod@create) and
//! [`run`](mod@run); the other verbs have a file each.
//!
//! ```text
//! <root>/<id>/            0700
//!   state.json            the record: bundle, cgroup, and the configuration as it was
//!   process               its first process and when that began; missing while it is made
//!   start                 the gate: a socket on which the created process listens until it is started
//! ```

mod arguments;
mod console;
mod container;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod foreground;
mod freeze;
mod gate;
mod kill;
mod list;
mod log;
mod make;
mod ps;
mod run;
mod signals;
mod spec;
mod start;
mod state;
mod update;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use dhow_model::{Error, Result};
use dhow_sys::trace::mark;

use arguments::{Flag, Parsed, Syntax, option, switch};
use log::Log;

use crate::own_binary;

/// Where the state of containers is when `--root` is not given.
const ROOT: &str = "/run/dhow/runtime";

const GLOBAL: Syntax = Syntax {
    flags: &[
        switch("debug"),
        option("log"),
        option("log-format"),
        option("root"),
        option("rootless"),
        option("criu"),
        option("cgroup-manager"),
        switch("systemd-cgroup"),
        Flag { short: Some('h'), ..switch("help") },
        Flag { short: Some('v'), ..switch("version") },
    ],
    first_word_ends: true,
};

/// What every verb is given.
struct Context {
    root: PathBuf,
    log: Log,
}

/// One verb of the command.
struct Verb {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    syntax: Syntax,
    run: fn(&Context, &Parsed) -> Result<u8>,
    /// The exit code of a failure.
    failure: u8,
    /// It makes a process in a container, which must not find our program's file.
    makes_process: bool,
}

const VERBS: &[Verb] = &[
    create::VERB,
    run::VERB,
    start::VERB,
    state::VERB,
    kill::VERB,
    delete::VERB,
    exec::VERB,
    list::VERB,
    ps::VERB,
    freeze::PAUSE,
    freeze::RESUME,
    update::VERB,
    events::VERB,
    features::VERB,
    spec::VERB,
];

/// Verbs of runc that are not served.
const NOT_SERVED: [&str; 2] = ["checkpoint", "restore"];

/// Runs the command; `arguments` begin after `dhow runtime`.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<String> = arguments.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    match dispatch(&words) {
        Ok(code) => ExitCode::from(code),
        // A command line that cannot be read has no log to go to.
        Err(error) => {
            eprintln!("{}", error.report());
            ExitCode::FAILURE
        }
    }
}

fn dispatch(words: &[String]) -> Result<u8> {
    let global = arguments::parse(&GLOBAL, words)?;
    if global.has("version") {
        println!("dhow runtime version {}\nspec: {}", env!("CARGO_PKG_VERSION"), dhow_oci::runtime::VERSION);
        return Ok(0);
    }
    let Some((name, rest)) = global.rest.split_first().filter(|_| !global.has("help")) else {
        print_help();
        return Ok(0);
    };
    if NOT_SERVED.contains(&name.as_str()) {
        return Err(Error::not_implemented(format!("{name} is not supported")));
    }
    let verb = VERBS.iter().find(|verb| verb.name == name);
    let verb = verb.ok_or_else(|| Error::invalid(format!("unknown command {name:?}")))?;
    let context =
        Context { root: PathBuf::from(global.value("root").unwrap_or(ROOT)), log: Log::open(&global)? };
    mark("dhow runs");
    let done = refuse_systemd(&global).and_then(|()| {
        if verb.makes_process {
            own_binary::ensure()
                .map_err(|error| Error::internal("cannot protect our own program").because(error))?;
        }
        let parsed = arguments::parse(&verb.syntax, rest)?;
        mark("dhow runs from its view");
        (verb.run)(&context, &parsed)
    });
    mark("command done");
    match done {
        Ok(code) => Ok(code),
        Err(error) => {
            context.log.error(&format!("dhow runtime {} failed: {}", verb.name, error.report()));
            Ok(verb.failure)
        }
    }
}

/// Cgroups are made by writing files; what asks for systemd's would not find its slices.
fn refuse_systemd(global: &Parsed) -> Result<()> {
    if global.has("systemd-cgroup") || global.value("cgroup-manager") == Some("systemd") {
        return Err(Error::not_implemented(
            "systemd cgroups are not supported: use the cgroupfs driver (podman: --cgroup-manager=cgroupfs)",
        ));
    }
    Ok(())
}

fn print_help() {
    println!("Usage: dhow runtime [--root DIR] [--log FILE] [--log-format text|json] [--debug] COMMAND\n");
    for verb in VERBS {
        println!("  {:<9} {:<28} {}", verb.name, verb.arguments, verb.about);
    }
}
