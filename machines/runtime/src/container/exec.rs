//! One more process in a running container.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use dhow_oci::runtime::{NamespaceKind, Resources, Spec};
use dhow_sys::clone::{CloneOptions, clone3};
use dhow_sys::{process, terminal};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Pid, Signal};
use rustix::thread::ThreadNameSpaceType;

use super::error::{Context as _, Error, Result, Stage};
use super::init::{self, Program};
use super::notify::Notify;
use super::plan::namespaces::flag;
use super::plan::{self, IdentityPlan, ProgramPlan};
use super::spawn::{Init, Said};
use super::sync::{Talk, Word};
use super::{ExecRequest, Stdio, given, outside};
use crate::cgroups::{Cgroup, DeviceRules};

/// Makes a process in a container, up to its gate: [`Init::start`] lets it execute its program.
///
/// # Errors
/// What the configuration or the kernel forbids, or that the container has ended.
pub fn spawn_exec(request: ExecRequest<'_>) -> Result<Init> {
    let identity = identity(&request)?;
    outside::check_labels(request.process, "")?;
    let program = plan::program(request.process)?;
    given::give_streams(&request.stdio, request.spec.linux.as_ref(), &identity);
    let (here, there) = dhow_sys::channel::pair().doing(|| "make a channel to the process")?;
    let options =
        CloneOptions { cgroup: request.cgroup.and_then(Cgroup::birth_directory), ..CloneOptions::default() };
    // A process id is for life: only children can be in another pid namespace.
    let back = enter_pid_namespace(&request.first, request.spec)?;
    let child = clone3(options).doing(|| "make the process")?;
    let Some(child) = child else {
        drop(here);
        run(request, &identity, &program, &Talk(there));
    };
    drop(there);
    leave_pid_namespace(back)?;
    let talk = Talk(here);
    let notify = Notify::of(request.spec, "", Path::new(""), child.pid.as_raw_nonzero().get());
    match bring_up(child.pid, &identity, &talk) {
        Ok(said) => Ok(Init::new(child, said, talk, notify)),
        Err(error) => {
            let _ = rustix::process::pidfd_send_signal(&child.pidfd, Signal::KILL);
            let _ = rustix::process::waitpid(Some(child.pid), rustix::process::WaitOptions::empty());
            Err(error)
        }
    }
}

/// A container that cannot make device nodes shall not be able to by a further process.
fn identity(request: &ExecRequest<'_>) -> Result<IdentityPlan> {
    let linux = request.spec.linux.as_ref();
    let mut identity = IdentityPlan {
        personality: linux.map_or(Ok(None), plan::identity::personality)?,
        ..plan::identity::plan_exec(request.process)?
    };
    let none = Resources::default();
    let resources = linux.and_then(|linux| linux.resources.as_ref()).unwrap_or(&none);
    let rules = match request.cgroup {
        Some(cgroup) => {
            cgroup.device_rules(resources).map_err(|error| Error::at(Stage::Setup, error.report()))?
        }
        None => DeviceRules::LeftOut,
    };
    if rules == DeviceRules::LeftOut {
        identity.forgo_device_nodes();
    }
    Ok(identity)
}

fn bring_up(pid: Pid, identity: &IdentityPlan, talk: &Talk) -> Result<Said> {
    let mut said = Said { notes: outside::prepare(pid, identity)?, ..Said::default() };
    talk.say(&Word::Go, None)?;
    loop {
        match talk.listen()? {
            (Word::Created, _) => return Ok(said),
            (Word::Terminal, descriptors) => said.terminal = descriptors.into_iter().next(),
            (Word::Failed(error), _) => return Err(error),
            _ => return Err(Error::at(Stage::Lost, "the process ended before it was created")),
        }
    }
}

fn run(request: ExecRequest<'_>, identity: &IdentityPlan, program: &ProgramPlan, talk: &Talk) -> ! {
    let Err(error) = steps(request, identity, program, talk);
    init::fail(&error, talk)
}

fn steps(
    request: ExecRequest<'_>,
    identity: &IdentityPlan,
    program: &ProgramPlan,
    talk: &Talk,
) -> Result<std::convert::Infallible> {
    process::set_dumpable(false).doing(|| "become undumpable")?;
    if !identity.first_affinity.is_empty() {
        process::set_affinity(&identity.first_affinity).doing(|| "set the first processors")?;
    }
    init::enter_cgroup(request.cgroup)?;
    let first = request.first.as_fd();
    init::leave_descriptors(&request.stdio, request.preserve, &[Some(talk.0.as_fd()), Some(first)])?;
    let filter = init::Filter::of(request.filter, request.spec)?;
    talk.wait_for_go()?;
    enter(first, request.spec)?;
    rustix::process::setsid().doing(|| "make a session")?;
    let streams = match request.stdio {
        Stdio::Terminal => open_terminal(request.process, talk)?,
        given => given,
    };
    init::connect_streams(streams)?;
    init::label(identity)?;
    let home = init::home(program, identity.uid);
    let rights = init::assume(identity)?;
    let program = Program::find(program, home)?;
    talk.say(&Word::Created, None)?;
    talk.wait_for_go()?;
    Err(init::Ready { identity, rights, filter, program, preserve: request.preserve, reaper: false }
        .execute(talk))
}

fn kinds(spec: &Spec) -> impl Iterator<Item = NamespaceKind> {
    spec.linux.iter().flat_map(|linux| linux.namespaces.iter().map(|namespace| namespace.kind))
}

/// Enters every namespace that the container has of its own, in one call (Linux 5.8).
fn enter(first: BorrowedFd<'_>, spec: &Spec) -> Result<()> {
    let wanted =
        kinds(spec).filter(|kind| *kind != NamespaceKind::Pid).map(flag).fold(0, |all, one| all | one);
    if wanted != 0 {
        let types = ThreadNameSpaceType::from_bits_retain(u32::try_from(wanted).unwrap_or(0));
        rustix::thread::move_into_thread_name_spaces(first, types)
            .doing(|| "enter the namespaces of the container")?;
    }
    if kinds(spec).any(|kind| kind == NamespaceKind::User) {
        dhow_sys::identity::set_group(0).doing(|| "become the group root of the user namespace")?;
        dhow_sys::identity::set_user(0).doing(|| "become root of the user namespace")?;
        process::set_dumpable(false).doing(|| "become undumpable")?;
    }
    Ok(())
}

fn enter_pid_namespace(first: &OwnedFd, spec: &Spec) -> Result<Option<OwnedFd>> {
    if !kinds(spec).any(|kind| kind == NamespaceKind::Pid) {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let back =
        rustix::fs::open("/proc/self/ns/pid", flags, Mode::empty()).doing(|| "open the own pid namespace")?;
    let types = ThreadNameSpaceType::PROCESS_ID;
    rustix::thread::move_into_thread_name_spaces(first.as_fd(), types)
        .doing(|| "enter the container's pid namespace")?;
    Ok(Some(back))
}

fn leave_pid_namespace(back: Option<OwnedFd>) -> Result<()> {
    let Some(back) = back else { return Ok(()) };
    rustix::thread::move_into_link_name_space(back.as_fd(), None).doing(|| "go back to the own pid namespace")
}

/// In the container's mount namespace its devpts is at /dev/pts.
fn open_terminal(process: &dhow_oci::runtime::Process, talk: &Talk) -> Result<Stdio> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let devpts = rustix::fs::openat(CWD, "/dev/pts", flags, Mode::empty()).doing(|| "open /dev/pts")?;
    let opened = terminal::open(&devpts).doing(|| "open a terminal")?;
    init::hand_over_terminal(&opened, Some(process), talk)
}
