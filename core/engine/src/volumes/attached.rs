//! Volumes that stand for a file system: it is mounted while a container uses it.
//!
//! Who uses it is known in memory only. A new engine finds out again: see `boot`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use dhow_model::{Container, ContainerId, Result, Volume};

use crate::Engine;
use crate::registry::lock;

/// Who uses each of these volumes. A volume's own lock is held while it is mounted, which may take as long as a
/// server does to answer.
pub(crate) type Attached = Mutex<BTreeMap<String, Arc<Mutex<BTreeSet<String>>>>>;

/// A container's volumes are mounted until this is dropped.
pub(crate) struct Held<'a> {
    engine: &'a Engine,
    names: Vec<String>,
    user: String,
}

impl Engine {
    /// Mounts what a container's volumes stand for, until [`detach_volumes`](Self::detach_volumes).
    pub(crate) fn attach_volumes(&self, record: &Container) -> Result<()> {
        for volume in self.known_volumes(record).filter(|volume| volume.size != 0) {
            // Its data may have been carried to another disk.
            self.mount_volume(&volume.name)?;
        }
        self.hold(self.mounted_volumes(record), record.id.to_string()).map(Held::keep)
    }

    /// A container's process has ended: what nobody else uses is unmounted.
    pub(crate) fn detach_volumes(&self, record: &Container) {
        for name in self.mounted_volumes(record) {
            self.leave(&name, record.id.as_str());
        }
    }

    /// The same as [`attach_volumes`](Self::attach_volumes) for as long as somebody works with a container's files,
    /// whether it runs or not.
    pub(crate) fn hold_volumes(&self, record: &Container) -> Result<Held<'_>> {
        self.hold(self.mounted_volumes(record), self.nobody())
    }

    /// The same for one volume.
    pub(super) fn hold_volume(&self, volume: &Volume) -> Result<Held<'_>> {
        let names = volume.mount().map(|_| volume.name.clone()).into_iter().collect();
        self.hold(names, self.nobody())
    }

    /// A user who is no container.
    fn nobody(&self) -> String {
        ContainerId::from_random(self.ports.host.random()).to_string()
    }

    fn mount_volume(&self, name: &str) -> Result<()> {
        self.ports.volumes.attach(name, &|server| self.ports.networks.look_up(server))
    }

    fn hold(&self, names: Vec<String>, user: String) -> Result<Held<'_>> {
        let mut held = Held { engine: self, names: Vec::new(), user };
        for name in names {
            let users = self.users_of(&name);
            let mut users = lock(&users);
            if users.is_empty() {
                self.mount_volume(&name)?;
            }
            users.insert(held.user.clone());
            drop(users);
            held.names.push(name);
        }
        Ok(held)
    }

    /// What no container uses, and an engine before this one left mounted.
    pub(crate) fn detach_unused(&self) {
        let volumes = self.ports.volumes.list().unwrap_or_default();
        for volume in volumes.iter().filter(|volume| volume.mount().is_some()) {
            self.leave(&volume.name, "");
        }
    }

    fn mounted_volumes(&self, record: &Container) -> Vec<String> {
        let mounted = self.known_volumes(record).filter(|volume| volume.mount().is_some());
        mounted.map(|volume| volume.name).collect()
    }

    /// The volumes of a container that are there.
    pub(crate) fn known_volumes(&self, record: &Container) -> impl Iterator<Item = Volume> {
        record.volumes().filter_map(|mount| self.ports.volumes.get(&mount.name).ok().flatten())
    }

    fn users_of(&self, name: &str) -> Arc<Mutex<BTreeSet<String>>> {
        Arc::clone(lock(&self.attached_volumes).entry(name.to_owned()).or_default())
    }

    fn leave(&self, name: &str, user: &str) {
        let users = self.users_of(name);
        let mut users = lock(&users);
        users.remove(user);
        if !users.is_empty() {
            return;
        }
        if let Err(error) = self.ports.volumes.detach(name) {
            tracing::warn!(volume = name, "{}", error.report());
        }
    }
}

impl Held<'_> {
    fn keep(mut self) {
        self.names.clear();
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        for name in &self.names {
            self.engine.leave(name, &self.user);
        }
    }
}
