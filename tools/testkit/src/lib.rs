//! What tests and benchmarks share.
//!
//! [`rootfs`] makes real root file systems and images from Debian's busybox; [`http`] is a plain
//! client of one connection, a second opinion beside our own; [`engine`] starts whole engines with
//! their own data directory, socket and cgroup, and ends them; [`coverage`] keeps what was asked of them.

pub mod coverage;
pub mod engine;
pub mod http;
pub mod network;
pub mod process;
pub mod rootfs;

pub use engine::Engine;

/// Asks until `answer` is what is hoped for, for at most half a minute.
///
/// # Errors
/// `what`, when it never was.
pub fn until(what: &str, mut answer: impl FnMut() -> bool) -> anyhow::Result<()> {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !answer() {
        anyhow::ensure!(std::time::Instant::now() < end, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(())
}
