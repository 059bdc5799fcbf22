//! Verbs of volumes.

mod attached;
pub(crate) mod claims;
mod whole;

use std::collections::{BTreeMap, BTreeSet};

use dhow_model::event::EventKind;
use dhow_model::ports::VolumeRequest;
use dhow_model::volume::{self, ANONYMOUS};
use dhow_model::{ContainerId, Error, Kind, Result, Volume};

pub(crate) use attached::Attached;
pub(crate) use claims::Claims;

use crate::Engine;
use crate::plan::storage;
use crate::registry::{lock, shorten};

/// What `prune` removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunedVolumes {
    /// Their names.
    pub names: Vec<String>,
    /// Bytes that their files took.
    pub reclaimed: u64,
}

impl Engine {
    /// Makes a volume, or answers the one of that name.
    ///
    /// # Errors
    /// Invalid argument for a name out of its grammar or a driver that is not there.
    pub fn create_volume(&self, request: VolumeRequest) -> Result<Volume> {
        Ok(self.make_volume(request, |_, _| {})?.0)
    }

    /// Looks whether a volume can be made, or is there.
    pub(crate) fn check_volume_request(&self, request: &VolumeRequest) -> Result<()> {
        let name = match request.name.as_str() {
            // As good as the one that it will be given.
            "" => ContainerId::from_random(self.ports.host.random()).to_string(),
            name => name.to_owned(),
        };
        volume::check_name(&name)?;
        check_driver(&name, &request.driver)?;
        match self.ports.volumes.get(&name)? {
            None => checked_size(&name, &request.options).map(drop),
            Some(_) => Ok(()),
        }
    }

    /// Removes one that nobody has seen in use.
    fn take_volume_back(&self, name: &str) -> Result<()> {
        let volume = self.volume(name)?;
        self.ports.volumes.remove(name)?;
        self.tell_volume("destroy", &volume);
        Ok(())
    }

    /// The same as [`create_volume`](Self::create_volume), and notes with `claim` who will use it before anybody else
    /// can remove it; answers whether it is new.
    fn make_volume(
        &self,
        mut request: VolumeRequest,
        claim: impl FnOnce(&mut claims::Claimed, &str),
    ) -> Result<(Volume, bool)> {
        if request.name.is_empty() {
            request.name = ContainerId::from_random(self.ports.host.random()).to_string();
            request.anonymous = true;
            request.labels.insert(ANONYMOUS.into(), String::new());
        }
        check_driver(&request.name, &request.driver)?;
        volume::check_name(&request.name)?;
        request.driver = "local".into();
        let mut claimed = lock(&self.claimed_volumes);
        let known = self.ports.volumes.get(&request.name)?.is_some();
        if !known {
            // One that is there is answered as it is, whatever is asked of it now, as with Docker.
            request.size = checked_size(&request.name, &request.options)?;
        }
        let name = request.name.clone();
        let volume = self.ports.volumes.create(request).map_err(|error| in_words(&name, error))?;
        claim(&mut claimed, &volume.name);
        if !known {
            self.tell_volume("create", &volume);
        }
        Ok((volume, !known))
    }

    /// A volume by its name.
    ///
    /// # Errors
    /// `get …: no such volume`
    pub fn volume(&self, name: &str) -> Result<Volume> {
        let found = self.ports.volumes.get(name)?;
        found.ok_or_else(|| Error::not_found(format!("get {}: no such volume", shorten(name))))
    }

    /// All volumes by name.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn volumes(&self) -> Result<Vec<Volume>> {
        self.ports.volumes.list()
    }

    /// Containers that mount a volume.
    #[must_use]
    pub fn volume_users(&self, name: &str) -> Vec<ContainerId> {
        let containers = self.containers();
        let users = containers.iter().filter(|container| container.volumes().any(|mount| mount.name == name));
        users.map(|container| container.id.clone()).collect()
    }

    /// Removes a volume that no container mounts.
    ///
    /// # Errors
    /// Conflict, in Docker's words, when one does; with `force` it is no error when it is not there.
    pub fn remove_volume(&self, name: &str, force: bool) -> Result<()> {
        let claimed = lock(&self.claimed_volumes);
        let volume = match self.volume(name) {
            Err(error) if force && error.kind() == dhow_model::Kind::NotFound => return Ok(()),
            found => found?,
        };
        self.must_be_unused("remove", name, &claimed)?;
        self.ports.volumes.remove(name)?;
        self.tell_volume("destroy", &volume);
        Ok(())
    }

    fn must_be_unused(&self, verb: &str, name: &str, claimed: &claims::Claimed) -> Result<()> {
        if claimed.contains_key(name) {
            let words = format!("{verb} {name}: volume is in use - by something that is being done with it");
            return Err(Error::conflict(words));
        }
        let users = self.volume_users(name);
        if users.is_empty() {
            return Ok(());
        }
        let users: Vec<&str> = users.iter().map(ContainerId::as_str).collect();
        Err(Error::conflict(format!("{verb} {name}: volume is in use - [{}]", users.join(", "))))
    }

    /// Removes volumes that no container mounts.
    ///
    /// # Errors
    /// When one cannot be removed; those before it are gone.
    pub fn prune_volumes(&self, wanted: impl Fn(&Volume) -> bool) -> Result<PrunedVolumes> {
        let used: BTreeSet<String> =
            self.containers().iter().flat_map(|c| c.volumes().map(|m| m.name.clone())).collect();
        let mut pruned = PrunedVolumes::default();
        for volume in
            self.volumes()?.into_iter().filter(|volume| !used.contains(&volume.name) && wanted(volume))
        {
            let size = self.ports.volumes.usage(&volume.name).unwrap_or_default();
            match self.remove_volume(&volume.name, true) {
                Ok(()) => {
                    pruned.reclaimed += size;
                    pruned.names.push(volume.name);
                }
                Err(error) if error.kind() == dhow_model::Kind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        let more = [("reclaimed".to_owned(), pruned.reclaimed.to_string())].into();
        self.tell(EventKind::Volume, "prune", "", more);
        Ok(pruned)
    }

    fn tell_volume(&self, action: &str, volume: &Volume) {
        self.tell_volume_more(action, volume, &[]);
    }

    fn tell_volume_more(&self, action: &str, volume: &Volume, more: &[(&str, &str)]) {
        let all = [("driver", volume.driver.as_str())].into_iter().chain(more.iter().copied());
        let attributes = all.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        self.tell(EventKind::Volume, action, &volume.name, attributes);
    }
}

fn check_driver(name: &str, driver: &str) -> Result<()> {
    match driver {
        "" | "local" => Ok(()),
        other => Err(Error::not_found(format!(
            "create {name}: error looking up volume plugin {other}: plugin {other:?} not found"
        ))),
    }
}

/// Docker names the volume where its driver did not make it.
fn in_words(name: &str, error: Error) -> Error {
    match error.kind() {
        Kind::InvalidArgument => Error::invalid(format!("create {name}: {error}")),
        _ => error,
    }
}

/// Checks the options, and answers the size that they limit the volume to.
fn checked_size(name: &str, options: &BTreeMap<String, String>) -> Result<u64> {
    let size = options.get("size").map_or(Ok(0), |size| storage::or_zero(size));
    volume::check_options(options)
        .and(size)
        .map_err(|error| Error::new(error.kind(), format!("create {name}: {error}")))
}
