//! Verbs of networks.
//!
//! [`Known`] are the networks with the addresses that are in use. [`pools`] chooses blocks of addresses,
//! [`addresses`] hands them out, [`ports`] reads which ports of the host lead to a container; all three
//! are pure. [`join`] connects a container that is started, and takes that back when it has ended: [`assign`] says
//! what it has in a network, [`publish`] which ports lead to it, [`names`] what it is called, which is written into
//! the [`directory`]. [`restore`] finds all that again. [`update`] changes it while the container runs, with what
//! [`republish`] works out.

mod addresses;
mod assign;
mod change;
mod check;
mod configuration;
mod create;
mod default;
mod directory;
mod interfaces;
mod join;
mod links;
mod names;
mod options;
mod parents;
mod pools;
mod ports;
mod publish;
mod remove;
mod republish;
mod restore;
mod sysctls;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use dhow_model::container::donor;
use dhow_model::event::EventKind;
use dhow_model::network::{Assigned, BUILT_IN, Driver, Network, Pool, Published};
use dhow_model::{Container, Error, Result, Timestamp};
use dhow_oci::Digest;

pub use create::NetworkRequest;
pub use default::{Block, DefaultNetwork};
pub use directory::Directory;
pub(crate) use join::Joined;
pub use links::Linked;
pub use pools::{Source, default_sources};
pub use remove::PrunedNetworks;
pub use republish::{Bindings, PortChange};
pub use update::Update;

use crate::Engine;
use crate::registry::{lock, shorten};
use addresses::Addresses;

/// Networks by their id, and what is in use of them.
#[derive(Debug, Default)]
pub(crate) struct Known {
    networks: BTreeMap<String, Arc<Network>>,
    addresses: BTreeMap<String, Addresses>,
    /// The places that containers have or are given, by the network: it is not removed meanwhile.
    places: BTreeMap<String, BTreeSet<String>>,
    ports: publish::HostPorts,
    /// Bridges that were made by this engine, or found by it.
    ready: BTreeSet<String>,
}

impl Known {
    /// By id, by name, or by the beginning of the id.
    ///
    /// # Errors
    /// In Docker's words: there is none, or more than one.
    fn find(&self, text: &str) -> Result<Arc<Network>> {
        if let Some(network) = self.networks.get(text) {
            return Ok(Arc::clone(network));
        }
        if let Some(network) = self.networks.values().find(|network| network.name == text) {
            return Ok(Arc::clone(network));
        }
        let mut starting =
            self.networks.values().filter(|network| !text.is_empty() && network.id.starts_with(text));
        match (starting.next(), starting.next()) {
            (Some(network), None) => Ok(Arc::clone(network)),
            (Some(_), Some(_)) => Err(Error::invalid(format!(
                "network {} is ambiguous (2 matches found on ID prefix)",
                shorten(text)
            ))),
            _ => Err(Error::not_found(format!("network {} not found", shorten(text)))),
        }
    }

    /// All blocks of addresses, with the ids of their networks.
    fn pools(&self) -> impl Iterator<Item = (&str, &Pool)> {
        let networks = self.networks.values().filter(|network| !network.config_only);
        networks.flat_map(|network| network.pools.iter().map(|pool| (network.id.as_str(), pool)))
    }

    /// Gives a container a place in a network.
    ///
    /// # Errors
    /// Not found, when the network was removed meanwhile.
    fn take_place(&mut self, network: &Network, place: &str) -> Result<()> {
        if !self.networks.contains_key(&network.id) {
            return Err(not_found(network));
        }
        self.places.entry(network.id.clone()).or_default().insert(place.to_owned());
        Ok(())
    }

    /// Notes that a network's bridge or parent is there; tells whether the network is.
    fn note_ready(&mut self, network: &Network) -> bool {
        let is_there = self.networks.contains_key(&network.id);
        if is_there {
            self.ready.insert(network.id.clone());
        }
        is_there
    }

    /// Takes a network out, unless somebody has a place in it.
    fn take_out(&mut self, network: &Network) -> Result<()> {
        let places = self.places.get(&network.id).into_iter().flatten();
        let places: Vec<String> = places.map(|place| format!("id:\"{}\"", remove::short(place))).collect();
        if !places.is_empty() {
            return Err(remove::in_use(network, &places));
        }
        self.networks.remove(&network.id);
        self.addresses.remove(&network.id);
        self.ready.remove(&network.id);
        Ok(())
    }

    /// Notes what a running container has.
    fn hold(&mut self, network: &str, assigned: &Assigned) {
        self.places.entry(network.to_owned()).or_default().insert(assigned.id.clone());
        let addresses = self.addresses.entry(network.to_owned()).or_default();
        for prefix in [assigned.ipv4, assigned.ipv6].into_iter().flatten() {
            addresses.hold(prefix.address);
        }
        assigned.published.iter().for_each(|published| self.ports.hold(published));
    }

    /// Forgets the place and the addresses that a container had.
    fn give_back(&mut self, network: &str, assigned: &Assigned) {
        if let Some(places) = self.places.get_mut(network) {
            places.remove(&assigned.id);
            if places.is_empty() {
                self.places.remove(network);
            }
        }
        if let Some(addresses) = self.addresses.get_mut(network) {
            for prefix in [assigned.ipv4, assigned.ipv6].into_iter().flatten() {
                addresses.give_back(prefix.address, Instant::now());
            }
        }
    }

    fn give_back_ports(&mut self, published: &[Published]) {
        published.iter().for_each(|published| self.ports.give_back(published));
    }
}

/// A running container in a network.
#[derive(Debug, Clone)]
pub struct Member {
    /// The container.
    pub container: Arc<Container>,
    /// What it has there.
    pub assigned: Assigned,
}

impl Engine {
    /// A network by name, id, or the beginning of its id.
    ///
    /// # Errors
    /// `network … not found`
    pub fn network(&self, text: &str) -> Result<Arc<Network>> {
        lock(&self.networks).find(text)
    }

    /// All networks, in the order of their names.
    #[must_use]
    pub fn networks(&self) -> Vec<Arc<Network>> {
        let mut all: Vec<_> = lock(&self.networks).networks.values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The running containers in a network.
    #[must_use]
    pub fn network_members(&self, network: &Network) -> Vec<Member> {
        let containers = self.registry.all().into_iter().map(|entry| entry.record());
        let running = containers.filter(|container| container.state.running().is_some());
        let found = running.filter_map(|container| {
            let endpoint = container.networks.values().find(|endpoint| endpoint.network == network.id)?;
            let assigned = endpoint.assigned.clone()?;
            Some(Member { container, assigned })
        });
        found.collect()
    }

    /// Whether any container, running or not, is in a network.
    #[must_use]
    pub fn network_has_containers(&self, network: &Network) -> bool {
        let records = self.registry.all().into_iter().map(|entry| entry.record());
        records
            .flat_map(|record| record.networks.clone())
            .any(|(name, endpoint)| endpoint.network == network.id || name == network.name)
    }

    /// The name under which a container's network mode is known: `default` is the default network.
    pub(crate) fn network_of_mode(mode: &str) -> Option<&str> {
        match mode {
            "" | "default" | "bridge" => Some("bridge"),
            mode if donor(mode).is_some() => None,
            mode => Some(mode),
        }
    }

    pub(crate) fn tell_network(&self, network: &Network, action: &str, container: Option<&Container>) {
        let mut attributes: BTreeMap<String, String> =
            [("name".into(), network.name.clone()), ("type".into(), network.driver.word().into())].into();
        if let Some(container) = container {
            attributes.insert("container".into(), container.id.to_string());
        }
        self.tell(EventKind::Network, action, &network.id, attributes);
    }
}

fn not_found(network: &Network) -> Error {
    Error::not_found(format!("network {} not found", network.name))
}

/// A network that is always there, without addresses yet.
fn built_in(name: &str, driver: Driver) -> Network {
    Network {
        id: Digest::of(format!("dhow network {name}").as_bytes()).hex(),
        name: name.to_owned(),
        driver,
        created: Timestamp::NEVER,
        internal: false,
        attachable: false,
        ipv4: driver == Driver::Bridge,
        ipv6: false,
        pools: Vec::new(),
        ipam_options: None,
        options: BTreeMap::new(),
        labels: BTreeMap::new(),
        chosen: false,
        config_only: false,
        config_from: String::new(),
    }
}

/// Whether the kernel takes this for the name of a link.
fn is_link_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:".contains(&byte))
        && !matches!(name, "." | "..")
}

/// The networks that are always there, but for the default one, which has a record of its own.
fn without_record() -> impl Iterator<Item = Network> {
    BUILT_IN
        .into_iter()
        .filter(|(_, driver)| *driver != Driver::Bridge)
        .map(|(name, driver)| built_in(name, driver))
}
