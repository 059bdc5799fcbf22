//! The command line alone, without the engine and the runtime: for tests against other engines.

fn main() -> std::process::ExitCode {
    dhow_cli::run(std::env::args_os())
}
