//! What containers have that an earlier engine connected, and the rules for all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use dhow_model::network::{Driver, Endpoint, Network};
use dhow_model::ports::ShouldBe;
use dhow_model::{Container, Result};

use super::assign::link;
use super::publish::publication;
use crate::Engine;
use crate::registry::lock;

impl Engine {
    /// Finds what running containers have, says all of it to the host once, and connects anew what an earlier engine
    /// did not come to.
    pub(crate) fn restore_networks(self: &Arc<Self>) -> Result<()> {
        let running = self.registry.all().into_iter().map(|entry| entry.record());
        let running: Vec<Arc<Container>> =
            running.filter(|record| record.state.running().is_some()).collect();
        let mut should_be = ShouldBe { known: self.known_networks(), ..ShouldBe::default() };
        let mut used: BTreeMap<String, Arc<Network>> = BTreeMap::new();
        for endpoint in running.iter().flat_map(|record| record.networks.values()) {
            let (Some(assigned), Ok(network)) = (&endpoint.assigned, self.network(&endpoint.network)) else {
                continue;
            };
            if network.driver.has_links() {
                lock(&self.networks).hold(&network.id, assigned);
            }
            if network.driver != Driver::Bridge {
                continue;
            }
            if !assigned.published.is_empty() {
                should_be.published.push(publication(&network, assigned));
            }
            should_be.interfaces.push(assigned.host_interface.clone());
            used.insert(network.id.clone(), network);
        }
        running.iter().filter_map(|record| self.donor_of(record)).for_each(|donor| donor.share_network());
        should_be.used = used.values().map(|network| (**network).clone()).collect();
        let missing = self.ports.networks.restore(&should_be)?;
        lock(&self.networks).ready = used.into_keys().collect();
        for network in &should_be.used {
            let attached = self.attach_members(network);
            tell(&network.name, attached);
        }
        for record in &running {
            let connected = self.connect_missing(record, &missing);
            tell(record.id.short(), connected.and_then(|()| self.tell_all_hosts(record)));
        }
        self.serve_names_again(&running);
        Ok(())
    }

    /// What an earlier engine was cut off from writing.
    fn tell_all_hosts(&self, record: &Container) -> Result<()> {
        let mut assigned = record.networks.values().filter_map(|endpoint| endpoint.assigned.as_ref());
        assigned.try_for_each(|assigned| self.tell_hosts(record, assigned, true))
    }

    fn known_networks(&self) -> Vec<Network> {
        self.networks().iter().map(|network| (**network).clone()).collect()
    }

    fn connect_missing(&self, record: &Container, missing: &[String]) -> Result<()> {
        if record.state.running().is_none() {
            return Ok(());
        }
        for endpoint in record.networks.values() {
            let Endpoint { network, assigned: Some(assigned), settings } = endpoint else { continue };
            let network = self.network(network)?;
            let direct = network.direct()?.is_some();
            if !direct && !missing.contains(&assigned.host_interface) {
                continue;
            }
            let space = self.space_of_running(record)?;
            // The host does not see the links that hang on its own.
            if !direct || !self.ports.networks.has_link(&space, &assigned.interface)? {
                let link = link(&network, (assigned, settings))?;
                self.connect_late(record, &network, &space, link)?;
            }
        }
        Ok(())
    }
}

/// What is wrong with one does not keep the others from being found again.
fn tell(what: &str, done: Result<()>) {
    if let Err(error) = done {
        tracing::error!("find the networks of {what} again: {}", error.report());
    }
}
