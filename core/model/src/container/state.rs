//! What a container is doing, and which moves are legal from there.
//!
//! ```text
//!             start                    exit
//!   Created ────────▶ Running ───────────────▶ Exited ──┐ start
//!      │  ▲ failed      │  ▲                      │     └──▶ Running
//!      │  └─────────    │  │ unpause              │
//!      │          pause ▼  │                      │
//!      │               Paused ── kill, exit ──▶   │
//!      └───────────────────── remove ─────────────┴──▶ Removing ──▶ (gone)
//! ```

use serde::{Deserialize, Serialize};

use crate::{Error, Timestamp};

/// The state of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum State {
    /// It never ran; what is recorded is the last start that failed, if one did.
    Created {
        /// Why the last start failed: exit code 125, 126, 127 or 128 and a sentence.
        failure: Option<Exit>,
    },
    /// Its process runs.
    Running(Running),
    /// Its process is frozen.
    Paused(Running),
    /// Its process has ended, and its restart policy is about to start it again.
    Restarting(Exit),
    /// Its process has ended.
    Exited(Exit),
    /// It is being removed; the next start of the engine goes on with that.
    Removing,
}

/// A process that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Of the container's first process, in the engine's pid namespace.
    pub pid: i32,
    /// When it was started.
    pub started: Timestamp,
}

/// How a process ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// 0–255; 128 + n when a signal ended it.
    pub code: i32,
    /// The kernel killed a process of it for memory.
    pub oom_killed: bool,
    /// A sentence when the start failed; empty otherwise.
    pub error: String,
    /// When it was started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
}

/// Why a move is not legal from a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is so already: HTTP 304.
    Already,
    /// `start` of a paused container.
    StartPaused,
    /// Anything on one that is being removed.
    Removing,
    /// It must run for this.
    NotRunning,
    /// It must not be paused for this.
    Paused,
    /// It must run for this, and is about to be started again.
    Restarting,
    /// `unpause` of one that is not paused.
    NotPaused,
    /// `remove` of one that runs, without force.
    MustStop,
    /// The same of one that is frozen.
    MustUnpause,
    /// The same of one that is about to be started again.
    MustStopRestarting,
}

impl State {
    /// A container that never ran.
    #[must_use]
    pub const fn created() -> Self {
        Self::Created { failure: None }
    }

    /// The word that the API shows: `created`, `running`, `paused`, `restarting`, `exited`,
    /// `removing`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::Running(_) => "running",
            Self::Paused(_) => "paused",
            Self::Restarting(_) => "restarting",
            Self::Exited(_) => "exited",
            Self::Removing => "removing",
        }
    }

    /// The process, when there is one (running or paused).
    #[must_use]
    pub const fn running(&self) -> Option<&Running> {
        match self {
            Self::Running(running) | Self::Paused(running) => Some(running),
            _ => None,
        }
    }

    /// Whether it runs, is paused or is about to be started again: what clients take for running.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self, Self::Running(_) | Self::Paused(_) | Self::Restarting(_))
    }

    /// How it ended last, when it does not run.
    #[must_use]
    pub const fn exit(&self) -> Option<&Exit> {
        match self {
            Self::Exited(exit) | Self::Restarting(exit) | Self::Created { failure: Some(exit) } => Some(exit),
            _ => None,
        }
    }

    /// Whether it may be started.
    ///
    /// # Errors
    /// The refusal.
    pub const fn may_start(&self) -> Result<(), Refusal> {
        match self {
            Self::Created { .. } | Self::Exited(_) => Ok(()),
            Self::Running(_) | Self::Restarting(_) => Err(Refusal::Already),
            Self::Paused(_) => Err(Refusal::StartPaused),
            Self::Removing => Err(Refusal::Removing),
        }
    }

    /// Whether there is something to stop: a process, or a start to come.
    ///
    /// # Errors
    /// [`Refusal::Already`] when nothing runs.
    pub const fn may_stop(&self) -> Result<(), Refusal> {
        match self {
            Self::Running(_) | Self::Paused(_) | Self::Restarting(_) => Ok(()),
            Self::Removing => Err(Refusal::Removing),
            _ => Err(Refusal::Already),
        }
    }

    /// Its process, for top and the like.
    ///
    /// # Errors
    /// [`Refusal::NotRunning`] or [`Refusal::Restarting`] when nothing runs.
    pub const fn must_run(&self) -> Result<&Running, Refusal> {
        match self {
            Self::Running(running) | Self::Paused(running) => Ok(running),
            Self::Restarting(_) => Err(Refusal::Restarting),
            Self::Removing => Err(Refusal::Removing),
            _ => Err(Refusal::NotRunning),
        }
    }

    /// Its process, for exec and pause: it must run and not be frozen.
    ///
    /// # Errors
    /// [`Refusal::NotRunning`], [`Refusal::Restarting`] or [`Refusal::Paused`].
    pub const fn must_be_active(&self) -> Result<&Running, Refusal> {
        match self {
            Self::Running(running) => Ok(running),
            Self::Paused(_) => Err(Refusal::Paused),
            Self::Restarting(_) => Err(Refusal::Restarting),
            Self::Removing => Err(Refusal::Removing),
            _ => Err(Refusal::NotRunning),
        }
    }

    /// Its process, for unpause.
    ///
    /// # Errors
    /// [`Refusal::NotPaused`].
    pub const fn may_unpause(&self) -> Result<&Running, Refusal> {
        match self {
            Self::Paused(running) => Ok(running),
            _ => Err(Refusal::NotPaused),
        }
    }

    /// Whether it may be removed without force.
    ///
    /// # Errors
    /// [`Refusal::MustStop`] when it runs, [`Refusal::MustUnpause`] when it is frozen,
    /// [`Refusal::MustStopRestarting`] when it is about to be started again.
    pub const fn may_remove(&self) -> Result<(), Refusal> {
        match self {
            Self::Running(_) => Err(Refusal::MustStop),
            Self::Paused(_) => Err(Refusal::MustUnpause),
            Self::Restarting(_) => Err(Refusal::MustStopRestarting),
            _ => Ok(()),
        }
    }
}

impl Refusal {
    /// The refusal as an error about container `id` called `name`, in Docker's words.
    #[must_use]
    pub fn about(self, id: &str, name: &str) -> Error {
        match self {
            Self::Already => {
                Error::new(crate::Kind::NotModified, format!("container {id} is in that state already"))
            }
            Self::StartPaused => Error::conflict("cannot start a paused container, try unpause instead"),
            Self::Removing => {
                Error::conflict(format!("container {id} is marked for removal and cannot be started"))
            }
            Self::NotRunning => Error::conflict(format!("container {id} is not running")),
            Self::Paused => {
                Error::conflict(format!("container {id} is paused, unpause the container before exec"))
            }
            Self::Restarting => {
                Error::conflict(format!("Container {id} is restarting, wait until the container is running"))
            }
            Self::NotPaused => Error::conflict(format!("Container {id} is not paused")),
            Self::MustUnpause => Error::conflict(format!(
                "cannot remove container {name:?}: container is paused and must be unpaused first"
            )),
            Self::MustStopRestarting => Error::conflict(format!(
                "cannot remove container {name:?}: container is restarting: stop the container before removing or force remove"
            )),
            Self::MustStop => Error::conflict(format!(
                "cannot remove container {name:?}: container is running: stop the container before removing or force remove"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_move_is_legal_from_the_states_that_allow_it() {
        let running = Running { pid: 7, started: Timestamp::NEVER };
        let states = [
            State::created(),
            State::Running(running.clone()),
            State::Paused(running),
            State::Exited(Exit::default()),
            State::Restarting(Exit::default()),
        ];
        let row = |f: &dyn Fn(&State) -> bool| states.iter().map(f).collect::<Vec<_>>();
        assert_eq!(row(&|s| s.may_start().is_ok()), [true, false, false, true, false]);
        assert_eq!(row(&|s| s.may_stop().is_ok()), [false, true, true, false, true]);
        assert_eq!(row(&|s| s.must_be_active().is_ok()), [false, true, false, false, false]);
        assert_eq!(row(&|s| s.may_unpause().is_ok()), [false, false, true, false, false]);
        assert_eq!(row(&|s| s.may_remove().is_ok()), [true, false, false, true, false]);
        assert_eq!(row(&|s| s.is_active()), [false, true, true, false, true]);
    }
}
