//! Volumes that a container which is being created will mount.
//!
//! Until it is known, no record says that it uses them: whoever removes volumes looks here too.

use std::collections::BTreeMap;

use dhow_model::ports::VolumeRequest;
use dhow_model::{Error, Result, Volume};

use crate::Engine;
use crate::registry::lock;

/// How many containers on their way want a volume, by its name.
pub(crate) type Claimed = BTreeMap<String, usize>;

/// The claims of one container; given back when dropped.
pub(crate) struct Claims<'a> {
    engine: &'a Engine,
    names: Vec<String>,
    /// Anonymous volumes that were made for it: they go again when it does not come to be.
    pub(crate) made: Vec<String>,
}

impl<'a> Claims<'a> {
    /// None yet.
    pub(crate) const fn new(engine: &'a Engine) -> Self {
        Self { engine, names: Vec::new(), made: Vec::new() }
    }

    /// Makes a volume or finds the one of that name, and claims it.
    pub(crate) fn make(&mut self, request: VolumeRequest) -> Result<Volume> {
        let unnamed = request.name.is_empty();
        let volume = self.engine.make_volume(request, note)?;
        self.names.push(volume.name.clone());
        self.made.extend(unnamed.then(|| volume.name.clone()));
        Ok(volume)
    }

    /// Claims a volume that another container has.
    pub(crate) fn share(&mut self, name: &str) -> Result<()> {
        let mut claimed = lock(&self.engine.claimed_volumes);
        if self.engine.ports.volumes.get(name)?.is_none() {
            return Err(Error::conflict(format!("volume {name} has been removed")));
        }
        note(&mut claimed, name);
        self.names.push(name.to_owned());
        Ok(())
    }
}

fn note(claimed: &mut Claimed, name: &str) {
    *claimed.entry(name.to_owned()).or_default() += 1;
}

impl Drop for Claims<'_> {
    fn drop(&mut self) {
        let mut claimed = lock(&self.engine.claimed_volumes);
        for name in &self.names {
            if let Some(count) = claimed.get_mut(name) {
                *count -= 1;
            }
        }
        claimed.retain(|_, count| *count > 0);
    }
}
