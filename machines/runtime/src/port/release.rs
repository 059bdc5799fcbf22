//! What is done with a container as a whole, through its cgroup: listed, frozen, killed, removed.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dhow_model::ports::Target;
use dhow_model::{ContainerId, Error, Result};
use dhow_oci::runtime::Resources;
use dhow_sys::trace::mark;

use super::table::Known;
use super::{Shared, not_running};
use crate::cgroups::{Cgroup, CgroupPath};
use crate::monitor::message::Request;
use crate::monitor::record::{self, State};

/// How long monitors of execs may write records after their container has ended.
const LONGEST_END: Duration = Duration::from_secs(2);

/// The host's ids of its processes.
pub(super) fn processes(shared: &Shared, id: &ContainerId) -> Result<Vec<i32>> {
    let target = Target::container(id.clone());
    let known = shared.table.get(&target).ok_or_else(|| not_running(&target))?;
    match find(shared, &known.cgroup)? {
        Some(cgroup) => {
            Ok(cgroup.processes()?.iter().map(|process| process.as_raw_nonzero().get()).collect())
        }
        None => Ok(vec![known.running.pid]),
    }
}

/// Freezes it. Its monitor thaws it should this engine be gone before [`thaw`] or [`expect_no_thaw`].
pub(super) fn freeze(shared: &Shared, id: &ContainerId) -> Result<()> {
    let (known, cgroup) = freezer(shared, id)?;
    if known.thaws {
        let (file, word) = cgroup.thawing_file()?;
        let request = Request::ThawAfterMe { word: word.to_owned() };
        known.channel.say(&request, &[file.as_fd()]).map_err(|_| not_running(&known.target))?;
    }
    cgroup.freeze().inspect_err(|_| expect_no_thaw(&known))
}

/// Thaws it.
pub(super) fn thaw(shared: &Shared, id: &ContainerId) -> Result<()> {
    let (known, cgroup) = freezer(shared, id)?;
    cgroup.thaw()?;
    expect_no_thaw(&known);
    Ok(())
}

/// It is no matter of its monitor any more whether it is frozen.
pub(super) fn expect_no_thaw(known: &Known) {
    if known.thaws {
        // A monitor that is gone thaws nothing.
        let _ = known.channel.say(&Request::NothingToThaw, &[]);
    }
}

fn freezer(shared: &Shared, id: &ContainerId) -> Result<(Arc<Known>, Cgroup)> {
    let target = Target::container(id.clone());
    let known = shared.table.get(&target).ok_or_else(|| not_running(&target))?;
    let cgroup = find(shared, &known.cgroup)?
        .ok_or_else(|| Error::conflict(format!("container {id} has no cgroup that could be frozen")))?;
    Ok((known, cgroup))
}

/// Changes its limits; what cannot be had is answered.
pub(super) fn update(shared: &Shared, id: &ContainerId, limits: &Resources) -> Result<Vec<String>> {
    let target = Target::container(id.clone());
    let known = shared.table.get(&target).ok_or_else(|| not_running(&target))?;
    let cgroup = find(shared, &known.cgroup)?
        .ok_or_else(|| Error::conflict(format!("container {id} has no cgroup that could be limited")))?;
    cgroup.update(limits)
}

/// Kills every process of it; it is no error that none is left.
pub(super) fn kill_all(shared: &Shared, id: &ContainerId) -> Result<()> {
    if let Some(known) = shared.table.get(&Target::container(id.clone())) {
        // Also where there is no cgroup.
        let _ = dhow_sys::signal::send(&known.process, libc::SIGKILL);
    }
    kill_cgroup(shared, &cgroup_of(shared, id)?)
}

/// Kills every process of a cgroup, frozen or not.
pub(super) fn kill_cgroup(shared: &Shared, path: &str) -> Result<()> {
    match find(shared, path)? {
        Some(cgroup) => {
            cgroup.kill_all()?;
            if cgroup.is_frozen() {
                // The killed can only die when they are thawed (version 1).
                cgroup.thaw()?;
            }
            Ok(())
        }
        None => Ok(()),
    }
}

/// Removes what is left of a container that has ended.
pub(super) fn container(shared: &Shared, id: &ContainerId) -> Result<()> {
    shared.table.forget_waiting(id);
    if shared.table.get(&Target::container(id.clone())).is_some() {
        return Err(Error::conflict(format!(
            "container {id} is running: stop the container before removing"
        )));
    }
    mark("release begins");
    remove_cgroup(shared, &cgroup_of(shared, id)?)?;
    mark("cgroup removed");
    remove_directory(&shared.directory(id)).map_err(|error| {
        Error::internal(format!("cannot remove the run directory of container {id}")).because(error)
    })
}

/// Kills what is in a cgroup and removes it; it is no error that there is none.
pub(super) fn remove_cgroup(shared: &Shared, path: &str) -> Result<()> {
    if path.is_empty() || Cgroup::delete_empty(&shared.layout, &CgroupPath::parse(path)?) {
        return Ok(());
    }
    let Some(cgroup) = find(shared, path)? else { return Ok(()) };
    // Where the container had no pid namespace of its own, its first process did not take the others
    // with it.
    cgroup.kill_all()?;
    cgroup.delete()
}

/// Removes a run directory. Monitors of execs, which end with the container, write their records there
/// until they are gone.
pub(super) fn remove_directory(path: &Path) -> io::Result<()> {
    let end = Instant::now() + LONGEST_END;
    loop {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && Instant::now() < end => {}
            done => return done,
        }
    }
}

/// The cgroup of a container that runs, or that ran last; empty when there is none.
fn cgroup_of(shared: &Shared, id: &ContainerId) -> Result<String> {
    if let Some(known) = shared.table.get(&Target::container(id.clone())) {
        return Ok(known.cgroup.clone());
    }
    let failed = |error: io::Error| {
        Error::internal(format!("cannot read the state record of container {id}")).because(error)
    };
    match record::open_directory(&shared.directory(id)) {
        Ok(directory) => {
            let state: Option<State> = record::read(directory.as_fd(), record::STATE).map_err(failed)?;
            Ok(state.map(|state| state.cgroup).unwrap_or_default())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(failed(error)),
    }
}

/// The cgroup of that name, if it is there.
pub(super) fn find(shared: &Shared, path: &str) -> Result<Option<Cgroup>> {
    if path.is_empty() {
        return Ok(None);
    }
    let cgroup = Cgroup::open(&shared.layout, &CgroupPath::parse(path)?)?;
    Ok(cgroup.exists().then_some(cgroup))
}
