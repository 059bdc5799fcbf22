//! The command line: docker's commands, flags, tables and exit statuses, spoken to the Engine API.
//!
//! Reading order: [`run`] (from words to a command), `commands` (one file each), `flags` (tables and
//! the parser, what a container is created from), `session` (where the engine is), `stream` (attach,
//! terminals, signals, progress), `format` (tables, templates, sizes), `autostart` (the engine is
//! started when none listens).
//!
//! A start must cost nothing that the command does not need: flag tables are constants, connections
//! are plain blocking sockets, settings are read when first asked for, threads exist only while a
//! container is attached.
//!
//! Files: reads `~/.docker/config.json` and the contexts beside it, which `context` changes; writes what the user names
//! (`save -o`, `--cidfile`, …), `/run/dhow/start.lock` and the engine's log when it starts one.

mod autostart;
mod commands;
mod contexts;
mod error;
mod flags;
mod format;
#[cfg(fuzzing)]
pub mod fuzzing;
mod overview;
mod session;
mod settings;
mod stream;

pub use autostart::LAUNCH;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use commands::Command;
use error::{Error, Result};
use flags::parse::Syntax;
use session::{GLOBAL_FLAGS, Session};

/// Runs one command; `arguments` begin with the program's name.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match words(arguments).and_then(|words| dispatch(&words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(words) = error.words() {
                // Standard error may be closed; there is nowhere else to say it.
                let _ = writeln!(std::io::stderr(), "{words}");
            }
            ExitCode::from(error.code())
        }
    }
}

fn words(arguments: impl Iterator<Item = OsString>) -> Result<Vec<String>> {
    let text = |argument: OsString| {
        argument.into_string().map_err(|it| Error::said(format!("dhow: argument {it:?} is not UTF-8")))
    };
    arguments.skip(1).map(text).collect()
}

fn dispatch(words: &[String]) -> Result<()> {
    if let [launch, rest @ ..] = words
        && launch == autostart::LAUNCH
    {
        return Err(autostart::launch(rest.first().map(String::as_str)));
    }
    if let [complete, rest @ ..] = words
        && complete == commands::complete::COMPLETE
    {
        print!("{}", commands::complete::answer(rest));
        return Ok(());
    }
    let syntax = Syntax { tables: &[GLOBAL_FLAGS], arguments_end_flags: true };
    let globals = syntax.parse(words).map_err(|why| {
        Error::refused(format!(
            "{why}\n\nUsage:  dhow [OPTIONS] COMMAND [ARG...]\n\nRun 'dhow --help' for more information"
        ))
    })?;
    let called = globals.arguments.clone();
    if globals.is_on("version") {
        println!("Dhow version {}", env!("CARGO_PKG_VERSION"));
        return Ok(());
    }
    if globals.help || called.is_empty() {
        print!("{}", overview::of_program());
        return Ok(());
    }
    let session = Session::new(globals);
    if called[0] == "help" {
        return help(&called[1..]);
    }
    let Some((command, path, arguments)) = find(&called) else {
        return not_found(&called);
    };
    call(&session, command, &path, arguments)
}

/// The command, the words with which it was called, and what follows them.
fn find(called: &[String]) -> Option<(&'static Command, String, &[String])> {
    if let [group, name, rest @ ..] = called {
        let path = format!("{group} {name}");
        if let Some(command) = commands::find(&path) {
            return Some((command, path, rest));
        }
    }
    let command = commands::find(&called[0])?;
    Some((command, called[0].clone(), &called[1..]))
}

fn call(session: &Session, command: &Command, path: &str, arguments: &[String]) -> Result<()> {
    let syntax = Syntax { tables: command.flags, arguments_end_flags: command.arguments_end_flags };
    let usage = format!("Usage:  dhow {path} {}", command.usage).trim_end().to_owned();
    let parsed = syntax.parse(arguments).map_err(|why| {
        Error::refused(format!("{why}\n\n{usage}\n\nRun 'dhow {path} --help' for more information"))
    })?;
    if parsed.help || parsed.is_on("help") {
        print!("{}", overview::of_command(command, path));
        return Ok(());
    }
    if let Some(refusal) = command.arity.refusal(parsed.arguments.len()) {
        let see = command.arity.see();
        return Err(Error::said(format!(
            "dhow: 'dhow {path}' {refusal}\n\n{usage}\n\n{see} 'dhow {path} --help' for more information"
        )));
    }
    (command.run)(session, &parsed)
}

fn help(called: &[String]) -> Result<()> {
    match find_for_help(called) {
        Some(page) => {
            print!("{page}");
            Ok(())
        }
        None => Err(Error::said(format!("dhow: unknown command: dhow {}", called.join(" ")))),
    }
}

fn find_for_help(called: &[String]) -> Option<String> {
    let Some(first) = called.first() else {
        return Some(overview::of_program());
    };
    if let Some((command, path, _)) = find(called) {
        return Some(overview::of_command(command, &path));
    }
    overview::of_group(first)
}

/// A group alone shows its commands; anything else is not there, or not there yet.
fn not_found(called: &[String]) -> Result<()> {
    if let Some(words) = commands::unserved(called) {
        return Err(Error::said(words));
    }
    let group = overview::of_group(&called[0]);
    match (group, called.get(1).map(String::as_str)) {
        (Some(page), None) => {
            eprint!("{page}");
            Ok(())
        }
        (Some(page), Some("--help" | "-h")) => {
            print!("{page}");
            Ok(())
        }
        (Some(_), Some(name)) => Err(not_of_group(&called[0], name)),
        (None, _) => Err(Error::said(format!(
            "dhow: unknown command: dhow {}\n\nRun 'dhow --help' for more information",
            called[0]
        ))),
    }
}

/// What follows a group is none of its commands, or a flag, of which groups have none.
fn not_of_group(group: &str, name: &str) -> Error {
    // As docker has it, which is not the same of all groups.
    let command = match group {
        "volume" => " COMMAND",
        "stack" => " [OPTIONS]",
        _ => "",
    };
    let end = format!("\n\nUsage:  dhow {group}{command}\n\nRun 'dhow {group} --help' for more information");
    if !name.starts_with('-') {
        return Error::said(format!("dhow: unknown command: dhow {group} {name}{end}"));
    }
    let syntax = Syntax { tables: &[], arguments_end_flags: true };
    let why = syntax.parse(&[name.to_owned()]).err().unwrap_or_default();
    Error::refused(format!("{why}{end}"))
}

/// A failure of the system in Go's words, which scripts know: `no such file or directory`.
pub(crate) fn go_words(error: &std::io::Error) -> String {
    let words = error.to_string();
    let words = words.split(" (os error").next().unwrap_or_default();
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}
