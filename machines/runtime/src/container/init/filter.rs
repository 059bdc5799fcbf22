//! The filter of system calls: compiled before rights are given up, installed as late as it can be.
//!
//! ```text
//!   without no_new_privileges     while there is still CAP_SYS_ADMIN, which the kernel asks for
//!   with it, and a listener       before the gate, since the listener's descriptor must reach the parent
//!   with it                       right before the program is executed: of ours it sees execve(2) only
//! ```

use std::os::fd::AsFd as _;

use dhow_oci::runtime::Spec;

use super::super::error::{Context as _, Error, Result};
use super::super::plan::IdentityPlan;
use super::super::sync::{Talk, Word};
use crate::seccomp;

/// A compiled filter, or none.
#[derive(Debug)]
pub(in super::super) struct Filter {
    compiled: Option<seccomp::Filter>,
    when: When,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Early,
    BeforeTheGate,
    Late,
}

impl Filter {
    /// Compiles the filter of a configuration.
    pub(in super::super) fn of(spec: &Spec, identity: &IdentityPlan) -> Result<Self> {
        let wanted = spec.linux.as_ref().and_then(|linux| linux.seccomp.as_ref());
        let compiled = wanted
            .map(|wanted| {
                seccomp::Filter::compile(wanted).map_err(|error| Error::configuration(error.report()))
            })
            .transpose()?;
        let has_listener = compiled.as_ref().is_some_and(|filter| filter.listener.is_some());
        let when = match (identity.no_new_privileges, has_listener) {
            (false, _) => When::Early,
            (true, true) => When::BeforeTheGate,
            (true, false) => When::Late,
        };
        Ok(Self { compiled, when })
    }

    /// Before capabilities are given up.
    pub(in super::super) fn install_early(&self, talk: &Talk) -> Result<()> {
        self.install(When::Early, Some(talk))
    }

    /// Before it is said that everything is there but the program.
    pub(in super::super) fn install_before_the_gate(&self, talk: &Talk) -> Result<()> {
        self.install(When::BeforeTheGate, Some(talk))
    }

    /// Right before the program is executed.
    pub(in super::super) fn install_late(&self) -> Result<()> {
        self.install(When::Late, None)
    }

    fn install(&self, now: When, talk: Option<&Talk>) -> Result<()> {
        let Some(filter) = self.compiled.as_ref().filter(|_| self.when == now) else { return Ok(()) };
        let listener = filter.install().doing(|| "install the seccomp filter")?;
        match (listener, talk) {
            // From here on a call that is listened for waits until the parent has passed this on.
            (Some(listener), Some(talk)) => talk.say(&Word::Listener, Some(listener.as_fd())),
            _ => Ok(()),
        }
    }
}
