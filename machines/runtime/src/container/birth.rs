//! Makes the container's process, in the namespaces that it is to have from its birth.
//!
//! A user namespace that is joined by path must be entered before the other namespaces are made: the
//! one in which they are made owns them, and without it the process would have no right to mount
//! anything. From a user namespace there is no way back, so a helper goes there, makes the process as
//! its own sibling, and ends.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;

use dhow_oci::runtime::NamespaceKind;
use dhow_sys::clone::{Child, CloneOptions, clone3};
use dhow_sys::fork::exit_now;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use super::error::{Context as _, Error, Result, Stage};
use super::plan::Plan;
use super::sync::{Talk, Word};
use super::{InitRequest, init, join, lack};
use crate::cgroups::Cgroup;

/// Makes the process: answers nothing in it, and what it is to its parent.
pub(super) fn process(request: &mut InitRequest<'_>, plan: &Plan) -> Result<Option<Child>> {
    let joined = plan.namespaces.joined.iter().find(|(kind, _)| *kind == NamespaceKind::User);
    let cgroup = request.cgroup.and_then(Cgroup::birth_directory);
    match joined {
        None => {
            let options = CloneOptions { namespaces: plan.namespaces.clone_flags(), cgroup, sibling: false };
            clone3(options).map_err(|error| cannot("make the container's process", plan, &error))
        }
        Some((_, path)) => through_helper(request, plan, path),
    }
}

fn through_helper(request: &mut InitRequest<'_>, plan: &Plan, path: &Path) -> Result<Option<Child>> {
    let (here, there) = dhow_sys::channel::pair().doing(|| "make a channel to a helper")?;
    let cgroup = request.cgroup.and_then(Cgroup::birth_directory);
    let options = CloneOptions { cgroup, ..CloneOptions::default() };
    let Some(helper) = clone3(options).doing(|| "make a helper")? else {
        drop(here);
        let talk = Talk(there);
        return match make_sibling(request, plan, path) {
            Ok(None) => Ok(None),
            Ok(Some(child)) => announce(&child, &talk),
            Err(error) => init::fail(&error, &talk),
        };
    };
    drop(there);
    let said = Talk(here).listen();
    let _ = waitpid(Some(helper.pid), WaitOptions::empty());
    match said? {
        (Word::Created, descriptors) => {
            let pidfd = descriptors.into_iter().next().ok_or_else(lost)?;
            Ok(Some(Child { pid: number_of(&pidfd)?, pidfd }))
        }
        (Word::Failed(error), _) => Err(error),
        _ => Err(lost()),
    }
}

/// In the helper: the rights of the host end where the user namespace begins.
fn make_sibling(request: &mut InitRequest<'_>, plan: &Plan, path: &Path) -> Result<Option<Child>> {
    dhow_sys::process::set_dumpable(false).doing(|| "become undumpable")?;
    init::enter_cgroup(request.cgroup.take())?;
    join::enter(NamespaceKind::User, path)?;
    let options = CloneOptions { namespaces: plan.namespaces.clone_flags(), cgroup: None, sibling: true };
    let what = "make the container's process in the user namespace";
    clone3(options).map_err(|error| cannot(what, plan, &error))
}

fn cannot(what: &str, plan: &Plan, error: &std::io::Error) -> Error {
    let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
    lack::failure(what, &plan.namespaces.new, errno)
}

fn announce(child: &Child, talk: &Talk) -> ! {
    let said = talk.say(&Word::Created, Some(child.pidfd.as_fd()));
    exit_now(u8::from(said.is_err()).into())
}

/// The number that a process has here: the helper, in another pid namespace, knows another one.
fn number_of(pidfd: &OwnedFd) -> Result<Pid> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = std::fs::read_to_string(path).doing(|| "look up the container's process")?;
    let number =
        text.lines().find_map(|line| line.strip_prefix("Pid:")).and_then(|number| number.trim().parse().ok());
    number.and_then(Pid::from_raw).ok_or_else(lost)
}

fn lost() -> Error {
    Error::at(Stage::Lost, "the helper that makes the container's process has gone")
}
