//! The containers whose namespaces another one joins.
//!
//! They are joined by paths of their processes in /proc, which are other processes' once those have ended. So the
//! engine sends their pidfds with the plan. A process that has not ended when all paths were opened was behind them all
//! along: that is asked before the program is executed, and by then nothing of the container has run.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::spawn::lost;
use crate::container::Result;

/// Pidfds of the first processes of those containers.
#[derive(Debug, Default)]
pub struct Donors(Vec<OwnedFd>);

impl Donors {
    /// Those that came with a plan.
    #[must_use]
    pub fn new(processes: Vec<OwnedFd>) -> Self {
        Self(processes)
    }

    /// Refuses when one has ended.
    ///
    /// # Errors
    /// In words for the user.
    pub fn must_live(&self) -> Result<()> {
        if self.0.iter().any(has_ended) {
            return Err(lost("cannot join the namespaces of a container that has ended".to_owned()));
        }
        Ok(())
    }
}

/// Whether the process of a pidfd has ended: its number may be another's then.
#[must_use]
pub fn has_ended(process: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(process, PollFlags::IN)];
    !matches!(poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
}
