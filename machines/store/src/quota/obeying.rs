//! Who has CAP_SYS_RESOURCE is not bound by the limits of ext4, and takes what it keeps for root. The engine has it, containers
//! have not; overlayfs takes care of that by itself.

use std::marker::PhantomData;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// This thread does without it until this is dropped.
#[derive(Debug)]
pub(crate) struct Obeying {
    before: CapabilitySets,
    /// It stays on its thread.
    _here: PhantomData<*const ()>,
}

impl Obeying {
    pub(super) fn begin() -> rustix::io::Result<Self> {
        let before = capabilities(None)?;
        let mut lowered = before;
        lowered.effective.remove(CapabilitySet::SYS_RESOURCE);
        set_capabilities(None, lowered)?;
        Ok(Self { before, _here: PhantomData })
    }
}

impl Drop for Obeying {
    fn drop(&mut self) {
        if let Err(error) = set_capabilities(None, self.before) {
            tracing::warn!(%error, "a thread does without CAP_SYS_RESOURCE from now on");
        }
    }
}
