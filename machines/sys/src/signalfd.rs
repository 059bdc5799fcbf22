//! Signals of this process, and the end of others, as something to wait for.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Every signal that can be caught, blocked and to be read here.
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Blocks them for this thread, the only one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn catch_all() -> io::Result<Self> {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: initialises the set.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        // SAFETY: the set was initialised above.
        if unsafe { libc::sigprocmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the set was initialised above.
        match unsafe { libc::signalfd(-1, all.as_ptr(), libc::SFD_CLOEXEC) } {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: the kernel has made a new descriptor that nobody else owns.
            number => Ok(Self(unsafe { OwnedFd::from_raw_fd(number) })),
        }
    }

    /// The next one; waits for it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn next(&self) -> io::Result<i32> {
        let mut information = [0; size_of::<libc::signalfd_siginfo>()];
        rustix::io::retry_on_intr(|| rustix::io::read(&self.0, &mut information))?;
        // The first member is the number.
        let number = u32::from_ne_bytes([information[0], information[1], information[2], information[3]]);
        i32::try_from(number).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until the process that a pidfd names has ended; false when it has not within `limit`.
///
/// # Errors
/// The kernel's.
pub fn wait_for_end(process: impl AsFd, limit: Duration) -> io::Result<bool> {
    let limit = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(limit.subsec_nanos()),
    };
    let mut polled = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
    Ok(rustix::io::retry_on_intr(|| poll(&mut polled, Some(&limit)))? > 0)
}
