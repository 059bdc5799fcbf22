//! `start`: makes the isolated space for a container and runs its process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use dhow_model::container::{Exit, Intent, MountPoint, Refusal, Running, State};
use dhow_model::ports::{
    Durability, MountedTree, StartFailure, StartPlan, StdioPlan, TerminalSize, UserSpace,
};
use dhow_model::{Container, Error, Kind, Result, Timestamp};

use super::refused;
use crate::networks::Joined;
use crate::plan::{Facts, cdi, files, logs, spec, storage};
use crate::restart::policy::Backoff;
use crate::user_space::InUserSpace;
use crate::{Engine, Entry, health};

/// The status of a container of which nothing ran, as Docker gives it.
const NOT_STARTED: i32 = 128;

/// Why a container is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Somebody asked for it: all that was counted begins anew.
    Asked,
    /// Its restart policy.
    Policy,
}

impl Engine {
    /// Starts a container.
    ///
    /// # Errors
    /// Not modified when it runs; in Docker's words when its program cannot be executed.
    pub fn start_container(self: &Arc<Self>, text: &str) -> Result<()> {
        let _timer = self.counts.time("start");
        let entry = self.container(text)?;
        let turn = entry.turn();
        if self.is_shutting_down() {
            return Err(Error::new(Kind::Unavailable, "the engine is shutting down"));
        }
        let started = self.start_entry(&entry, Cause::Asked);
        drop(turn);
        if started.is_err() && entry.record().state.exit().is_some() {
            self.after_end(&entry);
        }
        started
    }

    /// The same by who has the container's turn already.
    pub(crate) fn start_entry(self: &Arc<Self>, entry: &Arc<Entry>, cause: Cause) -> Result<()> {
        let record = entry.record();
        if cause == Cause::Asked {
            record.state.may_start().map_err(refused(&record))?;
        }
        if entry.is_being_removed() {
            return Err(refused(&record)(Refusal::Removing));
        }
        // A plan that cannot be made is a start that failed, and is recorded as one: a container that is
        // to be removed when it ends would stay for ever, and with it those who wait for that.
        let failed = |error| StartFailure { exit_code: NOT_STARTED, error };
        let begun = self.user_space(&record).and_then(|user| {
            let joined = self.join_networks(&record, user.as_ref())?;
            Ok((user, joined))
        });
        let (user, joined) = match begun {
            Ok(begun) => begun,
            Err(error) => return self.not_started(entry, failed(error)),
        };
        let planned = self.connected(entry, &joined, user.as_ref()).and_then(|record| {
            self.ready_volumes(&record)?;
            self.tell_linking(&record);
            self.start_plan(&record, &joined, user.as_ref())
        });
        match planned.map_err(failed).and_then(|plan| self.ports.runtime.start(plan)) {
            Ok(running) => self.started(entry, running, cause),
            Err(failure) => {
                self.leave_networks(&entry.record(), &joined.endpoints);
                self.not_started(entry, failure)
            }
        }
    }

    /// What a container has on the host is on record before it runs: an engine that is killed in between finds it.
    fn connected(&self, entry: &Entry, joined: &Joined, user: Option<&UserSpace>) -> Result<Arc<Container>> {
        let before = entry.record();
        let donor = self.name_of_donor(&before);
        let user_map = user.map(|user| Arc::clone(user.map()));
        // Who joins it later would be root of the host if that were not known.
        let is_new = before.user_map != user_map;
        let connect = |record: &mut Container| {
            record.networks.clone_from(&joined.endpoints);
            record.user_map = user_map;
            if let Some((host, domain)) = donor {
                (record.config.hostname, record.config.domainname) = (host, domain);
            }
        };
        if joined.space.is_some() || is_new {
            return entry.advance(&self.ports, connect);
        }
        let mut record = (*before).clone();
        connect(&mut record);
        Ok(entry.replace(record))
    }

    /// Volumes that are mounted for it; what was empty when it was created may not have been there.
    fn ready_volumes(&self, record: &Container) -> Result<()> {
        self.attach_volumes(record)?;
        for mount in record.mounts.iter().filter(|mount| mount.copy_up) {
            if self.volume(&mount.name)?.mount().is_some() {
                let durability = Durability::Relaxed;
                self.ports.volumes.populate(&mount.name, &record.id, &mount.destination, durability)?;
            }
        }
        Ok(())
    }

    /// Plans all as a value; what is written on the way are files of the container's own directory.
    fn start_plan(&self, record: &Container, joined: &Joined, user: Option<&UserSpace>) -> Result<StartPlan> {
        let facts = Facts {
            network: joined.space.as_ref().map(|space| space.path().to_owned()),
            own_server: joined.names,
            user: user.map(InUserSpace::of),
            linked: self.linked(record)?,
            ..self.gather(record)?
        };
        self.check_propagation(record)?;
        let mut spec = spec::plan(record, &facts)?;
        let requests = record.host_config.device_requests.as_deref().unwrap_or_default();
        cdi::inject(&mut spec, requests, &*self.ports.host, &self.settings().cdi_directories)?;
        let directory = self.ports.snapshots.directory(&record.id);
        for (name, bytes) in files::contents(record, &facts) {
            self.ports.host.write_file(&directory.join(name), &bytes)?;
        }
        Ok(StartPlan {
            id: record.id.clone(),
            spec: Arc::new(spec),
            trees: self.image_trees(record, user)?,
            rootfs: self.ports.snapshots.rootfs(
                &record.id,
                record.host_config.auto_remove,
                storage::layer_size(&record.host_config.storage_opt)?,
                user,
            )?,
            stdio: stdio(record),
            log: logs::options(&record.host_config.log_config, &logs::Source::of(record, &facts.host.name))?,
            directory,
            // Where it would not be the first process of its space, it would reap nothing.
            init: record.host_config.pid_mode.is_empty()
                && record.host_config.init.unwrap_or(self.settings().init),
            program: self.runtime_program(&record.host_config.runtime)?,
            donors: facts.joined.into_values().map(|joined| joined.donor).collect(),
        })
    }

    fn image_trees(
        &self,
        record: &Container,
        user: Option<&UserSpace>,
    ) -> Result<BTreeMap<PathBuf, MountedTree>> {
        let trees = record.mounts.iter().filter_map(|mount| Some((mount, mount.image.as_ref()?)));
        let tree = |(mount, image): (&MountPoint, _)| {
            let tree = self.ports.snapshots.image_tree(image, mount.subpath.as_deref(), user)?;
            Ok((mount.destination.clone(), tree))
        };
        trees.map(tree).collect()
    }

    fn started(self: &Arc<Self>, entry: &Arc<Entry>, running: Running, cause: Cause) -> Result<()> {
        entry.intend(Intent::default());
        if cause == Cause::Asked {
            entry.back_off(|_| Backoff::default());
        }
        let record = entry.advance(&self.ports, |record| {
            record.state = State::Running(running);
            record.limits_pending = false;
            health::begun(record);
            if cause == Cause::Asked {
                record.restart_count = 0;
            }
        })?;
        self.tell_mounts(&record, true);
        self.tell_container(&record, "start", &[]);
        self.watch_health(entry);
        Ok(())
    }

    fn not_started(&self, entry: &Entry, failure: StartFailure) -> Result<()> {
        let record = entry.record();
        let now = Timestamp::now();
        let never_ran = matches!(record.state, State::Created { .. });
        let exit = Exit {
            code: failure.exit_code,
            error: failure.error.report(),
            started: record.state.exit().map_or(Timestamp::NEVER, |exit| exit.started),
            finished: if never_ran { Timestamp::NEVER } else { now },
            oom_killed: false,
        };
        let state = if never_ran { State::Created { failure: Some(exit) } } else { State::Exited(exit) };
        let recorded = entry.advance(&self.ports, |record| {
            record.state = state;
            record.disconnect();
        });
        if let Err(error) = recorded {
            tracing::error!(container = record.id.short(), "record a failed start: {}", error.report());
        }
        if let Err(error) = self.ports.runtime.release(&record.id) {
            tracing::warn!(container = record.id.short(), "release after a failed start: {}", error.report());
        }
        self.detach_volumes(&record);
        Err(failure.error)
    }
}

fn stdio(record: &Container) -> StdioPlan {
    let [rows, columns] = record.host_config.console_size;
    let number = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
    StdioPlan {
        terminal: record.config.tty,
        open_stdin: record.config.open_stdin,
        stdin_once: record.config.stdin_once,
        size: (rows > 0 && columns > 0)
            .then(|| TerminalSize { rows: number(rows), columns: number(columns) }),
        dies_with_client: false,
    }
}
