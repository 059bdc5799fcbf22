//! The root of a container that runs, by its first process.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use dhow_model::{Error, Result};
use dhow_sys::mount::{Attributes, attribute};
use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::error::{Cause, Context as _};

/// A container has a few hundred mounts at most.
const MOUNTS_MAX: u64 = 4 << 20;

/// A process whose root is the overlay of a container.
///
/// A number alone proves nothing: the process may have ended and another have got its number. The
/// directory in /proc is held, which stays with the process, and its mounts must be the container's.
#[derive(Debug)]
pub(super) struct Process {
    directory: OwnedFd,
    mountinfo: Vec<u8>,
}

impl Process {
    /// Looks for the process whose root has this writable layer.
    pub(super) fn find(pid: i32, upper: &Path) -> Result<Self> {
        let told = || format!("cannot open the root of process {pid}");
        process(pid, upper).context(told)?.ok_or_else(|| gone(&told()))
    }

    /// Its root directory.
    pub(super) fn root(&self) -> rustix::io::Result<OwnedFd> {
        // The link in /proc is followed: it is the kernel's, and leads to the root itself.
        openat(&self.directory, "root", HANDLE, Mode::empty())
    }

    /// Its mount namespace.
    pub(super) fn namespace(&self) -> rustix::io::Result<OwnedFd> {
        openat(&self.directory, "ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }

    /// Where something is mounted, as the process names it, without its root.
    pub(super) fn mount_points(&self) -> Vec<PathBuf> {
        let lines = self.mountinfo.split(|&byte| byte == b'\n');
        let points = lines.filter_map(|line| line.split(|&byte| byte == b' ').nth(4));
        let points = points.filter(|point| point.len() > 1).map(unescape);
        points.map(|point| std::ffi::OsString::from_vec(point).into()).collect()
    }
}

/// Copies the root mount alone of such a process: the overlay, without what is mounted over it. The copy is
/// attached nowhere, and nothing in it can be written.
pub(super) fn own_tree(pid: i32, upper: &Path) -> Result<OwnedFd> {
    let told = || format!("cannot copy the root mount of process {pid}");
    let open = || -> std::result::Result<Option<OwnedFd>, Cause> {
        let Some(process) = process(pid, upper)? else { return Ok(None) };
        let namespace = process.namespace()?;
        // Mounts are copied from within their namespace only, and only a thread can go there and be given up.
        let thread = std::thread::Builder::new().name("store-mounts".into());
        let copying = thread.spawn(move || copy_root(&namespace))?;
        Ok(Some(copying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?))
    };
    open().context(told)?.ok_or_else(|| gone(&told()))
}

/// Nothing of the container is named here but its root, and nothing of it is run.
fn copy_root(namespace: &OwnedFd) -> std::result::Result<OwnedFd, Cause> {
    #[allow(deprecated, reason = "files are not unshared, so no other thread is concerned")]
    rustix::thread::unshare(UnshareFlags::FS)?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?;
    let tree =
        open_tree(rustix::fs::CWD, "/", OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    let set = attribute::RDONLY | attribute::NODEV | attribute::NOSUID | attribute::NOATIME;
    let looked_at = Attributes { set, clear: attribute::ATIME, ..Attributes::default() };
    match dhow_sys::mount::set_attributes(&tree, looked_at, false, None) {
        // Before Linux 5.12 a mount that is attached nowhere keeps those of the container's.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => Ok(tree),
        done => done.map(|()| tree).map_err(Cause::from),
    }
}

const HANDLE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The process, if its root is the overlay with this writable layer.
fn process(pid: i32, upper: &Path) -> std::result::Result<Option<Process>, Cause> {
    let directory = rustix::fs::open(format!("/proc/{pid}"), HANDLE, Mode::empty())?;
    let mounts = openat(&directory, "mountinfo", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut mountinfo = Vec::new();
    File::from(mounts).take(MOUNTS_MAX).read_to_end(&mut mountinfo)?;
    Ok(root_is(&mountinfo, upper).then_some(Process { directory, mountinfo }))
}

fn gone(told: &str) -> Error {
    Error::conflict(format!("{told}: it is not in this container any more"))
}

/// The option of an overlay that names its writable layer.
const UPPER: &[u8] = b"upperdir=";

/// Whether mountinfo (proc_pid_mountinfo(5)) has an overlay with that upper directory at `/`.
fn root_is(mountinfo: &[u8], upper: &Path) -> bool {
    let wanted = [UPPER, escape(upper.as_os_str().as_bytes()).as_slice()].concat();
    let fits = |line: &[u8]| {
        let mut fields = line.split(|&byte| byte == b' ');
        let at_root = fields.nth(4) == Some(b"/");
        let mut behind = fields.skip_while(|field| *field != b"-").skip(1);
        let overlay = behind.next() == Some(b"overlay");
        // In a user namespace the upper directory has another path, and the source is its own.
        let is_source = behind.next() == wanted.strip_prefix(UPPER);
        let options = behind.next().unwrap_or_default();
        at_root
            && overlay
            && (is_source || options.split(|&byte| byte == b',').any(|option| option == wanted))
    };
    mountinfo.split(|&byte| byte == b'\n').any(fits)
}

/// As the kernel writes blanks, line ends, backslashes and the option separators in that file.
fn escape(path: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(path.len());
    for &byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b'#' => escaped.extend(format!("\\{byte:03o}").bytes()),
            byte => escaped.push(byte),
        }
    }
    escaped
}

/// The other way round: the three digits behind a backslash are a byte.
fn unescape(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let meant = digits.filter(|_| byte == b'\\').and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(meant.unwrap_or(byte));
        rest = if meant.is_some() { &behind[3..] } else { behind };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_own_overlay_is_its_root() {
        let line = |upper: &str, at: &str| {
            format!(
                "36 35 0:30 / {at} rw,relatime - overlay dhow rw,lowerdir=/l,upperdir={upper},workdir=/w\n"
            )
        };
        let upper = Path::new("/var/lib/dhow/containers/1/rw");
        assert!(root_is(line("/var/lib/dhow/containers/1/rw", "/").as_bytes(), upper));
        assert!(!root_is(line("/var/lib/dhow/containers/2/rw", "/").as_bytes(), upper));
        assert!(!root_is(line("/var/lib/dhow/containers/1/rw", "/mnt").as_bytes(), upper));
        assert!(!root_is(b"22 1 8:1 / / rw - ext4 /dev/sda rw,upperdir=x\n", upper));
        assert!(root_is(line("/a\\040b", "/").as_bytes(), Path::new("/a b")));
    }

    #[test]
    fn names_of_mount_points_are_read_as_they_are() {
        for path in [&b"/a b"[..], b"/tab\tline\n", b"/back\\slash\\040", b"/plain"] {
            assert_eq!(unescape(&escape(path)), path);
        }
        assert_eq!(unescape(b"/cut\\04"), b"/cut\\04");
    }
}
