//! Gives memory back to the kernel: the allocator keeps what a burst of large requests has freed.

use std::convert::Infallible;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How often one looks.
const LOOK: Duration = Duration::from_secs(10);
/// An engine at rest has fewer KiB than this, and is left in peace.
const MUCH: usize = 24 << 10;

/// Looks now and then, for ever.
pub(super) async fn give_back() -> Infallible {
    loop {
        sleep(LOOK).await;
        if resident().is_some_and(|size| size > MUCH) {
            // Nobody waits for it, and there is nothing in it that could panic.
            drop(spawn_blocking(dhow_sys::fork::release_memory).await);
        }
    }
}

/// KiB of this process that are in memory (proc_pid_status(5)).
fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
