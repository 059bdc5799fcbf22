//! A container that is started is connected to its networks; when it has ended, that is taken back.

use std::collections::BTreeMap;
use std::sync::Arc;

use dhow_model::network::{Assigned, Driver, Endpoint, Network};
use dhow_model::ports::{LinkPlan, NetworkSpace, UserSpace, Way};
use dhow_model::{Container, Kind, Result};

use super::assign::link;
use super::check::check_settings;
use super::{configuration, not_found};
use crate::registry::lock;
use crate::{Engine, Entry};

/// So often other addresses are chosen when another engine of the host was quicker.
const CHOICES: usize = 8;

/// A container's connections: the space, and what it has in each network.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    /// The space; none where it has no network of its own.
    pub(crate) space: Option<NetworkSpace>,
    /// Our own server answers its questions for names.
    pub(crate) names: bool,
    /// By the network's name.
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
}

impl Engine {
    /// Makes the space of a container and connects it. All or nothing.
    ///
    /// # Errors
    /// In Docker's words: a network that is not there, an address or a port that is taken.
    pub(crate) fn join_networks(&self, record: &Container, user: Option<&UserSpace>) -> Result<Joined> {
        let mut joined = Joined { endpoints: record.networks.clone(), ..Joined::default() };
        // What it had when it ran last may be another's by now.
        joined.endpoints.values_mut().for_each(|endpoint| endpoint.assigned = None);
        match self.join_all(record, &mut joined, user) {
            Ok(()) => Ok(joined),
            Err(error) => {
                self.leave_networks(record, &joined.endpoints);
                Err(error)
            }
        }
    }

    fn join_all(&self, record: &Container, joined: &mut Joined, user: Option<&UserSpace>) -> Result<()> {
        let names = self.needs_names(record, &joined.endpoints)?;
        // One way out of each version, as with Docker: by the first network that has one.
        let mut ways = Vec::new();
        // Who is in the default network of an engine that has none (`--bridge none`) has its loopback, as with Docker.
        let absent = self.settings().default_network.absent.then_some("bridge");
        for name in in_order(&joined.endpoints).into_iter().filter(|name| Some(name.as_str()) != absent) {
            let network = self.usable(&name)?;
            configuration::check_joins(&network)?;
            let Some(Endpoint { settings, .. }) = joined.endpoints.get(&name) else { continue };
            check_settings(&network, settings)?;
            let assigned = self.assign(&network, settings, &joined.endpoints)?;
            let Some(endpoint) = joined.endpoints.get_mut(&name) else { continue };
            endpoint.network.clone_from(&network.id);
            let assigned = endpoint.assigned.insert(assigned);
            if network.driver.has_links() {
                let space = match &joined.space {
                    Some(space) => space.clone(),
                    None => joined.space.insert(self.new_space(user, network.driver, names)?).clone(),
                };
                if let Some(end) = space.spare_end() {
                    // It was made before anybody wanted it, and is not renamed.
                    assigned.host_interface = end;
                }
                let connection = (&*assigned, &endpoint.settings);
                let mut plan = link(&network, connection)?;
                plan.ways.retain(|way| !ways.contains(&way.is_six()));
                ways.extend(plan.ways.iter().map(Way::is_six));
                self.connect_space(&network, &space, &plan)?;
            }
            self.tell_network(&network, "connect", Some(record));
        }
        if let Some(space) = &joined.space {
            joined.names = names;
            if names {
                self.serve_names(record, &joined.endpoints, space)?;
            }
        }
        if let Some((name, network)) = self.way_out(&joined.endpoints)
            && let Some(assigned) = joined.endpoints.get_mut(&name).and_then(|e| e.assigned.as_mut())
        {
            self.publish_ports(record, &network, assigned)?;
        }
        Ok(())
    }

    fn new_space(&self, user: Option<&UserSpace>, driver: Driver, names: bool) -> Result<NetworkSpace> {
        match user {
            Some(user) => self.ports.networks.space_in(user),
            None => self.ports.networks.space(driver, names),
        }
    }

    /// The network by which ports lead to a container: the first of those by which it reaches the world. On links of the
    /// host itself there are none, as with Docker: there the container has an address that everybody reaches.
    pub(super) fn way_out(&self, endpoints: &BTreeMap<String, Endpoint>) -> Option<(String, Arc<Network>)> {
        let networks = in_order(endpoints).into_iter().filter_map(|name| {
            let network = self.network(&name).ok()?;
            Some((name, network))
        });
        let mut ways = networks.filter(|(_, network)| network.leads_out());
        ways.next().filter(|(_, network)| network.driver == Driver::Bridge)
    }

    /// Connects a space; a bridge that somebody removed is made again, and all that was on it is put there.
    pub(super) fn connect_space(
        &self,
        network: &Network,
        space: &NetworkSpace,
        plan: &LinkPlan,
    ) -> Result<()> {
        self.make_ready(network)?;
        let Err(error) = self.ports.networks.connect(space, plan) else { return Ok(()) };
        lock(&self.networks).ready.remove(&network.id);
        self.make_ready(network)?;
        self.attach_members(network)?;
        self.ports.networks.connect(space, plan).map_err(|_| error)
    }

    pub(super) fn attach_members(&self, network: &Network) -> Result<()> {
        if network.driver != Driver::Bridge {
            return Ok(());
        }
        let members = self.network_members(network).into_iter();
        let interfaces: Vec<String> = members.map(|member| member.assigned.host_interface).collect();
        self.ports.networks.attach(network, &interfaces)
    }

    /// A network with addresses that nobody else has, and its bridge.
    pub(super) fn usable(&self, name: &str) -> Result<Arc<Network>> {
        let mut network = self.complete_default(&self.network(name)?)?;
        for _ in 0..CHOICES {
            match self.make_ready(&network) {
                Err(error) if error.kind() == Kind::Conflict && self.may_choose_again(&network) => {
                    tracing::warn!(network = network.name, "other addresses are chosen: {}", error.report());
                    network = self.choose_again(&network)?;
                }
                made => return made.map(|()| network),
            }
        }
        Ok(network)
    }

    fn may_choose_again(&self, network: &Network) -> bool {
        network.chosen && self.network_members(network).is_empty()
    }

    /// Makes a network's bridge or parent, unless this engine did so already.
    pub(super) fn make_ready(&self, network: &Network) -> Result<()> {
        if lock(&self.networks).ready.contains(&network.id) {
            return Ok(());
        }
        self.ports.networks.set_up(network)?;
        if lock(&self.networks).note_ready(network) {
            return Ok(());
        }
        // Somebody removed it meanwhile.
        self.ports.networks.take_down(network)?;
        Err(not_found(network))
    }

    /// Takes back what a container had; what fails is logged, and found again by the next engine. Its links go
    /// with its namespace, unless another container is in it: then they go first, for their addresses will be others'.
    pub(crate) fn leave_networks(&self, record: &Container, endpoints: &BTreeMap<String, Endpoint>) {
        self.stop_names(record);
        let shared = self.container(record.id.as_str()).is_ok_and(|entry| entry.shares_network());
        let guest = shared.then(|| self.guest_of(record)).flatten();
        for endpoint in endpoints.values() {
            let (Some(assigned), Ok(network)) = (&endpoint.assigned, self.network(&endpoint.network)) else {
                continue;
            };
            if shared && let Err(error) = self.unlink(assigned, guest.as_deref()) {
                tracing::warn!(network = network.name, "disconnect: {}", error.report());
            }
            self.leave_network(&network, assigned);
            self.tell_network(&network, "disconnect", Some(record));
        }
    }

    /// A running container that is in the network of this one.
    fn guest_of(&self, record: &Container) -> Option<Arc<Container>> {
        let running = |entry: Arc<Entry>| {
            let other = entry.record();
            other.state.running()?;
            self.donor_of(&other).filter(|donor| donor.record().id == record.id).map(|_| other)
        };
        self.registry.all().into_iter().find_map(running)
    }

    /// The container whose network another one is in.
    pub(super) fn donor_of(&self, record: &Container) -> Option<Arc<Entry>> {
        self.container(record.host_config.network_donor()?).ok()
    }

    pub(super) fn leave_network(&self, network: &Network, assigned: &Assigned) {
        self.unpublish_ports(network, assigned);
        lock(&self.networks).give_back(&network.id, assigned);
    }
}

/// The network with the default route comes first: of the highest priority, then by name.
pub(super) fn in_order(endpoints: &BTreeMap<String, Endpoint>) -> Vec<String> {
    let mut names: Vec<String> = endpoints.keys().cloned().collect();
    names.sort_by_key(|name| std::cmp::Reverse(endpoints.get(name).map_or(0, |e| e.settings.gw_priority)));
    names
}
