//! Overlays: a stack of trees, and a writable layer, as one mount that is attached nowhere.
//!
//! Kernels differ in how they take the lower layers: as descriptors (Linux 6.13), as one path a call
//! (6.8; those before 6.5 say so only at the end), or as one list of paths. That list must fit into 255 bytes where the option is set by
//! fsconfig(2); a longer one goes through mount(2), which wants a place to mount on and so a mount
//! namespace of its own.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dhow_sys::mount::{Attributes, set_attributes};
use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, OpenTreeFlags,
    fsconfig_create, fsconfig_set_fd, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};
use rustix::thread::UnshareFlags;

/// `OVERLAYFS_SUPER_MAGIC` of linux/magic.h.
const OVERLAYFS: rustix::fs::FsWord = 0x794c_7630;

/// The longest value that fsconfig(2) takes.
const VALUE_MAX: usize = 255;

/// A read-only tree of a stack.
#[derive(Debug, Clone)]
pub(crate) enum Lower {
    /// A plain directory.
    Directory(PathBuf),
    /// A file system that is mounted, and attached nowhere.
    Mounted(Arc<OwnedFd>),
}

impl Lower {
    /// A handle on its root.
    pub(crate) fn open(&self) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match self {
            Self::Directory(path) => rustix::fs::open(path, flags, Mode::empty()),
            Self::Mounted(root) => rustix::fs::openat(root, ".", flags, Mode::empty()),
        }
    }

    pub(crate) fn stat(&self) -> rustix::io::Result<Stat> {
        match self {
            Self::Directory(path) => rustix::fs::stat(path),
            Self::Mounted(root) => rustix::fs::statat(root, "", AtFlags::EMPTY_PATH),
        }
    }
}

/// The writable layer of an overlay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writable<'a> {
    pub(crate) upper: &'a Path,
    /// Overlayfs' own directory beside it.
    pub(crate) work: &'a Path,
    /// Nothing is synced, not even when the mount goes.
    pub(crate) volatile: bool,
}

/// An overlay to be mounted.
#[derive(Debug)]
pub(crate) struct Overlay<'a> {
    /// The topmost first.
    pub(crate) lower: &'a [Lower],
    /// None is an overlay that cannot be written to.
    pub(crate) writable: Option<Writable<'a>>,
    pub(crate) attributes: MountAttrFlags,
    /// What is said to be mounted: a name, or the path of a writable layer that has another one here.
    pub(crate) source: &'a str,
}

/// The name of overlays that need no other.
pub(crate) const NAME: &str = "dhow";

impl Overlay<'_> {
    /// Mounts it and answers a handle on its root.
    pub(crate) fn mount(&self) -> io::Result<OwnedFd> {
        match self.mount_one_by_one() {
            // Before Linux 6.5 any option is taken, and a name that overlayfs does not know is refused
            // only when all of them are looked at, at the end.
            Err(Errno::INVAL | Errno::NOSYS) => self.mount_as_list(Held::open(self.lower)?),
            done => done.map_err(Into::into),
        }
        .map_err(|error| self.explained(error))
    }

    /// The kernel does not say what the matter is.
    fn explained(&self, error: io::Error) -> io::Error {
        let on_overlay = |writable: &Writable<'_>| {
            rustix::fs::statfs(writable.upper).is_ok_and(|found| found.f_type == OVERLAYFS)
        };
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::INVAL) if self.writable.as_ref().is_some_and(on_overlay) => {
                let why = "the data directory is on an overlay file system, which cannot hold writable \
                           layers: put it on a volume or another disk";
                io::Error::new(error.kind(), why)
            }
            Some(Errno::PERM) => {
                io::Error::new(error.kind(), format!("{error}: the engine needs CAP_SYS_ADMIN to mount"))
            }
            _ => error,
        }
    }

    fn mount_one_by_one(&self) -> rustix::io::Result<OwnedFd> {
        let context = begin(self.source)?;
        self.add_one_by_one(&context)?;
        self.finish(&context)
    }

    fn mount_as_list(&self, held: Held) -> io::Result<OwnedFd> {
        if held.list().len() > VALUE_MAX {
            return self.mount_in_a_namespace();
        }
        let context = begin(self.source)?;
        fsconfig_set_string(&context, "lowerdir", held.list())?;
        Ok(self.finish(&context)?)
    }

    fn finish(&self, context: &OwnedFd) -> rustix::io::Result<OwnedFd> {
        match &self.writable {
            Some(writable) => {
                fsconfig_set_string(context, "upperdir", writable.upper)?;
                fsconfig_set_string(context, "workdir", writable.work)?;
                if writable.volatile {
                    fsconfig_set_flag(context, "volatile")?;
                }
            }
            None => fsconfig_set_flag(context, "ro")?,
        }
        fsconfig_create(context)?;
        fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, self.attributes)
    }

    fn add_one_by_one(&self, context: &OwnedFd) -> rustix::io::Result<()> {
        self.lower.iter().try_for_each(|lower| match lower {
            Lower::Directory(path) => fsconfig_set_string(context, "lowerdir+", path),
            Lower::Mounted(root) => match fsconfig_set_fd(context, "lowerdir+", root) {
                Err(Errno::INVAL) => {
                    fsconfig_set_string(context, "lowerdir+", path_of(root.as_fd()).as_str())
                }
                done => done,
            },
        })
    }

    /// The way through mount(2). Only a thread can leave the namespace of its process, and this one
    /// must stay; the namespace ends with the thread, and the mount that was cloned off it does not.
    fn mount_in_a_namespace(&self) -> io::Result<OwnedFd> {
        let lower = self.lower.to_vec();
        let writable = self.writable.map(|w| (w.upper.to_path_buf(), w.work.to_path_buf(), w.volatile));
        let set = Attributes { set: self.attributes.bits().into(), ..Attributes::default() };
        let source = self.source.to_owned();
        let thread = std::thread::Builder::new().name("store-overlay".into());
        let mounting = thread.spawn(move || {
            #[allow(deprecated, reason = "files are not unshared, so no other thread is concerned")]
            rustix::thread::unshare(UnshareFlags::NEWNS)?;
            mount_over_root(&source, &lower, writable)?;
            // The root of this thread is still what lies below the mount; the way up and back ends on it.
            let attached = rustix::fs::open("/..", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            set_attributes(&attached, set, false, None)?;
            let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            Ok(rustix::mount::open_tree(&attached, "", clone | OpenTreeFlags::AT_EMPTY_PATH)?)
        })?;
        mounting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Mounts an overlay over the root of this thread's own namespace.
fn mount_over_root(
    source: &str,
    lower: &[Lower],
    writable: Option<(PathBuf, PathBuf, bool)>,
) -> io::Result<()> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    // Opened here: the kernel takes no layer from another namespace's mounts.
    let held = Held::open(lower)?;
    let mut options = format!("lowerdir={}", held.list());
    let mut flags = MountFlags::empty();
    let handles = match &writable {
        Some((upper, work, volatile)) => {
            let handles = [open_path(upper)?, open_path(work)?];
            let [upper, work] = [&handles[0], &handles[1]].map(|handle| path_of(handle.as_fd()));
            options.push_str(&format!(",upperdir={upper},workdir={work}"));
            options.push_str(if *volatile { ",volatile" } else { "" });
            Some(handles)
        }
        None => {
            flags |= MountFlags::RDONLY;
            None
        }
    };
    let options = CString::new(options)?;
    rustix::mount::mount(source, "/", "overlay", flags, Some(options.as_c_str()))?;
    drop(handles);
    Ok(())
}

fn begin(source: &str) -> rustix::io::Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", source)?;
    Ok(context)
}

/// Layers as short paths, for options that have little room.
#[derive(Debug)]
struct Held(Vec<OwnedFd>);

impl Held {
    fn open(lower: &[Lower]) -> rustix::io::Result<Self> {
        let open = |lower: &Lower| match lower {
            Lower::Directory(path) => open_path(path),
            Lower::Mounted(root) => rustix::io::fcntl_dupfd_cloexec(root, 0),
        };
        lower.iter().map(open).collect::<rustix::io::Result<_>>().map(Self)
    }

    fn list(&self) -> String {
        self.0.iter().map(|handle| path_of(handle.as_fd())).collect::<Vec<_>>().join(":")
    }
}

fn open_path(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// The way to a handle that the kernel follows like a link.
fn path_of(handle: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Three directories with a file each, of which each hides the one below it.
    fn trees(place: &Path) -> Vec<Lower> {
        let tree = |number: u32| {
            let path = place.join(format!("lower,{number}"));
            fs::create_dir(&path).unwrap();
            fs::write(path.join("same"), number.to_string()).unwrap();
            fs::write(path.join(format!("own{number}")), "").unwrap();
            Lower::Directory(path)
        };
        (0..3).map(tree).collect()
    }

    fn read(root: &OwnedFd, name: &str) -> io::Result<String> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(root, name, flags, Mode::empty())?;
        io::read_to_string(fs::File::from(file))
    }

    #[test]
    fn an_overlay_is_the_same_whichever_way_the_kernel_takes_it() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not run: needs root");
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let lower = trees(place.path());
        let (upper, work) = (place.path().join("upper"), place.path().join("work"));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&work).unwrap();
        let writable = Writable { upper: &upper, work: &work, volatile: false };
        let attributes = MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
        for writable in [Some(writable), None] {
            let overlay = Overlay { lower: &lower, writable, attributes, source: NAME };
            let held = || Held::open(&lower).unwrap();
            let ways: [(&str, &dyn Fn() -> io::Result<OwnedFd>); 3] = [
                ("one by one", &|| overlay.mount()),
                ("as a list", &|| overlay.mount_as_list(held())),
                ("in a namespace", &|| overlay.mount_in_a_namespace()),
            ];
            for (name, way) in ways {
                let root = way().unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(read(&root, "same").unwrap(), "0", "{name}");
                assert_eq!(read(&root, "own2").unwrap(), "", "{name}");
                let flags = rustix::fs::fstatvfs(&root).unwrap().f_flag;
                assert!(flags.contains(rustix::fs::StatVfsMountFlags::NOEXEC), "{name}");
                let made = rustix::fs::mkdirat(&root, "made", Mode::from_raw_mode(0o755));
                assert_eq!(made.is_ok(), writable.is_some(), "{name}");
                assert_eq!(upper.join("made").is_dir(), writable.is_some(), "{name}");
                drop(root);
                let _ = fs::remove_dir(upper.join("made"));
            }
        }
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
    }

    #[test]
    fn a_data_directory_on_an_overlay_is_told() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not run: needs root");
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let lower = trees(place.path());
        let (upper, work) = (place.path().join("upper"), place.path().join("work"));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&work).unwrap();
        let writable = Some(Writable { upper: &upper, work: &work, volatile: false });
        let attributes = MountAttrFlags::empty();
        let below = Overlay { lower: &lower, writable, attributes, source: NAME }.mount().unwrap();
        let inside = PathBuf::from(format!("/proc/self/fd/{}", below.as_raw_fd()));
        let (upper, work) = (inside.join("upper"), inside.join("work"));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&work).unwrap();
        let writable = Some(Writable { upper: &upper, work: &work, volatile: false });
        let refused = Overlay { lower: &lower, writable, attributes, source: NAME }.mount().unwrap_err();
        assert!(refused.to_string().starts_with("the data directory is on an overlay"), "{refused}");
    }

    #[test]
    fn who_may_not_mount_is_told_what_is_missing() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not run: needs root");
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let lower = trees(place.path());
        let refused = std::thread::spawn(move || {
            // Of this thread alone.
            let mut sets = rustix::thread::capabilities(None).unwrap();
            sets.effective.remove(rustix::thread::CapabilitySet::SYS_ADMIN);
            rustix::thread::set_capabilities(None, sets).unwrap();
            let overlay =
                Overlay { lower: &lower, writable: None, attributes: MountAttrFlags::empty(), source: NAME };
            overlay.mount().unwrap_err()
        });
        let refused = refused.join().unwrap();
        assert!(refused.to_string().ends_with("the engine needs CAP_SYS_ADMIN to mount"), "{refused}");
    }
}
