//! Settings of a container's link (`/proc/sys/net/*/*/<link>`), set before it is up.

use std::io;
use std::os::fd::AsFd as _;

use dhow_model::ports::{LinkPlan, NetworkSpace};
use dhow_sys::procfs::Procfs;

use crate::sandbox::within;

/// Sets them, in Docker's words where that cannot be.
pub(super) fn set(space: &NetworkSpace, plan: &LinkPlan) -> io::Result<()> {
    if plan.sysctls.is_empty() {
        return Ok(());
    }
    within(space.handle().as_fd(), || {
        // What is below net is that of the namespace of who opens it.
        let procfs = Procfs::private()?;
        plan.sysctls.iter().try_for_each(|(path, value)| one(&procfs, path, &plan.interface, value))
    })
}

fn one(procfs: &Procfs, path: &str, interface: &str, value: &str) -> io::Result<()> {
    let path = format!("sys/{}", path.replace("IFNAME", interface));
    let told =
        |words: String| move |error: io::Error| io::Error::new(error.kind(), format!("{words}: {error}"));
    let before = procfs.read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::IsADirectory => {
            io::Error::new(io::ErrorKind::InvalidInput, format!("/proc/{path} is not a sysctl file"))
        }
        _ => told(format!("unable to read '/proc/{path}'"))(error),
    })?;
    if before.trim() == value {
        return Ok(());
    }
    procfs.write(&path, value.as_bytes()).map_err(told(format!("unable to write to '/proc/{path}'")))
}
