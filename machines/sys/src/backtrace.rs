//! Backtraces, which a program without tables for unwinding cannot make.
//!
//! A release has none (`doors/daemon/release.ld`). The attempt would end it before it has said what is wrong: whoever
//! has `RUST_BACKTRACE` in the environment would see an engine that aborts without a word.

use std::backtrace::Backtrace;
use std::env;

/// What says whether errors carry one; read once, at the first error.
const SWITCH: &str = "RUST_LIB_BACKTRACE";

/// Errors and panics of this process are told without backtraces, whatever the environment asks for. The environment
/// stays as it is, for containers may be given it.
///
/// To be called while the process has one thread.
pub fn never() {
    let asked = env::var_os(SWITCH);
    set("0");
    drop(Backtrace::capture());
    match asked {
        Some(asked) => set(asked),
        None => unset(),
    }
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
}

#[allow(clippy::disallowed_methods, reason = "there is no other thread yet")]
fn set(value: impl AsRef<std::ffi::OsStr>) {
    // SAFETY: nobody reads the environment meanwhile: the process has one thread.
    unsafe { env::set_var(SWITCH, value) }
}

fn unset() {
    // SAFETY: as above.
    unsafe { env::remove_var(SWITCH) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_asks_for_one_afterwards_and_the_environment_stays() {
        let before = std::env::var_os(super::SWITCH);
        super::never();
        assert_eq!(std::env::var_os(super::SWITCH), before);
        let captured = std::backtrace::Backtrace::capture();
        assert_eq!(captured.status(), std::backtrace::BacktraceStatus::Disabled);
    }
}
