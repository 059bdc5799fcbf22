//! Volumes that a container which is being created will mount.
//!
//! Until it is known, no record says that it uses them: whoever removes volumes looks here too.

use std::collections::BTreeMap;
use std::path::PathBuf;

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
    /// Volumes that were made for it: they go again when it does not come to be.
    pub(crate) made: Vec<String>,
    /// Directories of the host that are to be made for it, when nothing else can fail.
    pub(crate) missing: Vec<PathBuf>,
}

impl<'a> Claims<'a> {
    /// None yet.
    pub(crate) const fn new(engine: &'a Engine) -> Self {
        Self { engine, names: Vec::new(), made: Vec::new(), missing: Vec::new() }
    }

    /// Makes a volume or finds the one of that name, and claims it.
    pub(crate) fn make(&mut self, request: VolumeRequest) -> Result<Volume> {
        let (volume, is_new) = self.engine.make_volume(request, note)?;
        self.names.push(volume.name.clone());
        self.made.extend(is_new.then(|| volume.name.clone()));
        Ok(volume)
    }

    /// Its container has come to be.
    pub(crate) fn keep(&self) -> Result<()> {
        self.made.iter().try_for_each(|name| self.engine.ports.volumes.keep(name))
    }

    /// Its container has not come to be: what was made for it goes, unless others have found it meanwhile.
    pub(crate) fn undo(&self) {
        for name in &self.made {
            let claimed = lock(&self.engine.claimed_volumes);
            let own = self.names.iter().filter(|other| *other == name).count();
            let others = claimed.get(name).is_some_and(|all| *all > own);
            let undone = if others || !self.engine.volume_users(name).is_empty() {
                self.engine.ports.volumes.keep(name)
            } else {
                self.engine.take_volume_back(name)
            };
            if let Err(error) = undone {
                tracing::warn!(volume = name, "undo create: {}", error.report());
            }
        }
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
