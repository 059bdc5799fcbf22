//! What the engine says of itself.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use dhow_model::container::State;
use dhow_model::event::EventKind;
use dhow_model::ports::{CheckReport, HostFacts, OwnUse, RuntimeProgram};
use dhow_model::{Result, Timestamp};

use crate::plan::cdi;
use crate::{Engine, Settings};

/// What `info` tells.
#[derive(Debug, Clone)]
pub struct Info<'a> {
    /// The host.
    pub host: &'a HostFacts,
    /// The configuration.
    pub settings: Arc<Settings>,
    /// Containers that run.
    pub running: usize,
    /// Containers that are paused.
    pub paused: usize,
    /// Containers that do neither.
    pub stopped: usize,
    /// Images.
    pub images: usize,
    /// Listeners of events.
    pub listeners: usize,
    /// What the engine's process uses.
    pub own: OwnUse,
    /// Runtimes that can be asked for: names and programs.
    pub runtimes: Vec<(String, RuntimeProgram)>,
    /// What the user should know of this host.
    pub warnings: Vec<String>,
    /// Devices that vendors describe, by name (CDI).
    pub devices: Vec<String>,
    /// Now.
    pub now: Timestamp,
}

impl Engine {
    /// Counts and facts.
    ///
    /// # Errors
    /// When the images cannot be listed.
    pub fn info(&self) -> Result<Info<'_>> {
        let entries = self.registry.all();
        let count =
            |wanted: fn(&State) -> bool| entries.iter().filter(|entry| wanted(&entry.record().state)).count();
        Ok(Info {
            host: self.ports.host.facts(),
            settings: self.settings(),
            running: count(|state| matches!(state, State::Running(_))),
            paused: count(|state| matches!(state, State::Paused(_))),
            stopped: count(|state| state.running().is_none()),
            images: self.ports.images.list()?.len(),
            listeners: self.events.listeners(),
            own: self.ports.host.own_use(),
            runtimes: self.runtimes(),
            warnings: self.warnings(),
            devices: cdi::Devices::read(&*self.ports.host, &self.settings().cdi_directories)?
                .names()
                .map(str::to_owned)
                .collect(),
            now: Timestamp::now(),
        })
    }

    /// Those of the host, and chains of its firewall where packets of containers may end.
    fn warnings(&self) -> Vec<String> {
        let obstacles = self.ports.networks.obstacles();
        let obstacles = obstacles.iter().map(|chain| {
            format!(
                "WARNING: the chain {chain} of the host's firewall drops what is routed: it must let containers pass"
            )
        });
        self.ports.host.facts().warnings.iter().cloned().chain(obstacles).collect()
    }

    /// Takes other settings; what is done from here on goes by them. Told as Docker's `reload`, with what
    /// can be reloaded.
    pub fn reload(&self, settings: Settings) {
        let settings = Arc::new(settings);
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&settings);
        let mut attributes: BTreeMap<String, String> = settings.reloadable();
        attributes.insert("name".into(), self.ports.host.facts().name.clone());
        self.tell(EventKind::Daemon, "reload", &settings.id, attributes);
    }

    /// Compares everything that is stored with everything else, and mends what can be.
    ///
    /// # Errors
    /// When the check cannot go on; what is wrong with what is stored is in the report.
    pub fn check(&self, repair: bool) -> Result<CheckReport> {
        let mut report = self.ports.upkeep.check(repair)?;
        for container in report.findings.iter_mut().flat_map(|finding| &mut finding.containers) {
            if let Ok(entry) = self.container(container) {
                *container = entry.record().name.to_string();
            }
        }
        Ok(report)
    }
}
