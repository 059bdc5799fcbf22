//! Snapshots: a container's writable layer on its image's stack.
//!
//! [`mounted`] mounts the layers where nobody sees it, [`running`] finds the root of a container that
//! runs, [`image_tree`] mounts the files of an image alone, and [`tree`] makes of either what `docker cp` sees; [`location`] finds a path there, and
//! [`archive`] turns it into a tar or a tar into it.

mod archive;
mod files;
mod image_tree;
mod location;
mod mounted;
mod running;
mod small_files;
mod tree;
mod turns;
mod usage;
mod view;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dhow_model::ports::{
    ArchiveOptions, ArchiveTarget, Change, Durability, MountedTree, PathStat, RootfsPlan, SnapshotUsage,
    Snapshots, UserSpace,
};
use dhow_model::{ContainerId, Error, ImageId, Kind, Result};
use dhow_oci::image::DiffId;
use dhow_sys::trace::mark;
use rustix::mount::MountAttrFlags;

use crate::Core;
use crate::catalog::Snapshot;
use crate::error::Context as _;
use crate::images::missing;
use crate::layout::make_directory;
use crate::stack::{Lower, NAME, Overlay, Writable, mapped};

pub(crate) use files::directory_of;
pub(crate) use small_files::SmallFiles;
pub(crate) use turns::Turns;
pub(crate) use usage::disk_usage;

/// The writable layers of containers.
#[derive(Debug, Clone)]
pub struct SnapshotStore {
    pub(crate) core: Arc<Core>,
}

impl SnapshotStore {
    /// Tries whether containers can be in this user namespace.
    ///
    /// # Errors
    /// Unavailable, with the reason.
    pub fn try_user_space(&self, user: &UserSpace) -> Result<()> {
        self.core.try_mapping(user)
    }
}

impl Snapshots for SnapshotStore {
    /// Nobody waits for the record: the container's is written after it by the same thread, and
    /// without that the next start would clear it away.
    fn prepare(
        &self,
        id: &ContainerId,
        image: Option<&ImageId>,
        _durability: Durability,
        size: u64,
    ) -> Result<()> {
        mark("create asked");
        let snapshot = self.core.admit(id, image)?;
        let made = self
            .core
            .make_snapshot(id, &snapshot)
            .and_then(|()| self.core.limit_snapshot(id, size))
            .and_then(|()| self.core.record_snapshot(id, &snapshot));
        if made.is_err() {
            self.core.catalog_mut().snapshots.remove(id);
            drop(self.core.trash.discard(&self.core.layout.container(id)));
        }
        mark("snapshot made");
        made
    }

    fn rootfs(
        &self,
        id: &ContainerId,
        volatile: bool,
        size: u64,
        user: Option<&UserSpace>,
    ) -> Result<RootfsPlan> {
        mark("start planned");
        let snapshot = self.core.snapshot(id)?;
        let directory = self.core.layout.container(id);
        let (upper, work) = (directory.join("rw"), directory.join("work"));
        if !upper.is_dir() {
            let words =
                format!("the writable layer of container {} is lost: all it had changed is gone", id.short());
            return Err(Error::new(Kind::Corrupt, words));
        }
        self.core.renew_work(&work)?;
        self.core.limit_snapshot(id, size)?;
        let lower = match user {
            None => self.core.lower(&snapshot.layers)?,
            Some(user) => self.core.mapped_lower(&snapshot.layers, user)?,
        };
        let tree = self.core.quotas.with_room(&upper, || match user {
            None => Overlay {
                lower: &lower,
                writable: Some(Writable { upper: &upper, work: &work, volatile }),
                attributes: MountAttrFlags::empty(),
                source: NAME,
            }
            .mount(),
            Some(user) => mapped::overlay(lower, &directory, volatile, user),
        })?;
        let tree =
            tree.context(|| format!("cannot mount the root file system of container {}", id.short()))?;
        Ok(RootfsPlan::Mounted { tree: MountedTree::new(tree), upper })
    }

    fn keep_images(&self, id: &ContainerId, images: &[ImageId]) -> Result<()> {
        self.core.keep_images(id, images)
    }

    fn image_tree(
        &self,
        image: &ImageId,
        below: Option<&Path>,
        user: Option<&UserSpace>,
    ) -> Result<MountedTree> {
        self.core.image_tree(image, below, user)
    }

    fn remove(&self, id: &ContainerId) -> Result<()> {
        let gone = self.core.forget_snapshot(id);
        mark("snapshot removed");
        gone
    }

    fn changes(&self, id: &ContainerId) -> Result<Vec<Change>> {
        self.core.changes(id)
    }

    fn usage(&self, id: &ContainerId) -> Result<SnapshotUsage> {
        let snapshot = self.core.snapshot(id)?;
        let upper = self.core.layout.container(id).join("rw");
        let writable = if upper.is_dir() { disk_usage(&upper)? } else { 0 };
        let catalog = self.core.catalog();
        let below: u64 = snapshot.layers.iter().filter_map(|layer| catalog.layers.get(layer)).sum();
        Ok(SnapshotUsage { writable, total: writable + below })
    }

    fn export(&self, target: &ArchiveTarget, out: &mut dyn Write) -> Result<()> {
        self.core.export(target, out)
    }

    fn stat(&self, target: &ArchiveTarget, path: &Path) -> Result<PathStat> {
        self.core.stat(target, path)
    }

    fn read_archive(
        &self,
        target: &ArchiveTarget,
        path: &Path,
        begin: &mut dyn FnMut(PathStat) -> Result<()>,
        out: &mut dyn Write,
    ) -> Result<()> {
        self.core.read_archive(target, path, begin, out)
    }

    fn write_archive(
        &self,
        target: &ArchiveTarget,
        path: &Path,
        options: ArchiveOptions,
        tar: &mut dyn Read,
    ) -> Result<()> {
        self.core.write_archive(target, path, options, tar)
    }

    fn read_file(
        &self,
        id: &ContainerId,
        pid: Option<i32>,
        path: &Path,
        limit: u64,
    ) -> Result<Option<Vec<u8>>> {
        self.core.read_file(id, pid, path, limit)
    }

    fn make_directory(&self, id: &ContainerId, path: &Path) -> Result<()> {
        self.core.make_directory_in(id, path)
    }

    fn directory(&self, id: &ContainerId) -> PathBuf {
        self.core.layout.container(id)
    }

    fn list(&self) -> Result<Vec<ContainerId>> {
        let mut ids: Vec<ContainerId> = self.core.catalog().snapshots.keys().cloned().collect();
        ids.sort();
        Ok(ids)
    }
}

impl Core {
    pub(crate) fn snapshot(&self, id: &ContainerId) -> Result<Snapshot> {
        let catalog = self.catalog();
        let found = catalog.snapshots.get(id).cloned();
        found.ok_or_else(|| Error::not_found(format!("container {} has no file system", id.short())))
    }

    /// Removes the snapshot, and the layers that only it needed.
    pub(crate) fn forget_snapshot(&self, id: &ContainerId) -> Result<()> {
        self.trash.discard(&self.layout.container(id))?;
        let removed = {
            let mut catalog = self.catalog_mut();
            catalog.kept.remove(id);
            catalog.snapshots.remove(id)
        };
        let Some(snapshot) = removed else { return Ok(()) };
        let text = id.to_string();
        self.database.post(move |connection| {
            connection.prepare_cached("DELETE FROM snapshot WHERE id = ?1")?.execute([&text]).map(drop)
        })?;
        let image_stays = snapshot.image.is_some_and(|id| self.catalog().on_record(&id).is_some());
        if !image_stays {
            self.collect_layers(&snapshot.layers)?;
        }
        Ok(())
    }

    /// Takes the snapshot into the catalog if its image is there: one step, so that the image cannot
    /// go between the check and the record.
    fn admit(&self, id: &ContainerId, image: Option<&ImageId>) -> Result<Snapshot> {
        let mut catalog = self.catalog_mut();
        let layers: Arc<[DiffId]> = match image {
            None => Arc::new([]),
            Some(image) => {
                let entry = catalog.images.get(image);
                let entry = entry.ok_or_else(|| missing(&catalog, image))?;
                entry.layers().into()
            }
        };
        if catalog.snapshots.contains_key(id) {
            return Err(Error::conflict(format!("container {} has a file system already", id.short())));
        }
        let snapshot = Snapshot { image: image.copied(), layers };
        catalog.snapshots.insert(id.clone(), snapshot.clone());
        Ok(snapshot)
    }

    pub(crate) fn make_snapshot(&self, id: &ContainerId, snapshot: &Snapshot) -> Result<()> {
        let directory = self.layout.container(id);
        make_directory(&directory, 0o700)?;
        make_directory(&directory.join("work"), 0o700)?;
        let upper = directory.join("rw");
        make_directory(&upper, 0o700)?;
        self.like_below(&upper, snapshot)
    }

    /// Overlayfs takes mode and owner of `/` from the writable layer: give it those of the image's.
    fn like_below(&self, upper: &Path, snapshot: &Snapshot) -> Result<()> {
        let told = || "cannot look at the root of the image";
        let top = snapshot.layers.last().map_or(&[][..], std::slice::from_ref);
        let below = self.lower(top)?.into_iter().next();
        let below = below.unwrap_or_else(|| Lower::Directory(self.layout.base()));
        let stat = below.stat().context(told)?;
        let (owner, group) = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
        rustix::fs::chown(upper, Some(owner), Some(group)).on("set the owner of", upper)?;
        rustix::fs::chmod(upper, rustix::fs::Mode::from_raw_mode(stat.st_mode & 0o7777))
            .on("set the mode of", upper)
    }

    pub(crate) fn record_snapshot(&self, id: &ContainerId, snapshot: &Snapshot) -> Result<()> {
        let (id, snapshot) = (id.to_string(), snapshot.clone());
        self.database.post(move |connection| snapshot_row(connection, &id, &snapshot))
    }

    /// After a volatile mount that was not unmounted in order, overlayfs refuses the same work
    /// directory: what was not synced may be lost. Here only the engine was: nothing is.
    fn renew_work(&self, work: &Path) -> Result<()> {
        if work.join("work/incompat/volatile").exists() {
            self.trash.discard(work)?;
        }
        if work.is_dir() {
            return Ok(());
        }
        make_directory(work, 0o700)?;
        // Overlayfs makes files here and moves them to the writable layer, which takes those of its own project only.
        self.quotas.join(work, &work.with_file_name("rw"))
    }

    /// Overlayfs' own directory counts too: what is made there is moved to the writable layer.
    fn limit_snapshot(&self, id: &ContainerId, size: u64) -> Result<()> {
        if size == 0 {
            return Ok(());
        }
        self.quotas
            .available("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")?;
        let directory = self.layout.container(id);
        self.quotas.limit(&[&directory.join("rw"), &directory.join("work")], size)
    }
}

pub(crate) fn snapshot_row(
    connection: &rusqlite::Connection,
    id: &str,
    snapshot: &Snapshot,
) -> rusqlite::Result<()> {
    let layers: Vec<String> = snapshot.layers.iter().map(dhow_oci::Digest::hex).collect();
    let mut insert = connection
        .prepare_cached("INSERT OR REPLACE INTO snapshot (id, image, layers) VALUES (?1, ?2, ?3)")?;
    insert.execute((id, snapshot.image.map(|image| image.to_string()), layers.join(" "))).map(drop)
}
