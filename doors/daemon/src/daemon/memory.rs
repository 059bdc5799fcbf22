//! Gives memory back to the kernel: the allocator keeps what a burst of large requests has freed.

use std::convert::Infallible;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How often one looks.
const LOOK: Duration = Duration::from_secs(10);
/// Growth of fewer KiB than this is let be.
const MUCH: usize = 512;

/// Looks now and then, for ever. Where nothing has grown since, nothing is done: an engine at rest stays so.
pub(super) async fn give_back() -> Infallible {
    let mut least = own().unwrap_or_default();
    loop {
        sleep(LOOK).await;
        if own().is_some_and(|size| size > least + MUCH) {
            // Nobody waits for it, and there is nothing in it that could panic.
            drop(spawn_blocking(dhow_sys::fork::release_memory).await);
            least = own().unwrap_or(least);
        }
    }
}

/// KiB of this process' own that are in memory, files not counted (proc_pid_status(5)).
fn own() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
