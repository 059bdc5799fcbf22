//! The use cases, one file a verb.
//!
//! [`Engine`] holds the ports and what is known: [`containers`], [`execs`], [`images`] and
//! [`volumes`] are its verbs, [`plan`] works out what a container needs (pure), [`monitor`] is the one
//! road back from the runtime, `restart` what starts containers again, `health` what probes them,
//! [`boot`] what a new engine does first,
//! [`shutdown`] how it ends, [`events`] what listeners hear, [`runtimes`] which program makes a container,
//! [`system`] what the engine says of itself.
//!
//! Verbs that change something are plain functions and run to their end, whatever the client does
//! (decision 4). Each container has a lock of its own; no lock is held over all of them while
//! something slow is done.

pub mod boot;
pub mod containers;
pub mod events;
pub mod execs;
mod health;
pub mod images;
pub mod metrics;
pub mod monitor;
mod names;
pub mod networks;
pub mod plan;
mod registry;
mod restart;
pub mod runtimes;
pub mod settings;
pub mod shutdown;
pub mod system;
pub mod user_space;
pub mod volumes;

use std::sync::Arc;

use dhow_model::ports::{Host, Images, Networks, Records, Runtime, Snapshots, Upkeep, Volumes, Web};

pub use events::Events;
pub use registry::Entry;
pub use settings::Settings;

/// The ports by which the engine reaches the world.
#[derive(Clone)]
pub struct Ports {
    /// Images.
    pub images: Arc<dyn Images>,
    /// Writable layers.
    pub snapshots: Arc<dyn Snapshots>,
    /// Containers on record.
    pub records: Arc<dyn Records>,
    /// Volumes.
    pub volumes: Arc<dyn Volumes>,
    /// Networks.
    pub networks: Arc<dyn Networks>,
    /// What containers are called: the engine writes it, whoever answers their questions reads it.
    pub names: Arc<networks::Directory>,
    /// Processes.
    pub runtime: Arc<dyn Runtime>,
    /// The host.
    pub host: Arc<dyn Host>,
    /// What is stored, looking after itself.
    pub upkeep: Arc<dyn Upkeep>,
    /// Servers elsewhere.
    pub web: Arc<dyn Web>,
}

/// The engine.
pub struct Engine {
    ports: Ports,
    settings: std::sync::RwLock<Arc<Settings>>,
    shutting_down: std::sync::atomic::AtomicBool,
    registry: registry::Registry,
    execs: execs::Registry,
    events: Events,
    samplers: containers::stats::Samplers,
    counts: metrics::Counts,
    networks: std::sync::Mutex<networks::Known>,
    /// Held while a volume is made or removed.
    claimed_volumes: std::sync::Mutex<volumes::claims::Claimed>,
    attached_volumes: volumes::Attached,
}

impl Engine {
    /// The ports, for what only passes through (streams).
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// What it is configured with now.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// What happens, as it happens.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }
}
