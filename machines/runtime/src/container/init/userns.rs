//! A user namespace that only holds a mapping, for mounts whose owners are mapped.

use std::io;
use std::os::fd::OwnedFd;

use dhow_sys::procfs::Procfs;

/// Makes a user namespace with these mappings (the form of /proc/PID/uid_map).
pub(super) fn with_mappings(users: &str, groups: &str) -> io::Result<OwnedFd> {
    Ok(dhow_sys::user_namespace::make(&Procfs::private()?, users, groups, false)?.user)
}
