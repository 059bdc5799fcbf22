//! The layers of this moment as overlays take them: each is looked up, and mounted, once.
//!
//! A mounted layer is held by its descriptor alone and attached nowhere: nobody on the host sees it,
//! it is gone when the engine is, and what containers have of it stays with them. Containers of one
//! image share its mounts, and so the pages of its files. The next engine mounts anew: a mount costs
//! 60 µs, and two of the same files do not mind one another.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dhow_model::container::UserMap;
use dhow_model::ports::UserSpace;
use dhow_oci::image::DiffId;

use super::{Lower, mapped, tarred};
use crate::error::{Context as _, Error, Kind, Result};
use crate::layout::Layout;

/// So many are held at most, where as many descriptors may be open; the one that was not used for longest
/// goes first. Each takes about 15 kB of the kernel's memory.
const MOST: usize = 1024;
/// What is left to others: of so many descriptors one may be a layer.
const SHARE: u64 = 4;

/// Layers that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Mounts(Mutex<Known>);

/// A layer, and whose its files are seen as; nothing is whose they are.
type Key = (DiffId, Option<Arc<UserMap>>);

#[derive(Debug, Default)]
struct Known {
    layers: HashMap<Key, (Lower, u64)>,
    /// What all containers share, as they see it.
    bases: HashMap<Arc<UserMap>, Lower>,
    /// Counts the questions.
    clock: u64,
}

impl Mounts {
    /// The layer, if it was asked for before.
    pub(super) fn known(&self, diff_id: &DiffId) -> Option<Lower> {
        self.lock().find(&(*diff_id, None))
    }

    /// The layer as overlays take it.
    pub(super) fn lower(&self, layout: &Layout, diff_id: &DiffId) -> Result<Lower> {
        // Without the lock: mounting a large layer reads from the disk.
        let lower = look(layout, diff_id)?;
        Ok(self.lock().keep((*diff_id, None), lower))
    }

    /// A layer that is here, with its owners mapped.
    pub(super) fn mapped(
        &self,
        layout: &Layout,
        diff_id: &DiffId,
        (lower, user): (&Lower, &UserSpace),
    ) -> Result<Lower> {
        let key = (*diff_id, Some(Arc::clone(user.map())));
        if let Some(known) = self.lock().find(&key) {
            return Ok(known);
        }
        let again = || tarred::mount(&layout.layer(diff_id));
        let mapped = mapped::lower(lower, again, user);
        let mapped = mapped.context(|| format!("cannot map the owners of layer {diff_id}"))?;
        Ok(self.lock().keep(key, mapped))
    }

    /// What all containers share, with its owners mapped.
    pub(super) fn base(&self, layout: &Layout, user: &UserSpace) -> Result<Lower> {
        if let Some(known) = self.lock().bases.get(user.map()) {
            return Ok(known.clone());
        }
        let none = || Err(rustix::io::Errno::INVAL.into());
        let mapped = mapped::lower(&Lower::Directory(layout.base()), none, user);
        let mapped = mapped.context(|| "cannot map the owners of the lowest layer".to_owned())?;
        self.lock().bases.insert(Arc::clone(user.map()), mapped.clone());
        Ok(mapped)
    }

    /// The layer goes, or is another now.
    pub(crate) fn forget(&self, diff_id: &DiffId) {
        self.lock().layers.retain(|(known, _), _| known != diff_id);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn find(&mut self, key: &Key) -> Option<Lower> {
        self.clock += 1;
        let (lower, used) = self.layers.get_mut(key)?;
        *used = self.clock;
        Some(lower.clone())
    }

    /// Another thread may have been faster: then all share what that one has.
    fn keep(&mut self, key: Key, lower: Lower) -> Lower {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let share = descriptors.and_then(|most| usize::try_from(most / SHARE).ok()).unwrap_or(MOST);
        if self.layers.len() >= share.min(MOST)
            && let Some(oldest) =
                self.layers.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone())
        {
            self.layers.remove(&oldest);
        }
        let clock = self.clock;
        self.layers.entry(key).or_insert((lower, clock)).0.clone()
    }
}

fn look(layout: &Layout, diff_id: &DiffId) -> Result<Lower> {
    let directory = layout.layer(diff_id);
    let tree = directory.join("fs");
    if tree.is_dir() {
        return Ok(Lower::Directory(tree));
    }
    match tarred::mount(&directory) {
        Ok(root) => Ok(Lower::Mounted(Arc::<OwnedFd>::new(root))),
        Err(error) if is_damage(&error) => {
            let what = format!("layer {diff_id} is damaged: see `dhow system check --repair`");
            Err(Error::new(Kind::Corrupt, what).because(error))
        }
        Err(error) => Err(error).context(|| format!("cannot mount layer {diff_id}")),
    }
}

/// A file that is gone or not as it was written, and what EROFS says of an index that is none
/// (`EFSCORRUPTED` is `EUCLEAN`).
fn is_damage(error: &std::io::Error) -> bool {
    let errno = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::NotFound)
        || matches!(errno, Some(rustix::io::Errno::INVAL | rustix::io::Errno::UCLEAN | rustix::io::Errno::IO))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::fd::OwnedFd;
    use std::process::{Command, Stdio};
    use std::sync::Arc;

    use dhow_sys::mount::{Attributes, attribute, set_attributes};
    use rustix::fs::{AtFlags, statat};
    use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

    use super::super::{LayerFormat, Lower, NAME, Overlay, choose, receive, tarred};
    use crate::layout::Layout;
    use crate::staging::Stage;
    use crate::tar::{Entry, Writer};

    /// A user namespace in which the ids from 0 on are the host's from 100,000 on.
    fn user_namespace() -> OwnedFd {
        let mut child = Command::new("unshare")
            .args(["-U", "sh", "-c", "echo; read line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        for map in ["uid_map", "gid_map"] {
            let path = format!("/proc/{}/{map}", child.id());
            std::fs::write(path, "0 100000 65536").unwrap();
        }
        let namespace = std::fs::File::open(format!("/proc/{}/ns/user", child.id())).unwrap();
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        child.wait().unwrap();
        namespace.into()
    }

    #[test]
    fn owners_of_a_stack_of_both_formats_are_mapped_below_an_overlay() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path()).unwrap();
        if !rustix::process::geteuid().is_root() || choose(&layout, Some(LayerFormat::Tar)).is_err() {
            eprintln!("not run: needs root and a kernel that mounts the index of a tar");
            return;
        }
        let stage = Stage::new(&layout).unwrap();
        let layer = |name: &str, format, uid| {
            let mut tar = Writer::new(Vec::new());
            tar.append(&Entry { uid, ..Entry::file(name, 1) }, &mut &b"x"[..]).unwrap();
            receive(&stage, name, format, &*tar.finish().unwrap()).unwrap();
            stage.path().join(name)
        };
        let indexed = tarred::mount(&layer("indexed", LayerFormat::Tar, 7)).unwrap();
        let plain = layer("plain", LayerFormat::Directory, 9).join("fs");
        let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let plain = open_tree(rustix::fs::CWD, &plain, clone).unwrap();
        let namespace = user_namespace();
        let mapped = [indexed, plain].map(|mount| {
            let attributes = Attributes { set: attribute::IDMAP, ..Attributes::default() };
            set_attributes(&mount, attributes, false, Some(std::os::fd::AsFd::as_fd(&namespace))).unwrap();
            Lower::Mounted(Arc::new(mount))
        });
        let lower = [&mapped[..], &[Lower::Directory(layout.base())]].concat();
        let overlay =
            Overlay { lower: &lower, writable: None, attributes: MountAttrFlags::empty(), source: NAME };
        let root = overlay.mount().unwrap();
        for (name, owner) in [("indexed", 100_007), ("plain", 100_009)] {
            let stat = statat(&root, name, AtFlags::empty()).unwrap();
            assert_eq!((stat.st_uid, stat.st_gid), (owner, 100_000), "{name}");
        }
    }
}
