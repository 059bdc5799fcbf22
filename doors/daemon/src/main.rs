//! The one binary `dhow`: command line, engine, runtime.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let is_runtime = Path::new(&name).file_name().is_some_and(|name| name == "dhow-runtime");
    if is_runtime {
        return dhow_runtime::command::run(arguments);
    }
    match arguments.next() {
        Some(verb) if verb == "runtime" => dhow_runtime::command::run(arguments),
        _ => dhow_cli::run(std::env::args_os()),
    }
}
