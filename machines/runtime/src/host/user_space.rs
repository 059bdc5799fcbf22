//! User namespaces of containers.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::Arc;

use dhow_model::container::UserMap;
use dhow_model::container::user_map::lines;
use dhow_model::ports::UserSpace;
use dhow_model::{Error, Result};
use dhow_oci::runtime::NamespaceKind;
use dhow_sys::procfs::Procfs;
use dhow_sys::user_namespace;
use rustix::fs::OFlags;

use crate::container::lack_of;

/// A new one.
pub(super) fn new(map: &Arc<UserMap>, network: bool) -> Result<UserSpace> {
    let made = Procfs::at_proc()
        .and_then(|procfs| user_namespace::make(&procfs, &lines(&map.users), &lines(&map.groups), network));
    let made = made.map_err(|error| {
        let reason = lack_of(NamespaceKind::User).unwrap_or_else(|| error.to_string());
        Error::internal(format!("cannot make a user namespace: {reason}"))
    })?;
    Ok(space(made.user, made.network, Arc::clone(map)))
}

/// That of a process.
pub(super) fn of(pid: i32, network: bool) -> Result<Option<UserSpace>> {
    let found = Procfs::at_proc().and_then(|procfs| {
        // The directory stays with the process, whoever gets its number.
        let process = procfs.open(pid.to_string(), OFlags::PATH | OFlags::DIRECTORY)?;
        let open = |name: &str| {
            rustix::fs::openat(&process, name, OFlags::RDONLY | OFlags::CLOEXEC, rustix::fs::Mode::empty())
        };
        let read = |name: &str| io::read_to_string(std::fs::File::from(open(name)?));
        let map = UserMap::of_process(&read("uid_map")?, &read("gid_map")?);
        let Some(map) = map else { return Ok(None) };
        let user = open("ns/user")?;
        let network = network.then(|| user_namespace::network_in(&procfs, user.as_fd())).transpose()?;
        Ok(Some(space(user, network, Arc::new(map))))
    });
    found.map_err(|error| {
        Error::internal(format!("cannot open the user namespace of process {pid}")).because(error)
    })
}

fn space(user: OwnedFd, network: Option<OwnedFd>, map: Arc<UserMap>) -> UserSpace {
    let path = format!("/proc/{}/fd/{}", std::process::id(), user.as_raw_fd());
    UserSpace::new(user, network, path.into(), map)
}
