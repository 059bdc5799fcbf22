//! Marks on the way of a start, for whoever asks where its time goes (`dhow debug trace`).
//!
//! A mark is a line in a file that was opened before: `<ns> <pid> <step>`, the time as
//! `CLOCK_MONOTONIC` tells it. Lines of several processes interleave whole (O_APPEND). Without a file a
//! mark costs one load.

use std::fs::File;
use std::io::{self, Write as _};
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd as _, IntoRawFd as _, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};

/// The environment variable with the file's path.
pub const VARIABLE: &str = "DHOW_TRACE";

const NONE: RawFd = -1;

static OUTPUT: AtomicI32 = AtomicI32::new(NONE);

/// Marks go to the file that the environment names, from now on; also in what is forked off.
pub fn begin() {
    let Some(path) = std::env::var_os(VARIABLE) else { return };
    if let Err(error) = begin_at(Path::new(&path)) {
        eprintln!("dhow: cannot trace to {}: {error}", path.display());
    }
}

fn begin_at(path: &Path) -> io::Result<()> {
    let file = File::options().append(true).create(true).open(path)?;
    OUTPUT.store(file.into_raw_fd(), Ordering::Relaxed);
    Ok(())
}

/// The descriptor that marks are written to: not to be closed by who closes all others.
#[must_use]
pub fn descriptor() -> Option<RawFd> {
    Some(OUTPUT.load(Ordering::Relaxed)).filter(|output| *output != NONE)
}

/// Notes that the step that is named has just ended.
pub fn mark(step: &str) {
    let output = OUTPUT.load(Ordering::Relaxed);
    if output == NONE {
        return;
    }
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let nanoseconds = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    let line = format!("{nanoseconds} {} {step}\n", std::process::id());
    // SAFETY: the descriptor was given up to this static, and is never closed by us; not dropped here.
    let mut file = ManuallyDrop::new(unsafe { File::from_raw_fd(output) });
    // What closed all descriptors on its way to the program is traced no further.
    let _ = file.write_all(line.as_bytes());
}
