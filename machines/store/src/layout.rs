//! Where everything lies below the store's root.
//!
//! ```text
//! <root>/                          0711
//!   lock                           held by the one engine that has the store open
//!   db/state.sqlite                records and names
//!   db/state.mark                  whether the database can be believed without looking through it
//!   db/images.json                 images and names once more, for a database that got lost
//!   db/networks.json               networks once more, for the same day
//!   blobs/sha256/<digest>          configurations and manifests, byte for byte
//!   layers/<diff id>/              layer.tar (as it came) and index.erofs (its file tree, pointing into it);
//!                                  or fs/ (the unpacked tree), recipe (how to get the tar back), layer.json;
//!                                  damaged, when a check found it to be other bytes than it must
//!   containers/<id>/               rw/ (writable layer), work/ (overlayfs' own), config.json, the log, …
//!   volumes/<name>/                data/, volume.json
//!   base/                          the lowest layer of every container: mount points, and nothing else
//!   probe/                         a tiny layer: whether the kernel mounts it is tried at each start
//!   staging/                       what is not whole yet; cleared at each start
//!   damaged/                       layers that `system check --repair` found to be other bytes than they must
//!   trash/                         what is being deleted; cleared at each start
//! ```
//!
//! Everything but the root is 0700: nobody but root walks into a layer and finds a set-user-id
//! program there (CVE-2021-41091).

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use dhow_model::ContainerId;
use dhow_oci::Digest;

use crate::error::{Context as _, Result};

/// The paths of one store.
#[derive(Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    next: AtomicU64,
}

/// The directories below the root.
const DIRECTORIES: [&str; 9] =
    ["db", "blobs/sha256", "layers", "containers", "volumes", "base", "staging", "damaged", "trash"];

impl Layout {
    /// Makes what is missing of the directories.
    pub(crate) fn create(root: &Path) -> Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o711).create(root).on("make", root)?;
        fs::set_permissions(root, fs::Permissions::from_mode(0o711)).on("set the mode of", root)?;
        let root = root.canonicalize().on("resolve", root)?;
        for name in DIRECTORIES {
            let path = root.join(name);
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).on("make", &path)?;
        }
        make_base(&root.join("base"))?;
        Ok(Self { root, next: AtomicU64::new(0) })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("db/state.sqlite")
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("db/images.json")
    }

    pub(crate) fn networks(&self) -> PathBuf {
        self.root.join("db/networks.json")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(crate) fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.layers().join(diff_id.hex())
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    pub(crate) fn container(&self, id: &ContainerId) -> PathBuf {
        self.containers().join(id.as_str())
    }

    pub(crate) fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// `name` has been checked: it has no slash and does not begin with a dot.
    pub(crate) fn volume(&self, name: &str) -> PathBuf {
        self.volumes().join(name)
    }

    pub(crate) fn base(&self) -> PathBuf {
        self.root.join("base")
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// A tiny layer, by which each start finds out what the kernel mounts.
    pub(crate) fn probe(&self) -> PathBuf {
        self.root.join("probe")
    }

    /// Made when there is something to set aside.
    pub(crate) fn damaged(&self) -> PathBuf {
        self.root.join("damaged")
    }

    pub(crate) fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// A name that nothing in this process had yet.
    pub(crate) fn unique(&self) -> String {
        format!("{}-{}", std::process::id(), self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// Makes a directory with this mode, whatever the umask.
pub(crate) fn make_directory(path: &Path, mode: u32) -> Result<()> {
    fs::DirBuilder::new().mode(mode).create(path).on("make", path)?;
    if mode & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).on("set the mode of", path)?;
    }
    Ok(())
}

/// Fills the lowest layer: what every container has mounted or laid over it has a place there, so that
/// it is not made in the writable layer, where `diff` and `commit` would find it. An image that has
/// any of it lies above.
fn make_base(base: &Path) -> Result<()> {
    for name in ["", "dev", "dev/pts", "dev/shm", "etc", "proc", "sys"] {
        let path = base.join(name);
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&path).on("make", &path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).on("set the mode of", &path)?;
    }
    for name in [".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"] {
        let path = base.join(name);
        if !path.exists() {
            fs::write(&path, b"").on("make", &path)?;
        }
    }
    match std::os::unix::fs::symlink("/proc/mounts", base.join("etc/mtab")) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).on("make", &base.join("etc/mtab"))
        }
        _ => Ok(()),
    }
}
