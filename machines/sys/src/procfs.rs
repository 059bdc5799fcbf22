//! A handle on /proc that is really procfs, and writes through it.
//!
//! A container's author may lay a file or a link over a file of /proc, so that what is meant for
//! `attr/exec` or a sysctl goes elsewhere (CVE-2019-16884, CVE-2025-52881). Every file is therefore
//! opened below a handle that is the root of a procfs, without crossing mounts or links, and what
//! was opened must be on procfs too.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

/// The inode number of a procfs' root (`PROC_ROOT_INO`).
const ROOT_INODE: u64 = 1;
/// `PROC_SUPER_MAGIC`.
const MAGIC: i64 = 0x9fa0;

/// A procfs.
#[derive(Debug)]
pub struct Procfs {
    root: OwnedFd,
}

impl Procfs {
    /// The one at /proc, as this process sees it.
    ///
    /// # Errors
    /// The kernel's; `InvalidData` when it is no procfs.
    pub fn at_proc() -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::of(rustix::fs::open("/proc", flags, Mode::empty())?)
    }

    /// A new one of this process's pid namespace, which no path leads to and nothing can be laid over.
    ///
    /// # Errors
    /// The kernel's: it needs the right to mount.
    pub fn private() -> io::Result<Self> {
        let context = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        Self::of(rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
    }

    fn of(root: OwnedFd) -> io::Result<Self> {
        let stat = rustix::fs::fstat(&root)?;
        if !is_procfs(&root)? || stat.st_ino != ROOT_INODE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "/proc is not the root of a procfs"));
        }
        Ok(Self { root })
    }

    /// Opens a file below.
    ///
    /// # Errors
    /// The kernel's: `EXDEV` when something is mounted over it, `ELOOP` when a link is on the way.
    pub fn open(&self, path: impl AsRef<Path>, flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        let path = self.without_self(path.as_ref());
        let file = rustix::fs::openat2(&self.root, &path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?;
        if !is_procfs(&file)? {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a file of /proc is not on procfs"));
        }
        Ok(file)
    }

    /// Writes all of `text` to a file in one call.
    ///
    /// # Errors
    /// As [`open`](Self::open), and what the file answers.
    pub fn write(&self, path: impl AsRef<Path>, text: &[u8]) -> io::Result<()> {
        std::fs::File::from(self.open(path, OFlags::WRONLY)?).write_all(text)
    }

    /// Reads a file of at most 1 MiB.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<String> {
        let mut text = String::new();
        std::fs::File::from(self.open(path, OFlags::RDONLY)?).take(1 << 20).read_to_string(&mut text)?;
        Ok(text)
    }

    /// `self` and `thread-self` are links, which is what must not be followed.
    fn without_self(&self, path: &Path) -> std::path::PathBuf {
        match path.strip_prefix("self") {
            Ok(rest) => match rustix::fs::readlinkat(&self.root, "self", Vec::new()) {
                Ok(own) => Path::new(&own.to_string_lossy().into_owned()).join(rest),
                Err(_) => path.into(),
            },
            Err(_) => path.into(),
        }
    }
}

fn is_procfs(fd: impl AsFd) -> io::Result<bool> {
    Ok(rustix::fs::fstatfs(fd)?.f_type == MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_proc_are_read_and_links_are_not_followed() {
        let procfs = Procfs::at_proc().unwrap();
        assert!(procfs.read("self/status").unwrap().contains("Name:"));
        assert!(procfs.read("self/root/etc/hostname").is_err());
        assert!(procfs.open("../etc/passwd", OFlags::RDONLY).is_err());
    }
}
