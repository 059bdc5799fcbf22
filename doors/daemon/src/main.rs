//! The one binary `dhow`: command line, engine, runtime, launcher.
//!
//! [`main`] finds out which of them it is; [`daemon`] is the composition root of the engine, [`debug`] has
//! tools for whoever works on it.

mod daemon;
mod debug;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(without_backtraces)]
    dhow_sys::backtrace::never();
    // First of all: a launcher has one thread, and parses nothing.
    dhow_sys::trace::begin();
    dhow_runtime::launcher::enter();
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    if dhow_runtime::init_command::is_called(Path::new(&name)) {
        return dhow_runtime::init_command::run(arguments);
    }
    let is_runtime = Path::new(&name).file_name().is_some_and(|name| name == "dhow-runtime");
    if is_runtime {
        return dhow_runtime::command::run(arguments);
    }
    match arguments.next() {
        Some(verb) if verb == "runtime" => dhow_runtime::command::run(arguments),
        Some(verb) if verb == "daemon" => daemon::run(arguments),
        Some(verb) if verb == "debug" => debug::run(arguments),
        Some(verb) if verb == dhow_cli::LAUNCH => {
            // What the command was started with (a lock, the end of a pipe that somebody waits for) is not
            // the engine's. Without the call the engine keeps it, as it would anything else.
            let mut kept: Vec<_> = dhow_sys::trace::descriptor().into_iter().collect();
            let _ = dhow_sys::descriptors::close_all_but(&mut kept);
            dhow_cli::run(std::env::args_os())
        }
        _ => dhow_cli::run(std::env::args_os()),
    }
}
