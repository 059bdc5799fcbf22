//! The runtime alone, without the rest of `dhow`: small to build and to profile.

fn main() -> std::process::ExitCode {
    dhow_runtime::command::run(std::env::args_os().skip(1))
}
