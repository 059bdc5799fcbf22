//! Who uses which volume. One that stands for a file system is mounted while somebody does.
//!
//! Who uses it is known in memory only. A new engine finds out again: see `boot`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use dhow_model::{Container, ContainerId, Result, Volume};

use crate::Engine;
use crate::registry::lock;

/// Who uses each volume. A volume's own lock is held while it is mounted, which may take as long as a server does to
/// answer, and while its data are exchanged.
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
        self.hold(self.known_volumes(record), record.id.to_string()).map(Held::keep)
    }

    /// A container's process has ended: what nobody else uses is unmounted.
    pub(crate) fn detach_volumes(&self, record: &Container) {
        for volume in record.volumes() {
            self.leave(&volume.name, record.id.as_str());
        }
    }

    /// The same as [`attach_volumes`](Self::attach_volumes) for as long as somebody works with a container's files,
    /// whether it runs or not.
    pub(crate) fn hold_volumes(&self, record: &Container) -> Result<Held<'_>> {
        self.hold(self.known_volumes(record), self.nobody())
    }

    /// The same for one volume.
    pub(super) fn hold_volume(&self, volume: &Volume) -> Result<Held<'_>> {
        self.hold(std::iter::once(volume.clone()), self.nobody())
    }

    /// Does something with a volume that nobody uses, and nobody shall use meanwhile; nothing where somebody does, or where
    /// it stands for something else.
    pub(super) fn alone<T>(&self, volume: &Volume, work: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
        let users = self.users_of(&volume.name);
        let held = lock(&users);
        let is_alone = held.is_empty() && volume.mount().is_none();
        let done = if is_alone { work().map(Some) } else { Ok(None) };
        drop(held);
        self.forget_users(&volume.name, users);
        done
    }

    /// A user who is no container.
    fn nobody(&self) -> String {
        ContainerId::from_random(self.ports.host.random()).to_string()
    }

    fn mount_volume(&self, name: &str) -> Result<()> {
        self.ports.volumes.attach(name, &|server| self.ports.networks.look_up(server))
    }

    fn hold(&self, volumes: impl Iterator<Item = Volume>, user: String) -> Result<Held<'_>> {
        let mut held = Held { engine: self, names: Vec::new(), user };
        for volume in volumes {
            let users = self.users_of(&volume.name);
            let mut users = lock(&users);
            if users.is_empty() && volume.mount().is_some() {
                self.mount_volume(&volume.name)?;
            }
            users.insert(held.user.clone());
            drop(users);
            held.names.push(volume.name);
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

    /// The volumes of a container that are there.
    pub(crate) fn known_volumes(&self, record: &Container) -> impl Iterator<Item = Volume> {
        record.volumes().filter_map(|mount| self.ports.volumes.get(&mount.name).ok().flatten())
    }

    fn users_of(&self, name: &str) -> Arc<Mutex<BTreeSet<String>>> {
        Arc::clone(lock(&self.attached_volumes).entry(name.to_owned()).or_default())
    }

    fn leave(&self, name: &str, user: &str) {
        let users = self.users_of(name);
        let mut left = lock(&users);
        left.remove(user);
        if left.is_empty()
            && let Err(error) = self.ports.volumes.detach(name)
        {
            tracing::warn!(volume = name, "{}", error.report());
        }
        drop(left);
        self.forget_users(name, users);
    }

    /// Of a volume that nobody uses nothing is kept.
    fn forget_users(&self, name: &str, users: Arc<Mutex<BTreeSet<String>>>) {
        let mut all = lock(&self.attached_volumes);
        drop(users);
        // Nobody else has them in hand, and nobody gets them meanwhile.
        if all.get(name).is_some_and(|users| Arc::strong_count(users) == 1 && lock(users).is_empty()) {
            all.remove(name);
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
