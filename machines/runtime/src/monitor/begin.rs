//! From a plan to a process that runs: the steps of a start, in order.

use std::io;
use std::os::fd::AsFd as _;

use dhow_model::container::Running;
use dhow_model::ports::{StartFailure, StartPlan};
use dhow_model::{Error, Timestamp};

use super::channel::Channel;
use super::client::Client;
use super::engine::Engine;
use super::hold::Holding;
use super::message::{Plan, Report, Task};
use super::record::{self, Names, State};
use super::spawn::{self, Spawned};
use crate::cgroups::Layout;
use crate::logs::Sink;
use crate::logs::link::words;
use crate::port::failure::{self, Verb};

/// Makes what the plan says, and tells the engine; nothing when it could not be made.
#[must_use]
pub fn begin(plan: &mut Plan, clients: Vec<Client>, engine: Channel, layout: &Layout) -> Option<Holding> {
    match make(plan, clients, layout) {
        Ok((mut holding, notes)) => {
            let report = Report::Running { running: holding.running.clone(), notes, thaws: true };
            // The engine may be gone already; the next one will ask.
            let told = engine.say(&report, &[holding.process.as_fd()]).is_ok();
            holding.engines.extend(told.then(|| Some(Engine::new(engine))));
            if let Task::Container(start) = &plan.task {
                remember(start, &holding);
            }
            Some(holding)
        }
        Err(failure) => {
            let _ = engine.say(&Report::failed(&failure), &[]);
            None
        }
    }
}

/// Opens what the monitor needs first: once the process runs, nothing may fail any more.
fn make(
    plan: &mut Plan,
    clients: Vec<Client>,
    layout: &Layout,
) -> Result<(Holding, Vec<String>), StartFailure> {
    let (verb, exec, stdio) = match &plan.task {
        Task::Container(start) => (Verb::Start, None, start.stdio.clone()),
        Task::Exec(exec) => (Verb::Exec, exec.target.exec.as_deref(), exec.stdio.clone()),
    };
    let own = |what| move |error: io::Error| failure::own(verb, what, &error);
    let log = open_log(&plan.task)?;
    let names = Names::of(exec);
    let directory = record::open_directory(&plan.directory).map_err(own("cannot open its run directory"))?;
    let listener = record::listen_at(directory.as_fd(), &names.socket).map_err(own("cannot listen"))?;
    let (spawned, maker) = spawn::spawn(plan, layout).map_err(|error| {
        record::remove(directory.as_fd(), &names.socket);
        failure::of_container(verb, &error)
    })?;
    let Spawned { pid, process, streams, memory, notes } = spawned;
    let holding = Holding {
        running: Running { pid, started: Timestamp::now() },
        process,
        streams,
        stdio,
        log,
        clients,
        engines: Vec::new(),
        listener,
        directory,
        names,
        memory,
        adopts_orphans: matches!(
            &plan.task,
            Task::Container(start) if start.program.is_some() || spawn::shares_our_pids(&start.spec)
        ),
        maker,
    };
    Ok((holding, notes))
}

fn open_log(task: &Task) -> Result<Option<Sink>, StartFailure> {
    let Task::Container(start) = task else { return Ok(None) };
    Sink::open(&start.directory, &start.id, start.log.clone()).map_err(|error| {
        let words = format!(
            "failed to create task for container: failed to initialize logging driver: {}",
            words(&error)
        );
        StartFailure { exit_code: 128, error: Error::internal(words) }
    })
}

/// What can be done after the answer: the state record.
fn remember(start: &StartPlan, holding: &Holding) {
    let linux = start.spec.linux.as_ref();
    let state = State {
        running: holding.running.clone(),
        ticks: record::ticks_of(holding.running.pid).unwrap_or(0),
        cgroup: linux.map(|linux| linux.cgroups_path.clone()).unwrap_or_default(),
    };
    // Without it only an engine that comes after a killed monitor is at a loss, and it says so.
    let _ = record::write(holding.directory.as_fd(), record::STATE, &state);
}
