//! A network goes: nobody may be in it.

use std::sync::Arc;

use dhow_model::event::EventKind;
use dhow_model::network::Network;
use dhow_model::{Error, Kind, Result};

use crate::Engine;
use crate::registry::lock;

/// What `prune` removed: names.
pub type PrunedNetworks = Vec<String>;

impl Engine {
    /// Removes a network that no running container is in.
    ///
    /// # Errors
    /// In Docker's words: it is always there, or in use.
    pub fn remove_network(&self, text: &str) -> Result<()> {
        let network = self.network(text)?;
        if network.is_built_in() {
            let words = format!("{} is a pre-defined network and cannot be removed", network.name);
            return Err(Error::forbidden(words));
        }
        lock(&self.networks).check_unused_configuration(&network)?;
        let members = self.network_members(&network);
        if !members.is_empty() {
            let names = members.iter().map(|member| {
                format!("name:\"{}\" id:\"{}\"", member.container.name, short(&member.assigned.id))
            });
            return Err(in_use(&network, &names.collect::<Vec<_>>()));
        }
        self.forget_network(&network)
    }

    /// Nobody gets a place in it any more, and then it goes. A parent that others hang on stays.
    ///
    /// # Errors
    /// In Docker's words: somebody has a place in it.
    pub(super) fn forget_network(&self, network: &Arc<Network>) -> Result<()> {
        let shared = {
            let mut known = lock(&self.networks);
            known.take_out(network)?;
            known.shares_parent(network)
        };
        if let Err(error) = self.ports.records.delete_network(&network.id) {
            lock(&self.networks).networks.insert(network.id.clone(), Arc::clone(network));
            return Err(error);
        }
        if !shared && network.driver.has_links() {
            self.ports.networks.take_down(network)?;
        }
        self.tell_network(network, "destroy", None);
        Ok(())
    }

    /// Removes all networks that no container is in, running or not, and that `chosen` says yes to.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn prune_networks(&self, chosen: impl Fn(&Network) -> bool) -> Result<PrunedNetworks> {
        let mut gone = Vec::new();
        for network in self.networks() {
            let kept = network.is_built_in() || network.config_only;
            if kept || self.network_has_containers(&network) || !chosen(&network) {
                continue;
            }
            match self.forget_network(&network) {
                // Somebody came into it meanwhile.
                Err(error) if error.kind() == Kind::Forbidden => {}
                done => done.map(|()| gone.push(network.name.clone()))?,
            }
        }
        let more = [("reclaimed".to_owned(), "0".to_owned())].into();
        self.tell(EventKind::Network, "prune", "", more);
        Ok(gone)
    }
}

/// Whose places those are, by name and id where they are known.
pub(super) fn in_use(network: &Network, places: &[String]) -> Error {
    Error::forbidden(format!(
        "error while removing network: network {} has active endpoints ({})",
        network.name,
        places.join(", ")
    ))
}

pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
