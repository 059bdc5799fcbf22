//! Quotas of projects: a number on every file of a tree, and how much all files of that number may take (quotactl(2),
//! `FS_IOC_FSSETXATTR` of ioctl_xfs_fsgetxattr(2)).
//!
//! What is made in a directory that passes its project on has that project too, and nothing of another project can be
//! moved or linked into it (`EXDEV`).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// `FS_IOC_FSGETXATTR` and `FS_IOC_FSSETXATTR` (linux/fs.h).
const GET_ATTRIBUTES: libc::Ioctl = 0x801c_581f;
const SET_ATTRIBUTES: libc::Ioctl = 0x401c_5820;
/// `FS_XFLAG_PROJINHERIT`.
const INHERITS: u32 = 0x200;

/// `PRJQUOTA` (linux/quota.h).
const PROJECT: libc::c_uint = 2;
const GET_QUOTA: libc::c_uint = 0x80_0007;
const SET_QUOTA: libc::c_uint = 0x80_0008;
const GET_NEXT_QUOTA: libc::c_uint = 0x80_0009;
/// `Q_XGETQSTATV` (linux/dqblk_xfs.h).
const GET_STATE: libc::c_uint = 0x5808;
/// `FS_QSTATV_VERSION1`.
const STATE_VERSION: i8 = 1;
/// `FS_QUOTA_PDQ_ACCT` and `FS_QUOTA_PDQ_ENFD`.
const COUNTED: u16 = 1 << 4;
const ENFORCED: u16 = 1 << 5;
/// `QIF_BLIMITS`.
const SPACE_LIMITS: u32 = 1;
/// Limits are in blocks of this size, whatever the file system's is (`QIF_DQBLKSIZE`).
const BLOCK: u64 = 1024;

/// The project of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Project {
    /// Its number; 0 is what belongs to none.
    pub id: u32,
    /// What is made in the directory has it too.
    pub inherits: bool,
}

/// What a file system does for projects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    /// It counts what each has.
    pub counted: bool,
    /// It keeps their limits.
    pub enforced: bool,
}

/// What a project has and may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The project.
    pub id: u32,
    /// Bytes that it takes.
    pub space: u64,
    /// Files and directories.
    pub files: u64,
    /// Bytes that it may take; 0 is no limit.
    pub limit: u64,
}

/// The project of an open file or directory.
///
/// # Errors
/// `ENOTTY` or `EOPNOTSUPP` of a file system that has no projects.
pub fn project(file: impl AsFd) -> io::Result<Project> {
    let attributes = attributes(&file)?;
    Ok(Project { id: attributes.project, inherits: attributes.flags & INHERITS != 0 })
}

/// Gives an open file or directory a project.
///
/// # Errors
/// As [`project`]; `EDQUOT` when that project has no room for it.
pub fn set_project(file: impl AsFd, project: Project) -> io::Result<()> {
    let mut attributes = attributes(&file)?;
    attributes.project = project.id;
    attributes.flags &= !INHERITS;
    attributes.flags |= if project.inherits { INHERITS } else { 0 };
    let descriptor = file.as_fd().as_raw_fd();
    // SAFETY: the structure lives across the call, which reads as much as it has.
    match unsafe { libc::ioctl(descriptor, SET_ATTRIBUTES, &raw const attributes) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the file system that a file is on counts by project, and keeps limits; `scratch` is a directory on it.
///
/// # Errors
/// The kernel's; one that has no quotas at all, and a file system that has none, are no error.
pub fn state(file: impl AsFd, scratch: &Path) -> io::Result<State> {
    let mut answer = StateAnswer { version: STATE_VERSION, ..StateAnswer::default() };
    match control(&file, scratch, GET_STATE, 0, (&raw mut answer).cast()) {
        Ok(()) => Ok(State { counted: answer.flags & COUNTED != 0, enforced: answer.flags & ENFORCED != 0 }),
        Err(error) => match error.raw_os_error() {
            Some(
                libc::ENOSYS | libc::EOPNOTSUPP | libc::ESRCH | libc::ENODEV | libc::ENOTBLK | libc::EINVAL,
            ) => Ok(State::default()),
            _ => Err(error),
        },
    }
}

/// What a project of the file system has and may have.
///
/// # Errors
/// `ESRCH` where nothing is counted.
pub fn usage(file: impl AsFd, scratch: &Path, id: u32) -> io::Result<Usage> {
    let mut quota = Quota::default();
    match control(&file, scratch, GET_QUOTA, id, (&raw mut quota).cast()) {
        // XFS knows nothing of a project that never had a file.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(Usage { id, ..Usage::default() }),
        done => done.map(|()| quota.usage(id)),
    }
}

/// The first project from `id` on that the file system has counted; nothing, when there is none.
///
/// # Errors
/// As [`usage`].
pub fn next(file: impl AsFd, scratch: &Path, id: u32) -> io::Result<Option<Usage>> {
    let mut quota = Quota::default();
    match control(&file, scratch, GET_NEXT_QUOTA, id, (&raw mut quota).cast()) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        done => done.map(|()| Some(quota.usage(quota.id))),
    }
}

/// Limits a project; 0 is no limit.
///
/// # Errors
/// As [`usage`].
pub fn set_limit(file: impl AsFd, scratch: &Path, id: u32, bytes: u64) -> io::Result<()> {
    let blocks = bytes.div_ceil(BLOCK);
    let mut quota = Quota { hard: blocks, soft: blocks, valid: SPACE_LIMITS, ..Quota::default() };
    control(&file, scratch, SET_QUOTA, id, (&raw mut quota).cast())
}

fn attributes(file: &impl AsFd) -> io::Result<Attributes> {
    let mut attributes = Attributes::default();
    let descriptor = file.as_fd().as_raw_fd();
    // SAFETY: the structure lives across the call, which writes as much as it has.
    match unsafe { libc::ioctl(descriptor, GET_ATTRIBUTES, &raw mut attributes) } {
        0 => Ok(attributes),
        _ => Err(io::Error::last_os_error()),
    }
}

/// By descriptor since Linux 5.14, before that by the device's node.
fn control(
    file: &impl AsFd,
    scratch: &Path,
    command: libc::c_uint,
    id: u32,
    data: *mut libc::c_void,
) -> io::Result<()> {
    let command = command << 8 | PROJECT;
    let descriptor = file.as_fd().as_raw_fd();
    // SAFETY: `data` is the structure of the command, and lives across the call.
    let done = unsafe { libc::syscall(libc::SYS_quotactl_fd, descriptor, command, id, data) };
    match (done, io::Error::last_os_error()) {
        (0, _) => Ok(()),
        (_, error) if error.raw_os_error() != Some(libc::ENOSYS) => Err(error),
        _ => by_node(file, scratch, command, id, data),
    }
}

/// The node is made for the call: where the file system was mounted from need not be a path that is there.
fn by_node(
    file: &impl AsFd,
    scratch: &Path,
    command: libc::c_uint,
    id: u32,
    data: *mut libc::c_void,
) -> io::Result<()> {
    let device = rustix::fs::fstat(file)?.st_dev;
    let node = scratch.join(format!("device-{}-{:?}", std::process::id(), std::thread::current().id()));
    let kind = rustix::fs::FileType::BlockDevice;
    rustix::fs::mknodat(rustix::fs::CWD, &node, kind, rustix::fs::Mode::from_raw_mode(0o600), device)?;
    let path = CString::new(node.as_os_str().as_bytes())?;
    // SAFETY: the path and `data`, which is the structure of the command, live across the call.
    let done = unsafe { libc::syscall(libc::SYS_quotactl, command, path.as_ptr(), id, data) };
    let error = io::Error::last_os_error();
    std::fs::remove_file(&node)?;
    if done == 0 { Ok(()) } else { Err(error) }
}

/// `struct fsxattr` (linux/fs.h).
#[repr(C)]
#[derive(Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    copy_extent_size: u32,
    padding: [u8; 8],
}

/// `struct if_dqblk` and `struct if_nextdqblk` (linux/quota.h): the one ends with padding where the other has the project.
#[repr(C)]
#[derive(Default)]
struct Quota {
    hard: u64,
    soft: u64,
    space: u64,
    files_hard: u64,
    files_soft: u64,
    files: u64,
    time: u64,
    files_time: u64,
    valid: u32,
    id: u32,
}

impl Quota {
    const fn usage(&self, id: u32) -> Usage {
        Usage { id, space: self.space, files: self.files, limit: self.hard.saturating_mul(BLOCK) }
    }
}

/// `struct fs_quota_statv` (linux/dqblk_xfs.h).
#[repr(C)]
#[derive(Default)]
struct StateAnswer {
    version: i8,
    padding: u8,
    flags: u16,
    rest: [u64; 24],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_as_large_as_the_kernel_reads_them() {
        assert_eq!(size_of::<Attributes>(), 28);
        assert_eq!((size_of::<Quota>(), std::mem::offset_of!(Quota, valid)), (72, 64));
    }

    #[test]
    fn a_file_system_without_projects_says_so() {
        let place = tempfile::tempdir().unwrap();
        let directory = std::fs::File::open(place.path()).unwrap();
        if state(&directory, place.path()).unwrap().counted {
            eprintln!("not run: this file system counts by project");
            return;
        }
        assert!(usage(&directory, place.path(), 1).is_err());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
