//! A view of our own program that a container cannot write to.
//!
//! What makes a container's process is, for a moment, our program with a container around it, and
//! `/proc/PID/exe` leads to its file on the host (CVE-2019-5736: a container's program overwrote the
//! runtime with it). So the process runs from a file that leads nowhere: our program seen through an
//! overlay without a writable layer, mounted nowhere, or a sealed copy in memory. The first costs nothing
//! and suits what runs for a moment; the second stays whole whatever happens to the installed file, and
//! suits what runs for long. Why not a read-only bind mount: decision 8.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags, Stat};
use rustix::mount::{FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags};

/// Tells the program that it was executed from the view.
const MARK: &str = "_DHOW_OWN_BINARY";
const OVERLAY: i64 = 0x794c_7630;
const TMPFS: i64 = 0x0102_1994;
const OWN: &str = "/proc/self/exe";

/// Executes this program again from a view that cannot be written to, with the same arguments; returns
/// when it runs from one already.
///
/// # Errors
/// When no view can be had: nothing may be made with a container's rights then.
pub fn ensure() -> io::Result<()> {
    if is_view()? {
        return Ok(());
    }
    let view = view()?;
    let string = |text: std::ffi::OsString| CString::new(text.into_vec()).map_err(io::Error::from);
    let arguments = std::env::args_os().map(string).collect::<io::Result<Vec<_>>>()?;
    let mut environment = std::env::vars_os()
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            string(name)
        })
        .collect::<io::Result<Vec<_>>>()?;
    environment.push(CString::new(format!("{MARK}=1"))?);
    Err(dhow_sys::process::execute_descriptor(&view, &arguments, &environment))
}

/// This program as a file that cannot be written to, for a process of a moment.
///
/// # Errors
/// The kernel's.
pub fn view() -> io::Result<OwnedFd> {
    through_overlay().or_else(|_| sealed_copy())
}

/// The same for processes that run for long: nothing that is done to the installed file reaches it.
///
/// # Errors
/// The kernel's.
pub fn lasting_view() -> io::Result<OwnedFd> {
    // An overlay takes the kernel's guard (ETXTBSY) from the file below it: whoever copies a new
    // program over the old one would cut the pages off below every monitor.
    sealed_copy().or_else(|_| through_overlay())
}

/// The mark alone could be anybody's; what it says must be so too.
fn is_view() -> io::Result<bool> {
    if std::env::var_os(MARK).is_none() {
        return Ok(false);
    }
    let kind = rustix::fs::statfs(OWN)?.f_type;
    Ok(kind == OVERLAY || kind == TMPFS)
}

/// A tree with this program in it that cannot be written to, and its name there: a mount attached nowhere. What runs from
/// it runs for long: as with [`lasting_view`], nothing that is done to the installed file reaches it.
///
/// # Errors
/// The kernel's.
pub fn tree() -> io::Result<(OwnedFd, String)> {
    copied_tree().or_else(|_| overlay().map(|(mount, _, name)| (mount, name)))
}

/// What we run from, copied into memory.
fn copied_tree() -> io::Result<(OwnedFd, String)> {
    const NAME: &str = "dhow";
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    let mount = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    let own = rustix::fs::open(OWN, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let copy = rustix::fs::openat(&mount, NAME, flags, Mode::from_raw_mode(0o555))?;
    while rustix::fs::sendfile(&copy, &own, None, 1 << 30)? > 0 {}
    drop(copy);
    // The file system itself, and not this mount alone: a container may change its own mounts.
    let whole =
        rustix::mount::fspick(&mount, "", FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH)?;
    rustix::mount::fsconfig_set_flag(&whole, "ro")?;
    rustix::mount::fsconfig_reconfigure(&whole)?;
    Ok((mount, NAME.to_owned()))
}

fn through_overlay() -> io::Result<OwnedFd> {
    overlay().map(|(_, view, _)| view)
}

/// The mount, our program in it, and its name there.
fn overlay() -> io::Result<(OwnedFd, OwnedFd, String)> {
    let own = rustix::fs::stat(OWN)?;
    let path = std::fs::read_link(OWN)?;
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    // Without an upper layer an overlay wants two lower ones: the second one is empty.
    let empty = empty_directory()?;
    let second = PathBuf::from(format!("/proc/self/fd/{}", empty.as_raw_fd()));
    let layers = [escaped(directory), escaped(&second)].join(":");
    rustix::mount::fsconfig_set_string(&context, "lowerdir", layers)?;
    rustix::mount::fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID;
    let mount = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let view = rustix::fs::openat(&mount, Path::new(name), flags, Mode::empty())?;
    // An upgrade may have put another program in our place.
    let name = name.to_string_lossy().into_owned();
    let same = is_same(&own, &rustix::fs::fstat(&view)?);
    if same { Ok((mount, view, name)) } else { Err(io::ErrorKind::NotFound.into()) }
}

fn empty_directory() -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    Ok(rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
}

fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,")
}

fn is_same(own: &Stat, other: &Stat) -> bool {
    let key = |stat: &Stat| (stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
    key(own) == key(other)
}

fn sealed_copy() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know the word; later ones may want it (sysctl vm.memfd_noexec).
    let copy = rustix::fs::memfd_create("dhow", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("dhow", flags))?;
    let own = rustix::fs::open(OWN, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    while rustix::fs::sendfile(&copy, &own, None, 1 << 30)? > 0 {}
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&copy, seals)?;
    // A file that somebody holds open for writing cannot be executed.
    let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    Ok(rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CVE-2019-5736: neither through the view itself nor by opening it again.
    #[test]
    fn no_view_can_be_written_to() {
        for (name, view) in [("overlay", through_overlay()), ("copy", sealed_copy())] {
            let view = match view {
                Ok(view) => view,
                Err(error) => {
                    println!("no {name} here: {error}");
                    continue;
                }
            };
            assert!(rustix::io::write(&view, b"x").is_err(), "{name}");
            let path = format!("/proc/self/fd/{}", view.as_raw_fd());
            let again = rustix::fs::open(path, OFlags::RDWR, Mode::empty());
            let written = again.and_then(|again| rustix::io::write(&again, b"x"));
            assert!(written.is_err(), "{name}");
            assert!(rustix::fs::fchmod(&view, Mode::from_raw_mode(0o777)).is_err() || name == "copy");
        }
    }
}
