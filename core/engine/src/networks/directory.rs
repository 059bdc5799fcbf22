//! Who has which name in which network: what the server of names answers from.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{PoisonError, RwLock};

use dhow_model::network::{Assigned, Endpoint, Network};
use dhow_model::ports::{Addresses, Names, Upstreams};
use dhow_model::{Container, ContainerId};

/// The names in all networks that have names. The engine writes them, the server reads them.
#[derive(Debug, Default)]
pub struct Directory {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    networks: HashMap<String, Holders>,
    containers: HashMap<ContainerId, Guest>,
}

/// The names in one network, in lower case.
#[derive(Debug, Default)]
struct Holders {
    /// By container, so that what one had goes when it goes.
    addresses: HashMap<String, BTreeMap<ContainerId, Vec<IpAddr>>>,
    holders: HashMap<IpAddr, String>,
}

/// One container that asks.
#[derive(Debug, Default)]
struct Guest {
    /// Its networks by id, that of its default route first, with their names.
    networks: Vec<(String, String)>,
    /// Names of its own for others: alias, network, name there.
    links: Vec<(String, String, String)>,
    /// What it entered: network, name.
    entered: Vec<(String, String)>,
    upstreams: Upstreams,
}

/// One place of a container: the network, what it has there, and what it asked for.
pub(crate) type Place<'a> = (&'a Network, &'a Assigned, &'a Endpoint);

impl Directory {
    /// Enters a container with its places, in place of whatever was known of it.
    pub(crate) fn put(&self, container: &Container, places: &[Place<'_>], upstreams: Upstreams) {
        self.inner.write().unwrap_or_else(PoisonError::into_inner).put(container, places, upstreams);
    }

    /// Forgets a container.
    pub(crate) fn remove(&self, container: &ContainerId) {
        self.inner.write().unwrap_or_else(PoisonError::into_inner).remove(container);
    }

    fn read<T>(&self, look: impl FnOnce(&Inner) -> T) -> T {
        look(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Names for Directory {
    fn addresses(&self, asker: &ContainerId, name: &str) -> Addresses {
        let Some(found) = self.read(|inner| inner.addresses(asker, name)) else { return Addresses::Unknown };
        let (mut four, mut six): (Vec<Ipv4Addr>, Vec<Ipv6Addr>) = Default::default();
        for address in found {
            match address {
                IpAddr::V4(address) => four.push(address),
                IpAddr::V6(address) => six.push(address),
            }
        }
        Addresses::Known(four, six)
    }

    fn name(&self, asker: &ContainerId, address: IpAddr) -> Option<String> {
        self.read(|inner| inner.name(asker, address).map(str::to_owned))
    }

    fn upstreams(&self, asker: &ContainerId) -> Upstreams {
        self.read(|inner| inner.containers.get(asker).map(|guest| guest.upstreams.clone()))
            .unwrap_or_default()
    }
}

impl Inner {
    fn put(&mut self, container: &Container, places: &[Place<'_>], upstreams: Upstreams) {
        self.remove(&container.id);
        let mut guest = Guest { upstreams, ..Guest::default() };
        for (network, assigned, endpoint) in places.iter().filter(|(network, ..)| network.has_names()) {
            guest.networks.push((network.id.clone(), network.name.to_lowercase()));
            guest.links.extend(links(network, endpoint));
            let names = self.networks.entry(network.id.clone()).or_default();
            let addresses: Vec<IpAddr> = assigned.addresses().collect();
            for address in &addresses {
                names.holders.insert(*address, format!("{}.{}", container.name, network.name));
            }
            for name in container.names_in(endpoint).iter().map(|name| name.to_lowercase()) {
                let all = names.addresses.entry(name.clone()).or_default();
                all.insert(container.id.clone(), addresses.clone());
                guest.entered.push((network.id.clone(), name));
            }
        }
        self.containers.insert(container.id.clone(), guest);
    }

    fn remove(&mut self, container: &ContainerId) {
        let Some(guest) = self.containers.remove(container) else { return };
        for (network, name) in guest.entered {
            let Some(names) = self.networks.get_mut(&network) else { continue };
            let Some(all) = names.addresses.get_mut(&name) else { continue };
            for address in all.remove(container).unwrap_or_default() {
                names.holders.remove(&address);
            }
            if all.is_empty() {
                names.addresses.remove(&name);
            }
            if names.addresses.is_empty() {
                self.networks.remove(&network);
            }
        }
    }

    /// The addresses that a name, in lower case, stands for in the networks of a container; none where nobody has it.
    fn addresses(&self, asker: &ContainerId, name: &str) -> Option<Vec<IpAddr>> {
        let guest = self.containers.get(asker)?;
        let linked = guest.links.iter().find(|(alias, ..)| alias == name);
        if let Some((_, network, name)) = linked {
            return self.in_network(network, name);
        }
        guest.networks.iter().find_map(|(network, _)| self.in_network(network, name)).or_else(|| {
            // A name may say its network: `web.app`.
            guest.networks.iter().find_map(|(id, network)| {
                self.in_network(id, name.strip_suffix(network.as_str())?.strip_suffix('.')?)
            })
        })
    }

    fn in_network(&self, network: &str, name: &str) -> Option<Vec<IpAddr>> {
        let all = self.networks.get(network)?.addresses.get(name)?;
        Some(all.values().flatten().copied().collect())
    }

    /// The name, with its network, of who has an address in the networks of a container.
    fn name(&self, asker: &ContainerId, address: IpAddr) -> Option<&str> {
        let networks = &self.containers.get(asker)?.networks;
        networks.iter().find_map(|(id, _)| Some(self.networks.get(id)?.holders.get(&address)?.as_str()))
    }
}

/// Names of others that a container chose: `other:alias`.
fn links(network: &Network, endpoint: &Endpoint) -> Vec<(String, String, String)> {
    let one = |link: &String| {
        let (other, alias) = link.split_once(':').unwrap_or((link, link));
        (alias.to_lowercase(), network.id.clone(), other.to_lowercase())
    };
    endpoint.settings.links.iter().flatten().map(one).collect()
}
