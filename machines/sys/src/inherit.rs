//! Descriptors that the service manager opened for this program (sd_listen_fds(3)).

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_setfd};

/// The first of them.
pub const FIRST: RawFd = 3;
/// More than any unit has.
const MOST: RawFd = 1024;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes them, in their order; none when the service manager passed none to this process. From here on
/// they are closed on exec.
///
/// To be called before this program opens anything that it passes on, and once: a second call gives none.
///
/// # Errors
/// When what was announced is not open.
pub fn descriptors() -> io::Result<Vec<OwnedFd>> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<RawFd>().ok();
    let ours = number("LISTEN_PID") == Some(rustix::process::getpid().as_raw_nonzero().get());
    let count = number("LISTEN_FDS").filter(|count| ours && (1..=MOST).contains(count)).unwrap_or(0);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    (FIRST..FIRST + count).map(take).collect()
}

fn take(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: only the number is looked at, and nothing is closed.
    match unsafe { libc::fcntl(number, libc::F_GETFD) } {
        -1 => Err(io::Error::last_os_error()),
        _ => {
            // SAFETY: it is open, it was opened for this process before it began, and nobody else takes it.
            let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
            fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
            Ok(descriptor)
        }
    }
}
