//! What the container's process does, from its birth to its program.

mod cgroups;
mod console;
mod copy;
pub(super) mod devices;
mod filter;
mod hide;
mod identity;
pub(super) mod mounts;
mod program;
mod reaper;
mod root;
mod userns;

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use dhow_model::ports::MountedTree;
use dhow_oci::runtime::NamespaceKind;
use dhow_sys::process;
use dhow_sys::trace::mark;
use rustix::thread::UnshareFlags;

use super::error::{Context as _, Error, Result, Stage};
use super::plan::{IdentityPlan, Plan};
use super::sync::{Talk, Word};
use super::{Gate, HookKind, InitRequest, Stdio, hooks, join, lack};
use crate::cgroups::Cgroup;

pub(super) use console::hand_over as hand_over_terminal;
pub(super) use filter::Filter;
use identity::{Rights, settle};
pub(super) use identity::{assume, label};
pub use mounts::{clone_of_process, of_process};
pub(super) use program::{Program, connect_streams, home};
pub use reaper::stay_behind;
pub use root::attach_root;

/// Never returns: it ends as the program, or says why it cannot.
pub(super) fn run(request: InitRequest<'_>, plan: &Plan, talk: OwnedFd) -> ! {
    let mut talk = Talk(talk);
    let Err(error) = steps(request, plan, &mut talk);
    fail(&error, &talk)
}

/// Tells the parent, or whoever opened the gate, and ends.
pub(super) fn fail(error: &Error, talk: &Talk) -> ! {
    if talk.say(&Word::Failed(error.clone()), None).is_err() {
        eprintln!("dhow: {error}");
    }
    dhow_sys::fork::exit_now(error.exit_code())
}

fn steps(mut request: InitRequest<'_>, plan: &Plan, talk: &mut Talk) -> Result<std::convert::Infallible> {
    mark("born");
    // Who enters the container's namespaces later must not look into this process (CVE-2016-9962).
    process::set_dumpable(false).doing(|| "become undumpable")?;
    // Before it is root of its user namespace, which has no right to the host's cgroups.
    enter_cgroup(request.cgroup)?;
    mark("in its cgroup");
    let gate = match &request.gate {
        Gate::Socket(socket) => Some(socket.as_fd()),
        Gate::Parent => None,
    };
    let trees = plan.trees.values().map(MountedTree::handle);
    let held = plan.held.iter().map(|(tree, _)| Some(tree.as_fd()));
    let needed: Vec<_> =
        [Some(talk.0.as_fd()), gate, request.rootfs.tree()].into_iter().chain(trees).chain(held).collect();
    leave_descriptors(&request.stdio, request.preserve, &needed)?;
    let maps_ids = plan.namespaces.is_new(NamespaceKind::User);
    if maps_ids {
        talk.wait_for_go()?;
    }
    namespaces(plan, &request)?;
    mark("namespaces set up");
    let filter = Filter::of(request.filter, request.spec)?;
    mark("filter compiled");
    let root = root::mount(&request.rootfs, request.bundle, plan)?;
    mark("root mounted");
    if !maps_ids {
        talk.wait_for_go()?;
    }
    if let Some(root) = &root {
        mount_all(root, plan)?;
        mark("mounts made");
    }
    cgroup_namespace(plan)?;
    let mut streams = std::mem::replace(&mut request.stdio, Stdio::Inherit);
    if let Some(root) = &root {
        fill(root, plan, &request, &mut streams, talk)?;
        mark("root filled");
        root::enter(root, plan, request.no_pivot)?;
        mark("root entered");
    } else {
        root::change_only(&request.rootfs, request.bundle)?;
    }
    connect_streams(streams)?;
    names(plan)?;
    late_sysctls(plan)?;
    label(&plan.identity)?;
    let home = program::home(&plan.program, plan.identity.uid);
    let rights = assume(&plan.identity)?;
    let program = Program::find(&plan.program, home)?;
    mark("identity assumed");
    wait_at_gate(&request.gate, talk)?;
    mark("gate opened");
    hooks::run(HookKind::StartContainer, request.spec, request.id, request.bundle, own_pid())?;
    let ready = Ready {
        identity: &plan.identity,
        rights,
        filter,
        program,
        preserve: request.preserve,
        reaper: request.reaper,
    };
    Err(ready.execute(talk))
}

/// A process that has only to execute its program.
pub(super) struct Ready<'a> {
    pub(super) identity: &'a IdentityPlan,
    pub(super) rights: Rights,
    pub(super) filter: Filter,
    pub(super) program: Program<'a>,
    pub(super) preserve: u32,
    pub(super) reaper: bool,
}

impl Ready<'_> {
    /// Becomes the program; returns only when that fails.
    pub(super) fn execute(&self, talk: &Talk) -> Error {
        // What the filter forbids is for the program, not for us: profiles of older engines do not know
        // close_range(2).
        let prepared = program::prepare(self.preserve);
        match prepared.and_then(|()| settle(self.identity, &self.rights, &self.filter, talk)) {
            Ok(()) => {
                if self.reaper
                    && let Err(error) = reaper::stay_behind()
                {
                    return error;
                }
                mark("executes");
                self.program.execute()
            }
            Err(error) => error,
        }
    }
}

/// Puts this process where it is counted and limited, before it does anything.
pub(super) fn enter_cgroup(cgroup: Option<&Cgroup>) -> Result<()> {
    let Some(cgroup) = cgroup else { return Ok(()) };
    cgroup.enter_born().map_err(|error| Error::at(Stage::Setup, error.report()))
}

/// Closes what the parent has open and this process does not need.
///
/// Until the program runs they can be named: a program or a directory of `/proc/self/fd/N/../..`, which
/// an image may ask for, was the host's where N was one of its directories (CVE-2024-21626). And whoever
/// is in the pid namespace already, with the right to trace, could take them (CVE-2016-9962).
pub(super) fn leave_descriptors(
    streams: &Stdio,
    preserve: u32,
    needed: &[Option<BorrowedFd<'_>>],
) -> Result<()> {
    let last = i32::try_from(preserve).unwrap_or(i32::MAX).saturating_add(3);
    let streams = match streams {
        Stdio::Files(files) => files.as_slice(),
        Stdio::Inherit | Stdio::Terminal => &[],
    };
    let others = streams.iter().map(AsFd::as_fd).chain(needed.iter().copied().flatten());
    let mut kept: Vec<i32> =
        (3..last).chain(others.map(|fd| fd.as_raw_fd())).chain(dhow_sys::trace::descriptor()).collect();
    dhow_sys::descriptors::close_all_but(&mut kept).doing(|| "close the descriptors of the runtime")
}

/// Joins what the parent could not join for it, and becomes the root of its namespaces.
fn namespaces(plan: &Plan, request: &InitRequest<'_>) -> Result<()> {
    let namespaces = &plan.namespaces;
    for (kind, path) in &namespaces.joined {
        if *kind == NamespaceKind::Mount {
            join::enter(*kind, path)?;
        }
    }
    if namespaces.is_private(NamespaceKind::User) {
        dhow_sys::identity::set_group(0).doing(|| "become the group root of the user namespace")?;
        dhow_sys::identity::set_user(0).doing(|| "become root of the user namespace")?;
        process::set_dumpable(false).doing(|| "become undumpable")?;
    }
    rustix::process::setsid().doing(|| "make a session")?;
    if !request.no_new_keyring {
        // Without keys in the kernel there is nothing to keep apart.
        let name = std::ffi::CString::new(format!("_ses.{}", request.id)).unwrap_or_default();
        let _ = process::join_session_keyring(&name);
    }
    if namespaces.is_new(NamespaceKind::Network) {
        match process::bring_loopback_up() {
            // Which the parent has told.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
            done => done.doing(|| "bring the loopback interface up")?,
        }
    }
    Ok(())
}

fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    #[allow(deprecated, reason = "the other form differs in its name only")]
    rustix::thread::unshare(flags)
}

fn mount_all(root: &OwnedFd, plan: &Plan) -> Result<()> {
    // Mount points have the modes they are made with.
    rustix::process::umask(rustix::fs::Mode::empty());
    let tools = mounts::Tools::new(root.as_fd(), plan)?;
    plan.mounts.iter().try_for_each(|mount| tools.mount(mount))
}

/// From here on this process's own groups are the roots of all hierarchies; those that are mounted, too.
fn cgroup_namespace(plan: &Plan) -> Result<()> {
    if !plan.namespaces.is_new(NamespaceKind::Cgroup) {
        return Ok(());
    }
    unshare(UnshareFlags::NEWCGROUP)
        .map_err(|error| lack::failure("make a cgroup namespace", &[NamespaceKind::Cgroup], error))
}

/// Everything else below the root: devices, terminal, what is hidden.
fn fill(
    root: &OwnedFd,
    plan: &Plan,
    request: &InitRequest<'_>,
    streams: &mut Stdio,
    talk: &Talk,
) -> Result<()> {
    if plan.fills_dev {
        let linux = request.spec.linux.as_ref();
        devices::fill(root.as_fd(), linux.map_or(&[], |linux| &linux.devices))?;
    }
    if hooks::any(&[HookKind::Prestart, HookKind::CreateRuntime], request.spec) {
        talk.say(&Word::Hooks, None)?;
        talk.wait_for_go()?;
    }
    hooks::run(HookKind::CreateContainer, request.spec, request.id, request.bundle, own_pid())?;
    if matches!(streams, Stdio::Terminal) {
        *streams = console::open(root.as_fd(), request.spec.process.as_ref(), talk)?;
    }
    // As runc does; what cannot be made is told by chdir(2) later, in its words.
    let directory = std::path::Path::new(&plan.program.directory);
    let _ = dhow_sys::path::make_directories(root, directory, rustix::fs::Mode::from_raw_mode(0o755));
    early_sysctls(plan)?;
    if let Some(linux) = &request.spec.linux {
        hide::read_only(root.as_fd(), &linux.readonly_paths)?;
        hide::mask(root.as_fd(), &linux.masked_paths)?;
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    Ok(())
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

fn names(plan: &Plan) -> Result<()> {
    let namespaces = &plan.namespaces;
    if !namespaces.hostname.is_empty() {
        rustix::system::sethostname(namespaces.hostname.as_bytes()).doing(|| "set the host name")?;
    }
    if !namespaces.domainname.is_empty() {
        process::set_domain_name(namespaces.domainname.as_bytes()).doing(|| "set the domain name")?;
    }
    Ok(())
}

/// Once parts of /proc are hidden, the kernel lets nobody but its own root mount another one.
fn early_sysctls(plan: &Plan) -> Result<()> {
    if plan.namespaces.is_private(NamespaceKind::User) { sysctls(plan) } else { Ok(()) }
}

fn late_sysctls(plan: &Plan) -> Result<()> {
    if plan.namespaces.is_private(NamespaceKind::User) { Ok(()) } else { sysctls(plan) }
}

/// Through a procfs of our own: the container's may be laid over, or mounted read-only.
fn sysctls(plan: &Plan) -> Result<()> {
    if plan.sysctls.is_empty() {
        return Ok(());
    }
    let procfs = dhow_sys::procfs::Procfs::private().doing(|| "mount a private /proc")?;
    for (path, value) in &plan.sysctls {
        procfs
            .write(format!("sys/{path}"), value.as_bytes())
            .doing(|| format!("set sysctl {path} to {value:?}"))?;
    }
    Ok(())
}

/// Says that everything is there, and waits to be told to execute the program.
fn wait_at_gate(gate: &Gate, talk: &mut Talk) -> Result<()> {
    talk.say(&Word::Created, None)?;
    let Gate::Socket(socket) = gate else { return talk.wait_for_go() };
    loop {
        let flags = rustix::net::SocketFlags::CLOEXEC;
        let visitor = rustix::io::retry_on_intr(|| rustix::net::accept_with(socket, flags));
        *talk = Talk(visitor.doing(|| "wait for start")?);
        // Others only look whether somebody waits here.
        if matches!(talk.listen(), Ok((Word::Go, _))) {
            return Ok(());
        }
    }
}
