//! A container is connected to a further network, or taken out of one, whether it runs or not.

use std::sync::{Arc, Mutex};

use dhow_model::container::donor;
use dhow_model::network::{Assigned, Driver, Endpoint, EndpointSettings, Network, Published};
use dhow_model::ports::{LinkPlan, NetworkSpace};
use dhow_model::{Container, Error, Kind, Result};

use super::assign::{Connection, link, ways};
use super::check::check_settings;
use super::configuration;
use super::join::in_order;
use crate::plan::files;
use crate::registry::lock;
use crate::{Engine, Entry};

/// Bytes of a container's /etc/hosts that are read.
const LONGEST_HOSTS: u64 = 1 << 20;

/// Held by who changes a container's /etc/hosts: of two at once one would lose what it wrote.
static HOSTS: Mutex<()> = Mutex::new(());

impl Engine {
    /// Connects a container to a network. It is on record before it is done: what an engine did not come to, the next
    /// one does.
    ///
    /// # Errors
    /// In Docker's words: it is in it already, or cannot be.
    pub fn connect_network(&self, network: &str, container: &str, settings: EndpointSettings) -> Result<()> {
        let entry = self.container(container)?;
        let mut network = self.complete_default(&self.network(network)?)?;
        let turn = entry.turn();
        let record = entry.record();
        if record.state.running().is_some() && network.driver == Driver::Bridge && !network.config_only {
            network = self.usable(&network.id)?;
        }
        configuration::check_joins(&network)?;
        check(&network, &record)?;
        check_settings(&network, &settings)?;
        let mut endpoint = Endpoint { network: network.id.clone(), settings, assigned: None };
        if record.state.running().is_some() {
            endpoint.assigned = Some(self.assign(&network, &endpoint.settings, &record.networks)?);
        }
        let connected = self.put_endpoint(&entry, &network, Some(endpoint.clone())).and_then(|record| {
            match &endpoint.assigned {
                Some(assigned) if record.state.running().is_some() => {
                    let connection = (assigned, &endpoint.settings);
                    self.connect_running(&entry, &network, connection)
                }
                _ => Ok(()),
            }
        });
        if let Err(error) = connected {
            self.undo_connect(&entry, &network, endpoint.assigned.as_ref());
            return Err(error);
        }
        self.rename_in_networks(&entry.record());
        drop(turn);
        self.tell_network(&network, "connect", Some(&record));
        Ok(())
    }

    /// Takes back as much as was done; what fails is told, and found by the next engine.
    fn undo_connect(&self, entry: &Entry, network: &Network, assigned: Option<&Assigned>) {
        // Its address is nobody else's before its link is gone.
        let unlinked = assigned.map_or(Ok(()), |assigned| self.unlink(assigned, Some(&entry.record())));
        if let Err(error) = unlinked {
            // It stays on record with what it has.
            return tracing::warn!(network = network.name, "undo a connection: {}", error.report());
        }
        if let Some(assigned) = assigned {
            self.leave_network(network, assigned);
            if let Err(error) = self.tell_hosts(&entry.record(), assigned, false) {
                tracing::warn!(network = network.name, "undo a connection: {}", error.report());
            }
        }
        match self.put_endpoint(entry, network, None) {
            Ok(record) => self.order_ways_again(&record),
            Err(error) => tracing::warn!(network = network.name, "undo a connection: {}", error.report()),
        }
        self.rename_in_networks(&entry.record());
    }

    /// After a link went, and its way with it.
    fn order_ways_again(&self, record: &Container) {
        if record.state.running().is_none() {
            return;
        }
        let ordered = self.space_of_running(record);
        if let Err(error) = ordered.and_then(|space| self.order_ways(record, &space)) {
            tracing::warn!(container = record.id.short(), "find another way out: {}", error.report());
        }
    }

    /// Takes a link away, of the network that a container is in.
    pub(super) fn unlink(&self, assigned: &Assigned, user: Option<&Container>) -> Result<()> {
        match user.filter(|user| user.state.running().is_some()) {
            _ if !assigned.host_interface.is_empty() => {
                self.ports.networks.disconnect(&assigned.host_interface)
            }
            Some(user) => {
                let space = self.space_of_running(user)?;
                self.ports.networks.disconnect_inside(&space, &assigned.interface)
            }
            None => Ok(()),
        }
    }

    /// The network of a container that runs, and not that of a process that got its number.
    pub(super) fn space_of_running(&self, record: &Container) -> Result<NetworkSpace> {
        let gone = || Error::conflict(format!("container {} is not running", record.id));
        let running = record.state.running().ok_or_else(gone)?;
        let space = self.ports.networks.space_of(running.pid)?;
        if self.ports.runtime.lives(&record.id, running.pid) { Ok(space) } else { Err(gone()) }
    }

    fn connect_running(&self, entry: &Entry, network: &Network, connection: Connection<'_>) -> Result<()> {
        let record = entry.record();
        let space = self.space_of_running(&record)?;
        self.connect_late(&record, network, &space, link(network, connection)?)?;
        self.tell_hosts(&record, connection.0, true)?;
        self.begin_names(&record, &space)?;
        self.move_ports(entry, &[])
    }

    /// Connects a container that runs, whose record has the network already: its ways out are put in order.
    pub(super) fn connect_late(
        &self,
        record: &Container,
        network: &Network,
        space: &NetworkSpace,
        link: LinkPlan,
    ) -> Result<()> {
        // A way would take the place of the one that there is.
        self.connect_space(network, space, &LinkPlan { ways: Vec::new(), ..link })?;
        self.order_ways(record, space)
    }

    /// Leads the ways out of a container that runs by the first of its networks that has one.
    fn order_ways(&self, record: &Container, space: &NetworkSpace) -> Result<()> {
        let order = in_order(&record.networks).into_iter().filter_map(|name| {
            let endpoint = record.networks.get(&name)?;
            let assigned = endpoint.assigned.as_ref()?;
            let network = self.network(&endpoint.network).ok()?;
            Some((assigned.interface.clone(), ways(&network, assigned)))
        });
        self.ports.networks.order_ways(space, &order.collect::<Vec<_>>())
    }

    /// Takes a container out of a network.
    ///
    /// # Errors
    /// In Docker's words: it is not in it.
    pub fn disconnect_network(&self, network: &str, container: &str, force: bool) -> Result<()> {
        let network = match self.network(network) {
            Err(error) if error.kind() == Kind::NotFound => {
                if !force {
                    // As Docker looks for them.
                    self.container(container)?;
                }
                return if self.forget_gone(network, container)? { Ok(()) } else { Err(error) };
            }
            found => found?,
        };
        let entry = match self.container(container) {
            Err(error) if force && error.kind() == Kind::NotFound => {
                return Err(Error::not_found(format!("endpoint {container} not found")));
            }
            found => found?,
        };
        let turn = entry.turn();
        let record = entry.record();
        if network.driver == Driver::Host {
            let words = "container cannot be disconnected from host network or connected to host network";
            return Err(Error::forbidden(words));
        }
        let Some(endpoint) = record.networks.get(&network.name) else {
            return Err(Error::forbidden(format!(
                "container {} is not connected to network {}",
                record.id, network.name
            )));
        };
        if let Some(assigned) = &endpoint.assigned {
            self.unlink(assigned, Some(&record))?;
            self.tell_hosts(&record, assigned, false)?;
        }
        let record = self.put_endpoint(&entry, &network, None)?;
        if let Some(assigned) = &endpoint.assigned {
            self.leave_network(&network, assigned);
        }
        self.order_ways_again(&record);
        let lost = endpoint.assigned.as_ref().map(|assigned| &assigned.published);
        let moved = lost.map_or(Ok(()), |lost| self.move_ports(&entry, lost));
        self.rename_in_networks(&entry.record());
        drop(turn);
        self.tell_network(&network, "disconnect", Some(&record));
        moved
    }

    /// A container that does not run is taken out of a network that was removed; whether it was in one of that name
    /// or id.
    fn forget_gone(&self, network: &str, container: &str) -> Result<bool> {
        let Ok(entry) = self.container(container) else { return Ok(false) };
        let _turn = entry.turn();
        let record = entry.record();
        let named = |(name, endpoint): &(&String, &Endpoint)| *name == network || endpoint.network == network;
        let found = record.networks.iter().find(named).map(|(name, _)| name.clone());
        let Some(name) = found.filter(|_| record.state.running().is_none()) else { return Ok(false) };
        entry.change(&self.ports, |record| drop(record.networks.remove(&name)))?;
        Ok(true)
    }

    fn put_endpoint(
        &self,
        entry: &Entry,
        network: &Network,
        endpoint: Option<Endpoint>,
    ) -> Result<Arc<Container>> {
        entry.change(&self.ports, |record| {
            match endpoint {
                Some(endpoint) => record.networks.insert(network.name.clone(), endpoint),
                None => record.networks.remove(&network.name),
            };
        })
    }

    /// Ports lead to the address by which the container reaches the world: that may be another one now. Those that
    /// it `lost` with a network are the host's same ports again.
    fn move_ports(&self, entry: &Entry, lost: &[Published]) -> Result<()> {
        let record = entry.record();
        let Some((name, network)) = self.way_out(&record.networks) else { return Ok(()) };
        let publishes =
            |endpoint: &Endpoint| endpoint.assigned.as_ref().is_some_and(|a| !a.published.is_empty());
        let before = record.networks.iter().find(|(_, endpoint)| publishes(endpoint));
        if before.is_some_and(|(before, _)| *before == name) {
            return Ok(());
        }
        let before = match before {
            Some((_, Endpoint { network, assigned: Some(assigned), .. })) => {
                Some((self.network(network)?, assigned))
            }
            _ => None,
        };
        let mut endpoints = record.networks.clone();
        endpoints.values_mut().filter_map(|e| e.assigned.as_mut()).for_each(|a| a.published.clear());
        if let Some((network, assigned)) = &before {
            self.unpublish_ports(network, assigned);
        }
        if let Some(assigned) = endpoints.get_mut(&name).and_then(|endpoint| endpoint.assigned.as_mut()) {
            assigned.published = before.as_ref().map_or(lost, |(_, before)| &before.published).to_vec();
            if let Err(error) = self.publish_ports(&record, &network, assigned) {
                before.map_or(Ok(()), |(network, before)| self.publish_again(&network, before))?;
                return Err(error);
            }
        }
        let now = endpoints.get(&name).and_then(|endpoint| endpoint.assigned.clone());
        let changed = entry.change(&self.ports, |record| record.networks = endpoints);
        if changed.is_err() {
            now.iter().for_each(|now| self.unpublish_ports(&network, now));
            before.map_or(Ok(()), |(network, before)| self.publish_again(&network, before))?;
        }
        changed.map(drop)
    }

    /// A container's names for itself, as far as its networks change while it runs.
    pub(super) fn tell_hosts(&self, record: &Container, assigned: &Assigned, here: bool) -> Result<()> {
        let names = files::own_names(record, &self.ports.host.facts().name);
        let lines: Vec<String> =
            assigned.addresses().map(|address| files::host_line(address, &names)).collect();
        self.change_hosts(record, if here { &lines } else { &[] }, |line| lines.iter().any(|own| own == line))
    }

    /// Writes lines into a container's /etc/hosts in place of some that are there.
    pub(super) fn change_hosts(
        &self,
        record: &Container,
        lines: &[String],
        goes: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let file = self.ports.snapshots.directory(&record.id).join("hosts");
        let _alone = lock(&HOSTS);
        let read = self.ports.host.read_file(&file, LONGEST_HOSTS)?.unwrap_or_default();
        let before = String::from_utf8_lossy(&read);
        let is_there = |own: &String| before.split_inclusive('\n').any(|line| line == own);
        let stay = |line: &&str| !goes(line) || lines.iter().any(|own| own == line);
        let mut after: String = before.split_inclusive('\n').filter(stay).collect();
        after.extend(lines.iter().filter(|own| !is_there(own)).map(String::as_str));
        if after == before { Ok(()) } else { self.ports.host.write_file(&file, after.as_bytes()) }
    }
}

fn check(network: &Network, record: &Container) -> Result<()> {
    let mode = record.host_config.network_mode.as_str();
    if network.driver == Driver::Host || mode == "host" {
        let words = "container cannot be disconnected from host network or connected to host network";
        return Err(Error::forbidden(words));
    }
    if donor(mode).is_some() {
        let words = "container sharing network namespace with another container or host cannot be connected to any other network";
        return Err(Error::forbidden(words));
    }
    if network.driver == Driver::Null || mode == "none" {
        let words = "container cannot be connected to multiple networks with one of the networks in private (none) mode";
        return Err(Error::forbidden(words));
    }
    if record.networks.contains_key(&network.name) {
        return Err(Error::forbidden(format!(
            "endpoint with name {} already exists in network {}",
            record.name, network.name
        )));
    }
    Ok(())
}
