//! The engine's firewall: opened when the first network needs it, with the engine's networks and ports as its rules.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dhow_model::network::{Network, Published};
use dhow_model::ports::Publication;

use super::bridges::Loopback;
use super::forwarding::Forwarding;
use crate::firewall::{
    self, Access, Face, Firewall, Gate, Keeper, Neighbours, Ownership, Policy, Port, Protocol, Reach, Rules,
    Source, Strangers,
};
use crate::link::Address;
use crate::sandbox::Sandbox;

/// What the host's own rules say of packets to published ports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PublishPolicy {
    /// Nothing: what is published is open, as with Docker.
    #[default]
    Open,
    /// What they say of a program of the host that listens there.
    HostRules,
}

/// What the engine may do to the host, and what it leaves alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPolicy {
    /// What the host's own rules say of published ports.
    pub publishing: PublishPolicy,
    /// Rules are made; without, nothing keeps networks apart, hides their addresses or publishes ports.
    pub rules: bool,
    /// The host is made a router.
    pub forwarding: bool,
    /// A host that was none before routes for others, too.
    pub forwards_strangers: bool,
    /// What is published is reached by the containers' own addresses as well.
    pub direct_routing: bool,
}

impl Default for HostPolicy {
    fn default() -> Self {
        Self {
            publishing: PublishPolicy::default(),
            rules: true,
            forwarding: true,
            forwards_strangers: false,
            direct_routing: false,
        }
    }
}

/// A table of rules, and who keeps it.
#[derive(Debug)]
pub(super) struct Guard {
    name: String,
    policy: HostPolicy,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    firewall: Arc<Mutex<Firewall>>,
    /// Puts the table back when somebody removes it.
    _keeper: Keeper,
}

impl Guard {
    /// For a table of this name. Nothing is touched before a network is added.
    pub(super) const fn new(name: String, policy: HostPolicy) -> Self {
        Self { name, policy, open: Mutex::new(None) }
    }

    /// The name of the table.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Removes what an engine left that made rules, when this one is to make none.
    pub(super) fn clear_unwanted(&self) {
        if self.policy.rules {
            return;
        }
        let removed = Firewall::open(&self.name, Ownership::Exclusive).and_then(Firewall::remove);
        if let Err(error) = removed {
            tracing::warn!("remove rules of an earlier engine: {error}");
        }
    }

    /// Puts rules for these networks, their `annexes` (beside the bridges that they belong to) and ports in place of
    /// what an earlier engine left.
    pub(super) fn replace(
        &self,
        networks: &[Network],
        annexes: &[(String, String)],
        published: &[Publication],
        forwarding: &Forwarding,
    ) -> io::Result<()> {
        if !self.policy.rules {
            return Ok(());
        }
        let mut rules = Rules {
            networks: networks.iter().map(rules_of).collect::<io::Result<_>>()?,
            ports: published.iter().map(ports_of).collect::<io::Result<Vec<_>>>()?.concat(),
            policy: self.policy(forwarding)?,
        };
        let annex = |(first, annex): &(String, String)| Some(annex_of(rules.network(first)?, annex));
        let annexes: Vec<_> = annexes.iter().filter_map(annex).collect();
        rules.networks.extend(annexes);
        let mut open = lock(&self.open);
        match &*open {
            Some(open) => lock(&open.firewall).replace(rules),
            None => {
                *open = Some(self.start(rules)?);
                Ok(())
            }
        }
    }

    /// Adds a network, unless it is there.
    pub(super) fn add(&self, network: &Network, forwarding: &Forwarding) -> io::Result<()> {
        if !self.policy.rules {
            return Ok(());
        }
        let mut open = lock(&self.open);
        let open = match &mut *open {
            Some(open) => open,
            none => none.insert(self.start(Rules { policy: self.policy(forwarding)?, ..Rules::default() })?),
        };
        let mut firewall = lock(&open.firewall);
        match firewall.rules().network(&network.bridge()) {
            Some(_) => Ok(()),
            None => firewall.add_network(rules_of(network)?),
        }
    }

    /// Adds a further bridge of a network, unless it is there.
    pub(super) fn add_annex(&self, first: &str, annex: &str) -> io::Result<()> {
        self.with(|firewall| match (firewall.rules().network(annex), firewall.rules().network(first)) {
            (None, Some(network)) => {
                let annex = annex_of(network, annex);
                firewall.add_network(annex)
            }
            _ => Ok(()),
        })
    }

    /// Before the host is made a router of version 6, which it was not.
    pub(super) fn drop_strangers6(&self) -> io::Result<()> {
        if !self.policy.forwarding || self.policy.forwards_strangers {
            return Ok(());
        }
        self.with(|firewall| {
            let mut rules = firewall.rules().clone();
            if rules.policy.strangers6 == Strangers::Drop {
                return Ok(());
            }
            rules.policy.strangers6 = Strangers::Drop;
            firewall.replace(rules)
        })
    }

    /// Removes a network; it is no error when it is not there.
    pub(super) fn remove(&self, bridge: &str) -> io::Result<()> {
        self.with(|firewall| match firewall.rules().network(bridge) {
            Some(_) => firewall.remove_network(bridge),
            None => Ok(()),
        })
    }

    /// Publishes ports.
    pub(super) fn publish(&self, publication: &Publication) -> io::Result<()> {
        let ports = ports_of(publication)?;
        if !(self.policy.rules || ports.is_empty()) {
            return Err(wrong("this engine makes no firewall rules (iptables is false)".to_owned()));
        }
        self.with(|firewall| firewall.publish(&[], &ports))
    }

    /// Takes them back; those that are not there are no error.
    pub(super) fn unpublish(&self, publication: &Publication) -> io::Result<()> {
        let mut ports = ports_of(publication)?;
        self.with(|firewall| {
            ports.retain(|port| firewall.rules().ports.contains(port));
            firewall.publish(&ports, &[])
        })
    }

    /// The versions of which ports of containers on a bridge are published on addresses of the loopback, too.
    pub(super) fn opens(&self, bridge: &str) -> Loopback {
        let mut opens = Loopback::default();
        if let Some(open) = &*lock(&self.open) {
            let firewall = lock(&open.firewall);
            let ports = firewall.rules().ports.iter().filter(|port| port.bridge == bridge);
            for port in ports.filter(|port| port.host.is_none_or(|host| host.is_loopback())) {
                opens.four |= port.container.is_ipv4();
                opens.six |= port.container.is_ipv6();
            }
        }
        opens
    }

    /// A host that was no router before is none for others now.
    fn policy(&self, forwarding: &Forwarding) -> io::Result<Policy> {
        let ours = self.policy.forwarding && !self.policy.forwards_strangers;
        let strangers = |was_off| if ours && was_off { Strangers::Drop } else { Strangers::Pass };
        let (strangers4, strangers6) = (strangers(forwarding.was_off()?), strangers(forwarding.was_off6()?));
        let (mut host, gate) = (Sandbox::at("/proc/thread-self/ns/net".into())?, gate(&self.name));
        let gate = match self.policy.publishing {
            PublishPolicy::HostRules => Some(Gate::open(&mut host, &gate)?),
            PublishPolicy::Open => {
                Gate::close(&mut host, &gate)?;
                None
            }
        };
        Ok(Policy { strangers4, strangers6, gate, direct: self.policy.direct_routing })
    }

    fn start(&self, rules: Rules) -> io::Result<Open> {
        let mut firewall = Firewall::open(&self.name, Ownership::Exclusive)?;
        firewall.replace(rules)?;
        for chain in self.obstacles() {
            tracing::warn!(
                "the chain {chain} of the host's firewall drops what is routed: it must let containers pass"
            );
        }
        let firewall = Arc::new(Mutex::new(firewall));
        Ok(Open { _keeper: Keeper::start(Arc::clone(&firewall))?, firewall })
    }

    /// Chains of the host's own firewall that drop what is routed.
    pub(super) fn obstacles(&self) -> Vec<String> {
        if self.policy.rules { Firewall::obstacles(&self.name).unwrap_or_default() } else { Vec::new() }
    }

    fn with(&self, deed: impl FnOnce(&mut Firewall) -> io::Result<()>) -> io::Result<()> {
        match &*lock(&self.open) {
            Some(open) => deed(&mut lock(&open.firewall)),
            None => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the links of a gate are named after; there is little room.
fn gate(table: &str) -> String {
    if table == "dhow" {
        return table.to_owned();
    }
    // FNV-1a: no more is asked than that engines of one host differ.
    let hash =
        table.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("dh{hash:08x}")
}

/// A further bridge, which is met only where the host filters what bridges switch.
fn annex_of(network: &firewall::Network, annex: &str) -> firewall::Network {
    firewall::Network { bridge: annex.to_owned(), subnets: Vec::new(), annex: true, ..network.clone() }
}

fn rules_of(network: &Network) -> io::Result<firewall::Network> {
    let talk = network.members_talk();
    let trusted = network.options.get("com.docker.network.bridge.trusted_host_interfaces");
    let trusted = trusted.iter().flat_map(|names| names.split(':')).filter(|name| !name.is_empty());
    Ok(firewall::Network {
        bridge: network.bridge(),
        subnets: network
            .pools
            .iter()
            .map(|pool| Address { address: pool.subnet.address, prefix: pool.subnet.length })
            .collect(),
        reach: if network.internal { Reach::Internal } else { Reach::Outside },
        neighbours: if talk { Neighbours::Talk } else { Neighbours::Apart },
        four: face(network, "ipv4")?,
        six: face(network, "ipv6")?,
        trusted: trusted.map(str::to_owned).collect(),
        annex: false,
    })
}

/// What the options say of a version, `ipv4` or `ipv6`.
fn face(network: &Network, version: &str) -> io::Result<Face> {
    let option = |name: &str| network.options.get(&format!("com.docker.network.{name}_{version}"));
    let access = match option("bridge.gateway_mode").map(String::as_str) {
        Some("routed") => Access::Published,
        Some("nat-unprotected") => Access::Open,
        _ => Access::Closed,
    };
    let hidden = network.flag("com.docker.network.bridge.enable_ip_masquerade", true);
    let source = match option("host") {
        _ if !hidden || access == Access::Published => Source::Kept,
        None => Source::Masquerade,
        Some(address) => {
            Source::Given(address.parse().map_err(|_| wrong(format!("{address:?} is no address")))?)
        }
    };
    Ok(Face { source, access })
}

fn ports_of(publication: &Publication) -> io::Result<Vec<Port>> {
    publication.ports.iter().map(|port| port_of(publication, port)).collect()
}

fn port_of(publication: &Publication, published: &Published) -> io::Result<Port> {
    let container = if published.host.is_ipv4() { publication.ipv4 } else { publication.ipv6 };
    let container: IpAddr = container
        .ok_or_else(|| wrong(format!("the container has no address of the version of {}", published.host)))?;
    Ok(Port {
        protocol: match published.protocol.as_str() {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            other => return Err(wrong(format!("{other:?} is no protocol that has ports"))),
        },
        host: (!published.host.is_unspecified()).then_some(published.host),
        first: published.host_port,
        count: published.count,
        container,
        inside: published.port,
        bridge: publication.bridge.clone(),
    })
}

fn wrong(sentence: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, sentence)
}
