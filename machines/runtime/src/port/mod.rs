//! The runtime as the engine knows it: [`LauncherRuntime`] implements [`dhow_model::ports::Runtime`].
//!
//! In reading order: [`start`] has a monitor made and gives it a plan; [`table`] are the processes
//! that run, each with the conversation with its monitor; [`filters`] compiles filters of system calls once; [`watch`] is one thread that listens to all
//! those conversations; [`adopt`] finds what an earlier engine started, and the truth about a
//! container whose monitor was killed; [`failure`] has Docker's words for a start that failed.
//!
//! Nothing here is asynchronous, and one thread is enough for any number of containers: it sleeps in
//! epoll and does nothing but read a message and call the engine's function.

mod adopt;
pub mod failure;
mod filters;
mod release;
mod sample;
mod start;
mod table;
mod watch;

use std::collections::HashSet;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use dhow_model::container::Running;
use dhow_model::ports::{
    Adopted, AttachOptions, ExecPlan, LogEntries, LogFileKind, LogQuery, Runtime, RuntimeEvent, Sample,
    StartFailure, StartPlan, Target, TerminalSize,
};
use dhow_model::{ContainerId, Error, Result};

use crate::cgroups::Layout;
use crate::launcher::Launcher;
use crate::logs::{self, LogReader};
use crate::monitor::client::stream_pair;
use crate::monitor::donors::has_ended;
use crate::monitor::message::Request;
use filters::Filters;
use table::{Known, Table};
use watch::Watch;

/// Where events go. Called on the watching thread: it must not block.
pub type Events = Arc<dyn Fn(RuntimeEvent) + Send + Sync>;

/// Where the runtime keeps its things.
#[derive(Debug, Clone)]
pub struct Directories {
    /// Below it `containers/<id>/` are the sockets and records, which need not survive a boot.
    pub exec_root: PathBuf,
    /// Below it `<id>/<id>-json.log` are the logs: the parent of each [`StartPlan::directory`].
    pub containers: PathBuf,
}

/// Containers by way of the launcher and a monitor each.
pub struct LauncherRuntime {
    launcher: Launcher,
    shared: Arc<Shared>,
    watch: Watch,
    filters: Filters,
}

/// What the watching thread needs too.
struct Shared {
    directories: Directories,
    events: Events,
    table: Table,
    layout: Layout,
    /// What was told already of this machine.
    told: Mutex<HashSet<String>>,
}

impl Shared {
    /// Tells what cannot be had on this machine, each thing once: the next container lacks it too.
    fn tell(&self, target: &Target, notes: Vec<String>) {
        for note in notes {
            let general = note.replace(target.id.as_str(), "*");
            if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(general) {
                tracing::warn!(container = target.id.short(), "{note}");
            }
        }
    }
}

impl LauncherRuntime {
    /// A runtime that starts through `launcher` and tells `events`.
    ///
    /// # Errors
    /// When the run directory cannot be made, or the watching thread not be started.
    pub fn new(launcher: Launcher, directories: Directories, events: Events) -> Result<Self> {
        let run = directories.exec_root.join("containers");
        std::fs::create_dir_all(&run)
            .map_err(|error| Error::internal(format!("cannot make {}", run.display())).because(error))?;
        if let Err(error) = Layout::detect()?.make_room() {
            tracing::warn!("containers cannot be limited: {}", error.report());
        }
        // Where we are now.
        let layout = Layout::detect()?;
        let shared =
            Arc::new(Shared { directories, events, table: Table::default(), layout, told: Mutex::default() });
        let watch = Watch::start(Arc::clone(&shared))
            .map_err(|error| Error::internal("cannot watch monitors").because(error))?;
        Ok(Self { launcher, shared, watch, filters: Filters::default() })
    }

    fn known(&self, target: &Target) -> Result<Arc<Known>> {
        self.shared.table.get(target).ok_or_else(|| not_running(target))
    }
}

impl Shared {
    /// The current log file of a container.
    fn log(&self, id: &ContainerId, kind: LogFileKind) -> PathBuf {
        logs::path(&self.directories.containers.join(id.as_str()), id, kind)
    }

    /// The run directory of a container.
    fn directory(&self, id: &ContainerId) -> PathBuf {
        self.directories.exec_root.join("containers").join(id.as_str())
    }
}

impl Runtime for LauncherRuntime {
    fn start(&self, plan: StartPlan) -> Result<Running, StartFailure> {
        start::container(self, plan)
    }

    fn left(&self) -> Result<HashSet<ContainerId>> {
        adopt::left(&self.shared)
    }

    fn adopt(&self, id: &ContainerId) -> Result<Adopted> {
        adopt::container(&self.shared, &self.watch, id)
    }

    fn exec(&self, plan: ExecPlan) -> Result<Running, StartFailure> {
        start::exec(self, plan)
    }

    fn lives(&self, id: &ContainerId, pid: i32) -> bool {
        start::donor(&self.shared, id, pid).is_ok_and(|known| !has_ended(&known.process))
    }

    fn signal(&self, target: &Target, signal: i32) -> Result<()> {
        let known = self.known(target)?;
        // An exec leads a session of its own: nothing that it began outlives its SIGKILL.
        let sent = if target.exec.is_some() && signal == libc::SIGKILL {
            dhow_sys::signal::send_to_group(&known.process, signal)
        } else {
            dhow_sys::signal::send(&known.process, signal)
        };
        sent.map_err(|error| match error.raw_os_error() {
            Some(libc::ESRCH) => not_running(target),
            Some(libc::EINVAL) => Error::invalid(format!("Invalid signal: {signal}")),
            _ => about(target, "cannot send a signal to", error),
        })
    }

    fn kill_all(&self, id: &ContainerId) -> Result<()> {
        release::kill_all(&self.shared, id)
    }

    fn pause(&self, id: &ContainerId) -> Result<()> {
        release::freeze(&self.shared, id)
    }

    fn resume(&self, id: &ContainerId) -> Result<()> {
        release::thaw(&self.shared, id)
    }

    fn keep_paused(&self, id: &ContainerId) -> Result<()> {
        let known = self.known(&Target::container(id.clone()))?;
        release::expect_no_thaw(&known);
        Ok(())
    }

    /// See the trait; a target that does not run yet is remembered until it does.
    fn attach(&self, target: &Target, options: AttachOptions) -> Result<OwnedFd> {
        let (ours, theirs) = stream_pair().map_err(|error| about(target, "cannot attach to", error))?;
        if let Some(known) = self.shared.table.get_or_wait(target, options, theirs)? {
            let (known, theirs) = known;
            known
                .channel
                .say(&Request::Attach(options), &[theirs.as_fd()])
                .map_err(|_| not_running(target))?;
        }
        Ok(ours)
    }

    fn resize(&self, target: &Target, size: TerminalSize) -> Result<()> {
        self.known(target)?
            .channel
            .say(&Request::Resize(size), &[])
            .map_err(|error| about(target, "cannot resize the terminal of", error))
    }

    fn update(&self, id: &ContainerId, limits: &dhow_oci::runtime::Resources) -> Result<()> {
        let notes = release::update(&self.shared, id, limits)?;
        self.shared.tell(&Target::container(id.clone()), notes);
        Ok(())
    }

    fn processes(&self, id: &ContainerId) -> Result<Vec<i32>> {
        release::processes(&self.shared, id)
    }

    fn sample(&self, id: &ContainerId) -> Result<Sample> {
        sample::take(&self.shared, id)
    }

    fn logs(&self, id: &ContainerId, kind: LogFileKind, query: LogQuery) -> Result<LogEntries> {
        let shared = Arc::clone(&self.shared);
        let target = Target::container(id.clone());
        let words = format!("cannot read the log of {id}");
        let ended = Box::new(move || shared.table.get(&target).is_none());
        let reader = LogReader::open(self.shared.log(id, kind), kind.into(), query, ended)
            .map_err(|error| Error::internal(words.clone()).because(error))?;
        Ok(Box::new(
            reader.map(move |entry| entry.map_err(|error| Error::internal(words.clone()).because(error))),
        ))
    }

    fn clear_log(&self, id: &ContainerId, kind: LogFileKind) -> Result<()> {
        logs::rotate::clear(&self.shared.log(id, kind))
            .map_err(|error| Error::internal(format!("cannot empty the log of {id}")).because(error))
    }

    fn log_size(&self, id: &ContainerId) -> Result<u64> {
        let kinds = [LogFileKind::Json, LogFileKind::Local, LogFileKind::Cache];
        let sizes = kinds.into_iter().map(|kind| logs::rotate::size(&self.shared.log(id, kind)));
        sizes
            .sum::<std::io::Result<u64>>()
            .map_err(|error| Error::internal(format!("cannot measure the log of {id}")).because(error))
    }

    fn release(&self, id: &ContainerId) -> Result<()> {
        release::container(&self.shared, id)
    }
}

fn not_running(target: &Target) -> Error {
    match &target.exec {
        None => Error::conflict(format!("container {} is not running", target.id)),
        Some(exec) => Error::conflict(format!("exec {exec} of container {} is not running", target.id)),
    }
}

fn about(target: &Target, doing: &str, error: std::io::Error) -> Error {
    let what = target.exec.as_ref().map_or_else(String::new, |exec| format!("exec {exec} of "));
    Error::internal(format!("{doing} {what}container {}", target.id)).because(error)
}
