//! Starts: one word to the launcher, one plan to the monitor that it makes, one answer.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dhow_model::container::Running;
use dhow_model::ports::{ExecPlan, MountedTree, StartFailure, StartPlan, Target};
use dhow_model::{ContainerId, Error};
use dhow_oci::runtime::Spec;
use dhow_sys::trace::mark;

use super::failure::{self, Verb};
use super::table::{Known, Waiting};
use super::{LauncherRuntime, Shared, not_running, release};
use crate::container::Error as ContainerError;
use crate::monitor::channel::{Channel, Packet};
use crate::monitor::message::{PlanRef, Report, Request, TaskRef, send_plan};
use crate::monitor::other;
use crate::monitor::record::{self, Names};
use crate::seccomp::Filter;
use crate::{init_command, own_binary};

/// Starts a container.
pub(super) fn container(runtime: &LauncherRuntime, mut plan: StartPlan) -> Result<Running, StartFailure> {
    mark("start asked");
    let target = Target::container(plan.id.clone());
    if runtime.shared.table.get(&target).is_some() {
        let error = Error::conflict(format!("container {} is running", plan.id));
        return Err(StartFailure { exit_code: 128, error });
    }
    let donors = plan.donors.iter().map(|one| donor(&runtime.shared, &one.id, one.pid));
    let donors: Vec<Arc<Known>> =
        donors.collect::<Result<_, _>>().map_err(|error| StartFailure { exit_code: 128, error })?;
    let filter = match plan.program {
        // It makes its own of the configuration.
        Some(_) => None,
        None => compiled(runtime, Verb::Start, &mut plan.spec)?,
    };
    if plan.program.is_some() && plan.init {
        bring_init(&mut plan).map_err(|error| failure::own(Verb::Start, "cannot bring an init", &error))?;
    }
    let directory = make_directory(runtime, &plan.id)
        .map_err(|error| failure::own(Verb::Start, "cannot make its run directory", &error))?;
    let cgroup = cgroup_of(&plan);
    let task = TaskRef::Container(&plan);
    let processes = donors.iter().map(|known| known.process.as_fd()).collect();
    let sent = PlanRef { directory: &directory, filter: filter.as_deref(), task, processes };
    let started = begin(runtime, &target, sent, cgroup);
    if started.is_err() {
        // A monitor that fails has undone what it did; one that was killed has not.
        // The caller hears why nothing was started; what is left here the next start finds again.
        let _ = release::remove_cgroup(&runtime.shared, &cgroup_of(&plan));
        let _ = release::remove_directory(&directory);
    }
    started
}

/// Starts one more process in a container.
pub(super) fn exec(runtime: &LauncherRuntime, mut plan: ExecPlan) -> Result<Running, StartFailure> {
    let container = Target::container(plan.target.id.clone());
    let named = plan.target.exec.as_ref().is_some_and(|id| is_exec_id(id));
    let Some(known) = donor(&runtime.shared, &plan.target.id, plan.pid).ok().filter(|_| named) else {
        runtime.shared.table.take_waiting(&plan.target);
        return Err(StartFailure { exit_code: 126, error: not_running(&container) });
    };
    let directory = runtime.shared.directory(&plan.target.id);
    let filter = match plan.program {
        Some(_) => None,
        None => compiled(runtime, Verb::Exec, &mut plan.spec)?,
    };
    let task = TaskRef::Exec(&plan);
    let processes = vec![known.process.as_fd()];
    let sent = PlanRef { directory: &directory, filter: filter.as_deref(), task, processes };
    begin(runtime, &plan.target, sent, String::new())
}

/// A container in the run of which this is the first process.
pub(super) fn donor(shared: &Shared, id: &ContainerId, pid: i32) -> Result<Arc<Known>, Error> {
    let target = Target::container(id.clone());
    let known = shared.table.get(&target).filter(|known| known.running.pid == pid);
    known.ok_or_else(|| not_running(&target))
}

/// Our program as the first one of a container that another runtime makes.
fn bring_init(plan: &mut StartPlan) -> io::Result<()> {
    let (tree, name) = own_binary::tree()?;
    init_command::put_in_front(Arc::make_mut(&mut plan.spec), &name);
    plan.trees.insert(init_command::PLACE.into(), MountedTree::new(tree));
    Ok(())
}

/// The filter of a configuration, which has none afterwards.
fn compiled(
    runtime: &LauncherRuntime,
    verb: Verb,
    spec: &mut Arc<Spec>,
) -> Result<Option<Arc<Filter>>, StartFailure> {
    let filter = runtime.filters.take(spec);
    filter.map_err(|error| failure::of_container(verb, &ContainerError::configuration(error.report())))
}

/// Has a monitor made, gives it the plan and waits for its answer.
fn begin(
    runtime: &LauncherRuntime,
    target: &Target,
    plan: PlanRef<'_>,
    cgroup: String,
) -> Result<Running, StartFailure> {
    let verb = if target.exec.is_some() { Verb::Exec } else { Verb::Start };
    let waiting = runtime.shared.table.take_waiting(target);
    let mut answered = ask(runtime, verb, &plan, &waiting);
    if matches!(answered, Err(Unanswered::Lost(_))) && runtime.launcher.is_gone() {
        // It was killed with our word unread. No monitor has the plan; another launcher gets it.
        answered = ask(runtime, verb, &plan, &waiting);
    }
    // Only the monitor holds them now: their end is seen when it lets them go.
    drop(waiting);
    let Answer { channel, running, process, notes, thaws } =
        answered.map_err(|unanswered| match unanswered {
            Unanswered::Lost(error) => failure::own(verb, "its monitor ended", &error),
            Unanswered::Failed(failure) => failure,
        })?;
    runtime.shared.tell(target, notes);
    let started = running.clone();
    let target = target.clone();
    let (known, late) = runtime.shared.table.insert(|token| Known {
        target,
        token,
        channel,
        process,
        running,
        cgroup,
        thaws,
    });
    for (options, client) in late {
        // A process that ended at once: the client sees the end of its stream.
        let _ = known.channel.say(&Request::Attach(options), &[client.as_fd()]);
    }
    runtime.watch.add(&known).map_err(|error| failure::own(verb, "cannot watch its monitor", &error))?;
    Ok(started)
}

/// A monitor that holds a process now.
struct Answer {
    channel: Channel,
    running: Running,
    process: OwnedFd,
    notes: Vec<String>,
    thaws: bool,
}

/// Why there is none.
enum Unanswered {
    /// No monitor said a word.
    Lost(io::Error),
    /// It says why.
    Failed(StartFailure),
}

fn ask(
    runtime: &LauncherRuntime,
    verb: Verb,
    plan: &PlanRef<'_>,
    waiting: &[Waiting],
) -> Result<Answer, Unanswered> {
    let channel = runtime
        .launcher
        .monitor()
        .map_err(|error| Unanswered::Failed(failure::own(verb, "cannot start the launcher", &error)))?;
    let attach = |(options, client): &Waiting| channel.say(&Request::Attach(*options), &[client.as_fd()]);
    let sent = waiting.iter().try_for_each(attach).and_then(|()| send_plan(&channel, plan));
    mark("plan sent");
    let answered = sent.and_then(|()| channel.receive()).or_else(|error| last_word(&channel, error));
    let lost = || Unanswered::Lost(io::ErrorKind::UnexpectedEof.into());
    let mut packet = answered.map_err(Unanswered::Lost)?.ok_or_else(lost)?;
    mark("monitor answered");
    let wrong = |error: io::Error| Unanswered::Failed(failure::own(verb, "unexpected answer", &error));
    match packet.message::<Report>().map_err(wrong)? {
        Report::Running { running, notes, thaws } => match packet.descriptors.pop() {
            Some(process) => Ok(Answer { channel, running, process, notes, thaws }),
            None => Err(wrong(io::ErrorKind::InvalidData.into())),
        },
        Report::Failed { exit_code, invalid, message } => {
            Err(Unanswered::Failed(Report::failure(exit_code, invalid, message)))
        }
        Report::NoMonitor(why) => {
            let why = io::Error::other(why);
            Err(Unanswered::Failed(failure::own(verb, "its monitor cannot be made", &why)))
        }
        Report::OutOfMemory | Report::Exited(_) => Err(wrong(io::ErrorKind::InvalidData.into())),
    }
}

/// What was said before the other side went with our words unread: the kernel tells of that first.
fn last_word(channel: &Channel, error: io::Error) -> io::Result<Option<Packet>> {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => channel.receive(),
        _ => Err(error),
    }
}

/// Makes the run directory, or clears what the last run of the container left in it.
fn make_directory(runtime: &LauncherRuntime, id: &ContainerId) -> io::Result<PathBuf> {
    let path = runtime.shared.directory(id);
    match std::fs::DirBuilder::new().mode(0o700).create(&path) {
        Ok(()) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            clear(&path)?;
            Ok(path)
        }
        Err(error) => Err(error),
    }
}

fn clear(path: &Path) -> io::Result<()> {
    let directory = record::open_directory(path)?;
    record::remove(directory.as_fd(), &Names::of(None).exit);
    record::remove(directory.as_fd(), record::STATE);
    match std::fs::remove_dir_all(path.join(other::DIRECTORY)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn cgroup_of(plan: &StartPlan) -> String {
    plan.spec.linux.as_ref().map(|linux| linux.cgroups_path.clone()).unwrap_or_default()
}

/// 64 hexadecimal digits: it becomes the name of a file.
pub(super) fn is_exec_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}
