//! Snapshots: a container's writable layer on its image's stack.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Durability, MountedTree, RootfsPlan, UserSpace};
use crate::container::{MountPoint, UserMap};
use crate::{ContainerId, ImageId, Result, Timestamp};

/// The writable layers of containers.
///
/// A snapshot is prepared when a container is created, mounted when it starts, and removed with the
/// container. Nothing is ever mounted where the host sees it: mounts are attached nowhere until the
/// container's own init attaches them in its own mount namespace, and what the engine itself must
/// look at (`cp`, `export`) stays detached.
pub trait Snapshots: Send + Sync {
    /// Makes an empty writable layer on the stack of `image`; none is an empty root. It may take `size` bytes; 0 is no
    /// limit.
    ///
    /// # Errors
    /// Invalid argument, in Docker's words, for a size where the file system keeps no limits.
    fn prepare(
        &self,
        id: &ContainerId,
        image: Option<&ImageId>,
        durability: Durability,
        size: u64,
    ) -> Result<()>;

    /// Mounts its root file system, for one start, and makes sure of its limit; in a user namespace its files keep the
    /// owners that they have, and are seen as those of the container.
    fn rootfs(
        &self,
        id: &ContainerId,
        volatile: bool,
        size: u64,
        user: Option<&UserSpace>,
    ) -> Result<RootfsPlan>;

    /// Keeps images that a container mounts beside its own: they cannot be removed before the container is.
    ///
    /// Known in memory only: a new engine says it again of all its containers.
    ///
    /// # Errors
    /// Not found, naming the image that is not there any more.
    fn keep_images(&self, id: &ContainerId, images: &[ImageId]) -> Result<()>;

    /// Mounts the files of an image, or what is at a path in it, where nobody sees it and so that nothing can
    /// be written.
    ///
    /// # Errors
    /// Not found; invalid argument, in Docker's words, for a path that leads out of the image.
    fn image_tree(
        &self,
        image: &ImageId,
        below: Option<&Path>,
        user: Option<&UserSpace>,
    ) -> Result<MountedTree>;

    /// Removes it, or what an earlier attempt left of it; it is no error when it is not there.
    fn remove(&self, id: &ContainerId) -> Result<()>;

    /// What the writable layer changed, in path order, as `diff` prints it.
    fn changes(&self, id: &ContainerId) -> Result<Vec<Change>>;

    /// What it takes on disk.
    fn usage(&self, id: &ContainerId) -> Result<SnapshotUsage>;

    /// Writes the merged tree as one flat tar, without volumes and binds. The container's own mount is read when it
    /// runs.
    fn export(&self, target: &ArchiveTarget, out: &mut dyn Write) -> Result<()>;

    /// Looks at one path of a container.
    ///
    /// The path is resolved below the container's root: no link leads out of it.
    fn stat(&self, target: &ArchiveTarget, path: &Path) -> Result<PathStat>;

    /// Writes a path of a container as a tar whose entries begin with the path's last component.
    ///
    /// `begin` is called once, before the first byte, with what the path is.
    fn read_archive(
        &self,
        target: &ArchiveTarget,
        path: &Path,
        begin: &mut dyn FnMut(PathStat) -> Result<()>,
        out: &mut dyn Write,
    ) -> Result<()>;

    /// Unpacks a tar, compressed or not, into a directory of a container.
    fn write_archive(
        &self,
        target: &ArchiveTarget,
        path: &Path,
        options: ArchiveOptions,
        tar: &mut dyn Read,
    ) -> Result<()>;

    /// Makes sure that the container's directory has what `path` needs to be a mount target, and
    /// reads a small file of the root file system (`/etc/passwd`): at most `limit` bytes, none when
    /// it does not exist or is no regular file; `pid` is its first
    /// process when it runs, whose own mount is read then.
    fn read_file(
        &self,
        id: &ContainerId,
        pid: Option<i32>,
        path: &Path,
        limit: u64,
    ) -> Result<Option<Vec<u8>>>;

    /// Makes a directory of a container that never ran, and those above it, where its image has none.
    ///
    /// # Errors
    /// In Docker's words, when something else is there.
    fn make_directory(&self, id: &ContainerId, path: &Path) -> Result<()>;

    /// The directory of the container's own files on the host: `hostname`, `hosts`, `resolv.conf`, the log.
    fn directory(&self, id: &ContainerId) -> PathBuf;

    /// The containers that have a snapshot, for clearing away those that no record names.
    fn list(&self) -> Result<Vec<ContainerId>>;
}

/// A container whose files are looked at.
#[derive(Debug, Clone)]
pub struct ArchiveTarget {
    /// Which.
    pub id: ContainerId,
    /// Its first process when it runs: then its own mount namespace is what is looked at.
    pub pid: Option<i32>,
    /// Its binds and volumes, which are laid over the root when it does not run.
    pub mounts: Vec<MountPoint>,
    /// Its root is mounted read-only.
    pub read_only: bool,
    /// Who the users of its process are on the host, when it runs in a user namespace.
    pub users: Option<Arc<UserMap>>,
    /// When it does not run and would be in a user namespace: that of the other direction, which shows binds as its
    /// programs see them.
    pub seen_by: Option<UserSpace>,
}

/// How an archive is unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArchiveOptions {
    /// It is an error to replace a directory by a file or a file by a directory.
    pub no_overwrite_dir_non_dir: bool,
    /// Owner and group come from the archive; else everything belongs to the container's root.
    pub copy_uid_gid: bool,
}

/// What a path of a container is (`X-Docker-Container-Path-Stat`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStat {
    /// Last component.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// Go's `os.FileMode`: permission bits below, kind bits from bit 31 down.
    pub mode: u32,
    /// When it was last written.
    pub mtime: Timestamp,
    /// For a symbolic link: where it leads, resolved in the container.
    #[serde(rename = "linkTarget")]
    pub link_target: String,
}

/// One path that the writable layer changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What was done.
    pub kind: ChangeKind,
    /// Absolute.
    pub path: PathBuf,
}

/// What was done to a path; the numbers are the API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// `C`
    Modified = 0,
    /// `A`
    Added = 1,
    /// `D`
    Deleted = 2,
}

/// What a container takes on disk, in bytes of file content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SnapshotUsage {
    /// The writable layer.
    pub writable: u64,
    /// With the image's layers.
    pub total: u64,
}
