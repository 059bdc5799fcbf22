//! Verbs of execs: further processes in running containers.
//!
//! An exec is known while its container runs, and for a while after its own end; it is not recorded.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use dhow_model::container::{Exit, Refusal};
use dhow_model::ports::{AttachOptions, ExecPlan, StartFailure, StdioPlan, Target, TerminalSize};
use dhow_model::{ContainerId, Error, Result, Timestamp};
use tokio::sync::Notify;

use crate::Engine;
use crate::containers::attach::Attached;
use crate::containers::refused;
use crate::plan::{exec, signal, spec, validate};
use crate::registry::lock;

/// Asks only whether the process is there (kill(2)).
const NO_SIGNAL: i32 = 0;
const SIGKILL: i32 = 9;
/// The status of a command that was found and cannot be run.
const CANNOT_RUN: i32 = 126;
/// Milliseconds for the end of a process to be told.
const SETTLING: u32 = 1000;
/// Execs of all containers that are remembered: from here on, those that ended first are forgotten.
const KEPT: usize = 1024;
/// Execs that may be there in all, those included that were never started.
const MOST: usize = 16 * 1024;

/// What a client asks for (Engine API, `ExecConfig`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Its standard input is attached.
    pub attach_stdin: bool,
    /// Its standard output is attached.
    pub attach_stdout: bool,
    /// Its standard error is attached.
    pub attach_stderr: bool,
    /// It has a terminal.
    pub tty: bool,
    /// Keys that detach, for `inspect`.
    pub detach_keys: String,
    /// Rows and columns of the terminal.
    pub console_size: Option<TerminalSize>,
    /// Further environment.
    pub env: Vec<String>,
    /// The program and its arguments.
    pub cmd: Vec<String>,
    /// Everything is allowed.
    pub privileged: bool,
    /// `user[:group]`; empty is the container's.
    pub user: String,
    /// The directory; empty is the container's.
    pub working_dir: String,
    /// It is killed when the client that started it is gone; not Docker's.
    pub dies_with_client: bool,
}

/// An exec as `inspect` shows it.
#[derive(Debug, Clone)]
pub struct Exec {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The container.
    pub container: ContainerId,
    /// What was asked for.
    pub request: Arc<ExecRequest>,
    /// Where it is in its life.
    pub state: ExecState,
    /// Told when it has ended.
    ended: Arc<Notify>,
}

/// Where an exec is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecState {
    /// Not started.
    Created,
    /// On its way.
    Starting,
    /// It runs, as this process of the host.
    Running(i32),
    /// It has ended.
    Ended(Exit),
}

/// All execs that are known.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    all: Mutex<BTreeMap<String, Exec>>,
}

impl Registry {
    /// Forgets those of a container.
    pub(crate) fn forget(&self, container: &ContainerId) {
        lock(&self.all).retain(|_, exec| exec.container != *container);
    }

    /// Adds one; a container whose programs are run this way for years does not fill the memory.
    fn add(&self, exec: Exec) -> Result<()> {
        let mut all = lock(&self.all);
        if all.len() >= KEPT {
            let ended = all.values().filter_map(|exec| match &exec.state {
                ExecState::Ended(exit) => Some((exit.finished, exec.id.clone())),
                _ => None,
            });
            if let Some((_, first)) = ended.min() {
                all.remove(&first);
            }
        }
        if all.len() >= MOST {
            return Err(Error::conflict(format!("there are {MOST} execs that have not ended")));
        }
        all.insert(exec.id.clone(), exec);
        Ok(())
    }

    /// Takes an exec for its start: of many clients that start it at once, for one.
    fn begin(&self, id: &str) -> Result<Exec> {
        let mut all = lock(&self.all);
        let exec = all.get_mut(id).ok_or_else(|| no_such(id))?;
        if exec.state != ExecState::Created {
            return Err(Error::conflict(format!("exec {id} has already been started")));
        }
        exec.state = ExecState::Starting;
        Ok(exec.clone())
    }

    fn set(&self, id: &str, state: ExecState) -> Option<Exec> {
        let mut all = lock(&self.all);
        let exec = all.get_mut(id)?;
        exec.state = state;
        Some(exec.clone())
    }
}

impl Registry {
    /// How many run, or are to.
    pub(crate) fn active(&self) -> usize {
        lock(&self.all).values().filter(|exec| !matches!(exec.state, ExecState::Ended(_))).count()
    }
}

impl Engine {
    /// Notes an exec; nothing runs yet.
    ///
    /// # Errors
    /// Conflict when the container does not run or is paused.
    pub fn create_exec(&self, text: &str, request: ExecRequest) -> Result<String> {
        let entry = self.container(text)?;
        let record = entry.record();
        record.state.must_be_active().map_err(|refusal| match refusal {
            Refusal::Paused => {
                Error::conflict(format!("Container {text} is paused, unpause the container before exec"))
            }
            Refusal::NotRunning => Error::conflict(format!("container {} is not running", record.id)),
            other => refused(&record)(other),
        })?;
        if request.cmd.is_empty() {
            return Err(Error::invalid("No exec command specified"));
        }
        validate::variables(request.env.iter().filter(|pair| !pair.is_empty()))?;
        let id = ContainerId::from_random(self.ports.host.random()).to_string();
        let action = told("exec_create", &request.cmd);
        let exec = Exec {
            id: id.clone(),
            container: record.id.clone(),
            request: Arc::new(request),
            state: ExecState::Created,
            ended: Arc::default(),
        };
        self.execs.add(exec)?;
        self.tell_container(&record, &action, &[("execID", id.clone())]);
        Ok(id)
    }

    /// An exec by its id.
    ///
    /// # Errors
    /// `No such exec instance: …`
    pub fn exec(&self, id: &str) -> Result<Exec> {
        let found = lock(&self.execs.all).get(id).cloned();
        found.ok_or_else(|| no_such(id))
    }

    /// An exec by its id, as a client may see it whose stream to it has just ended.
    ///
    /// The stream ends with the process; that its end was told, on another way, may come a moment later.
    ///
    /// # Errors
    /// As [`exec`](Self::exec).
    pub async fn settled_exec(&self, id: &str) -> Result<Exec> {
        for _ in 0..SETTLING {
            let exec = self.exec(id)?;
            let running = matches!(exec.state, ExecState::Running(_) | ExecState::Starting);
            if !running || self.ports.runtime.signal(&target(&exec), NO_SIGNAL).is_ok() {
                return Ok(exec);
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        self.exec(id)
    }

    /// Tells that a client has left an exec by its keys.
    pub fn tell_exec_detached(&self, id: &str) {
        let Ok(exec) = self.exec(id) else { return };
        if let Ok(entry) = self.container(exec.container.as_str()) {
            self.tell_container(&entry.record(), "exec_detach", &[("execID", exec.id.clone())]);
        }
    }

    /// The execs of a container that run, or are to.
    #[must_use]
    pub fn execs_of(&self, container: &ContainerId) -> Vec<String> {
        let all = lock(&self.execs.all);
        let of = |exec: &&Exec| exec.container == *container && !matches!(exec.state, ExecState::Ended(_));
        all.values().filter(of).map(|exec| exec.id.clone()).collect()
    }

    /// Runs an exec with nobody attached; returns when its program was executed.
    ///
    /// # Errors
    /// Conflict when it was started before; in Docker's words when the program cannot be executed.
    pub fn start_exec(&self, id: &str, size: Option<TerminalSize>) -> Result<()> {
        let exec = self.execs.begin(id)?;
        let done = self.exec_plan(&exec, size).and_then(|plan| self.run_exec(&exec, plan));
        self.exec_started(&exec, done)
    }

    /// The same with a stream to it, opened before it is started: nothing that it writes is lost.
    ///
    /// # Errors
    /// As [`start_exec`](Self::start_exec).
    pub fn start_attached_exec(&self, id: &str, size: Option<TerminalSize>) -> Result<Attached> {
        let exec = self.execs.begin(id)?;
        let request = &exec.request;
        let options = AttachOptions {
            stdin: request.attach_stdin,
            stdout: request.attach_stdout,
            stderr: request.attach_stderr,
        };
        // Planned before the client waits for the start: what cannot be planned would leave it waiting.
        let attached = self.exec_plan(&exec, size).and_then(|plan| {
            let attached = self.ports.runtime.attach(&target(&exec), options);
            let stream: OwnedFd = attached.map_err(cannot_run)?;
            self.run_exec(&exec, plan)?;
            Ok(Attached { stream, terminal: request.tty })
        });
        self.exec_started(&exec, attached)
    }

    fn exec_started<T>(&self, exec: &Exec, done: Result<T, StartFailure>) -> Result<T> {
        done.map_err(|StartFailure { exit_code, error }| {
            let exit = Exit { code: exit_code, finished: Timestamp::now(), ..Exit::default() };
            self.execs.set(&exec.id, ExecState::Ended(exit));
            error
        })
    }

    fn run_exec(&self, exec: &Exec, plan: ExecPlan) -> Result<(), StartFailure> {
        let entry = self.container(exec.container.as_str()).map_err(cannot_run)?;
        let action = told("exec_start", &exec.request.cmd);
        // Before it: a short one has ended before its start is answered.
        self.tell_container(&entry.record(), &action, &[("execID", exec.id.clone())]);
        let running = self.ports.runtime.exec(plan)?;
        self.exec_runs(&exec.id, running.pid);
        Ok(())
    }

    /// Its end may have been told before its start was answered.
    fn exec_runs(&self, id: &str, pid: i32) {
        let mut all = lock(&self.execs.all);
        if let Some(exec) = all.get_mut(id).filter(|exec| exec.state == ExecState::Starting) {
            exec.state = ExecState::Running(pid);
        }
    }

    fn exec_plan(&self, exec: &Exec, size: Option<TerminalSize>) -> Result<ExecPlan, StartFailure> {
        self.plan_exec(exec, size).map_err(cannot_run)
    }

    fn plan_exec(&self, exec: &Exec, size: Option<TerminalSize>) -> Result<ExecPlan> {
        let entry = self.container(exec.container.as_str())?;
        let record = entry.record();
        let running = record.state.must_be_active().map_err(refused(&record))?;
        let facts = self.gather(&record)?;
        let spec = spec::plan(&record, &facts)?;
        let process = exec::plan(&record, &exec.request, &spec, &facts)?;
        Ok(ExecPlan {
            target: target(exec),
            pid: running.pid,
            process: Arc::new(process),
            spec: Arc::new(spec),
            stdio: StdioPlan {
                terminal: exec.request.tty,
                open_stdin: exec.request.attach_stdin,
                stdin_once: true,
                size: size.or(exec.request.console_size),
                dies_with_client: exec.request.dies_with_client,
            },
            program: self.runtime_program(&record.host_config.runtime)?,
        })
    }

    /// Sets the size of an exec's terminal.
    ///
    /// # Errors
    /// Conflict when it does not run.
    pub fn resize_exec(&self, id: &str, size: TerminalSize) -> Result<()> {
        let exec = self.exec(id)?;
        match exec.state {
            ExecState::Running(_) => self.ports.runtime.resize(&target(&exec), size),
            _ => Err(Error::conflict(format!("exec process {id} is not running"))),
        }
    }

    /// Sends a signal to an exec.
    ///
    /// # Errors
    /// Conflict when it does not run; invalid argument for a signal that is none.
    pub fn kill_exec(&self, id: &str, name: &str) -> Result<()> {
        let signal = if name.is_empty() { SIGKILL } else { signal::parse(name)? };
        let exec = self.exec(id)?;
        match exec.state {
            ExecState::Running(_) => self.ports.runtime.signal(&target(&exec), signal),
            _ => Err(Error::conflict(format!("exec process {id} is not running"))),
        }
    }

    /// Kills an exec that nobody has a use for any more, and forgets it.
    pub(crate) fn discard_exec(&self, id: &str) {
        let Ok(exec) = self.exec(id) else { return };
        if matches!(exec.state, ExecState::Starting | ExecState::Running(_)) {
            // It has ended meanwhile, or its container has.
            let _ = self.ports.runtime.signal(&target(&exec), SIGKILL);
        }
        lock(&self.execs.all).remove(id);
    }

    /// Waits for the end of an exec.
    ///
    /// # Errors
    /// As [`exec`](Self::exec).
    pub(crate) async fn ended_exec(&self, id: &str) -> Result<ExecState> {
        loop {
            let exec = self.exec(id)?;
            if matches!(exec.state, ExecState::Ended(_)) {
                return Ok(exec.state);
            }
            exec.ended.notified().await;
        }
    }

    pub(crate) fn exec_ended(&self, id: &str, exit: Exit) {
        let code = exit.code;
        let Some(exec) = self.execs.set(id, ExecState::Ended(exit)) else { return };
        exec.ended.notify_one();
        if let Ok(entry) = self.container(exec.container.as_str()) {
            let more = [("execID", id.to_owned()), ("exitCode", code.to_string())];
            self.tell_container(&entry.record(), "exec_die", &more);
        }
    }
}

/// An action with its command, as Docker has it: a space follows the program also where no argument does.
fn told(action: &str, command: &[String]) -> String {
    let (program, arguments) = command.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
    format!("{action}: {program} {}", arguments.join(" "))
}

fn no_such(id: &str) -> Error {
    Error::not_found(format!("No such exec instance: {}", crate::registry::shorten(id)))
}

/// Of an exec of which nothing ran.
fn cannot_run(error: Error) -> StartFailure {
    StartFailure { exit_code: CANNOT_RUN, error }
}

fn target(exec: &Exec) -> Target {
    Target { id: exec.container.clone(), exec: Some(exec.id.clone()) }
}
