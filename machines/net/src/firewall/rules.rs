//! What the firewall is to do, as values: networks and published ports.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::gate::Gate;
use crate::link::Address;

/// The longest name of a link, without its zero byte (`IFNAMSIZ`).
const LONGEST_NAME: usize = 15;

/// All that one engine wants of the firewall.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Its networks.
    pub networks: Vec<Network>,
    /// Ports of containers that can be reached by addresses of the host.
    pub ports: Vec<Port>,
    /// What goes for all.
    pub policy: Policy,
}

/// What goes for all networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// What is routed between interfaces that are not ours, of version 4.
    pub strangers4: Strangers,
    /// And of version 6.
    pub strangers6: Strangers,
    /// With a gate, published ports also obey what the host's own rules say of packets that come in.
    pub gate: Option<Gate>,
    /// What is published is reached by the containers' addresses as well, in all networks.
    pub direct: bool,
}

/// Packets that the host routes, and that neither come from nor go to a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strangers {
    /// None of our business.
    #[default]
    Pass,
    /// Dropped: the host was no router before the engine switched forwarding on, and is none now.
    Drop,
}

/// A bridge with containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Name of the bridge.
    pub bridge: String,
    /// Its subnets: one address of each, and the bits of the prefix.
    pub subnets: Vec<Address>,
    /// How far its containers come.
    pub reach: Reach,
    /// Whether its containers reach each other.
    pub neighbours: Neighbours,
    /// How its containers and the world meet by version 4.
    pub four: Face,
    /// How they meet by version 6.
    pub six: Face,
    /// Links of the host by which what is published is reached by the containers' addresses as well.
    pub trusted: Vec<String>,
    /// It is a further bridge of a network: that network's rules see what it switches, and nothing else counts here.
    pub annex: bool,
}

/// How the containers of a network and the world meet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Face {
    /// What the world sees as the source of its containers' packets.
    pub source: Source,
    /// Whether its containers are reached by their own addresses.
    pub access: Access,
}

/// How containers are reached from elsewhere by their own addresses, where somebody routes these to this host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Access {
    /// Not at all: what is published is reached by addresses of the host (Docker's gateway mode `nat`).
    #[default]
    Closed,
    /// What is published is reached by the containers' addresses, and not by those of the host (`routed`).
    Published,
    /// At all ports, besides what is published (`nat-unprotected`).
    Open,
}

/// How far the containers of a network come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Everywhere the host does, and published ports of other networks.
    Outside,
    /// Each other, and the host's own address on the bridge.
    Internal,
}

/// Whether the containers of a network reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbours {
    /// They do.
    Talk,
    /// Only by published ports. Frames that the bridge switches never come here unless the host has
    /// `br_netfilter`: the ports of the bridge must be isolated from each other too (`IFLA_BRPORT_ISOLATED`).
    Apart,
}

/// The source address of what leaves a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Source {
    /// That of the interface by which it leaves.
    #[default]
    Masquerade,
    /// This one, of the same version.
    Given(IpAddr),
    /// The container's own: somebody routes the subnet to this host.
    Kept,
}

/// A protocol that has ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A published range of ports, of the same length on both sides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Its protocol.
    pub protocol: Protocol,
    /// The address of the host; nothing is every one of the container's family.
    pub host: Option<IpAddr>,
    /// The first port of the host.
    pub first: u16,
    /// How many, at least 1.
    pub count: u16,
    /// The container.
    pub container: IpAddr,
    /// The container's port that the first one leads to.
    pub inside: u16,
    /// The bridge of its network.
    pub bridge: String,
}

impl Protocol {
    /// Its number (`IPPROTO_…`).
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = if self.container.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { any_six() };
        let range = |first: u16| match self.count {
            0 | 1 => first.to_string(),
            count => format!("{first}-{}", first.saturating_add(count - 1)),
        };
        let (host, container) = (self.host.unwrap_or(any), self.container);
        let (outer, inner) = (range(self.first), range(self.inside));
        write!(out, "{host} port {outer}/{} to {container} port {inner}", self.protocol)
    }
}

const fn any_six() -> IpAddr {
    IpAddr::V6(Ipv6Addr::UNSPECIFIED)
}

impl Port {
    /// The last port of the host.
    #[must_use]
    pub const fn last(&self) -> u16 {
        self.first.saturating_add(self.count.saturating_sub(1))
    }

    /// Finds what no rule can do.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub fn check(&self) -> io::Result<()> {
        let beyond =
            |first: u16| first == 0 || self.count == 0 || first.checked_add(self.count - 1).is_none();
        if beyond(self.first) || beyond(self.inside) {
            return Err(wrong(format!("{self}: there are no such ports")));
        }
        match self.host {
            Some(host) if host.is_unspecified() => {
                Err(wrong(format!("{self}: leave out the address for any")))
            }
            Some(host) if host.is_ipv4() != self.container.is_ipv4() => {
                Err(wrong(format!("{self}: the addresses are of two families")))
            }
            _ => Ok(()),
        }
    }
}

fn is_name(name: &str) -> bool {
    let graphic = |byte: u8| byte.is_ascii_graphic() && !b"/:\"\\*".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(graphic)
}

impl Network {
    /// What goes for packets to or from an address.
    pub(super) const fn face(&self, four: bool) -> &Face {
        if four { &self.four } else { &self.six }
    }

    /// Finds what no rule can do.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub fn check(&self) -> io::Result<()> {
        if !is_name(&self.bridge) {
            return Err(wrong(format!("{:?} cannot be the name of a bridge", self.bridge)));
        }
        if let Some(name) = self.trusted.iter().find(|name| !is_name(name)) {
            return Err(wrong(format!("{name:?} cannot be the name of a link")));
        }
        let given = |face: &Face, four: bool| match face.source {
            Source::Given(address) if address.is_ipv4() != four => Some(address),
            _ => None,
        };
        if let Some(address) = given(&self.four, true).or(given(&self.six, false)) {
            return Err(wrong(format!("{address} cannot be the source of packets of another version")));
        }
        let widest = |subnet: &Address| if subnet.address.is_ipv4() { 32 } else { 128 };
        match self.subnets.iter().find(|subnet| subnet.prefix > widest(subnet)) {
            Some(subnet) => Err(wrong(format!("{}/{} is no subnet", subnet.address, subnet.prefix))),
            None => Ok(()),
        }
    }
}

impl Rules {
    /// Finds what no rule can do, and ports of networks that are not there.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub fn check(&self) -> io::Result<()> {
        self.networks.iter().try_for_each(Network::check)?;
        self.ports.iter().try_for_each(|port| self.check_port(port))
    }

    /// Finds what no rule can do of one more port.
    pub(super) fn check_port(&self, port: &Port) -> io::Result<()> {
        port.check()?;
        match self.network(&port.bridge) {
            Some(_) => Ok(()),
            None => Err(wrong(format!("{port}: there is no network {}", port.bridge))),
        }
    }

    /// The network of a bridge.
    #[must_use]
    pub fn network(&self, bridge: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.bridge == bridge)
    }
}

fn wrong(sentence: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, sentence)
}
