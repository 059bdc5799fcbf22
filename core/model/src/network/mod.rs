//! A network that containers are in, and a container's place in it.

mod direct;
mod prefix;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use direct::{Direct, DirectKind, IpvlanFlag, IpvlanMode, MacvlanMode};
pub use prefix::{InvalidPrefix, Prefix, number};

use crate::{Error, Result, Timestamp};

/// The networks that are always there: name, driver.
pub const BUILT_IN: [(&str, Driver); 3] =
    [("bridge", Driver::Bridge), ("host", Driver::Host), ("none", Driver::Null)];

/// What carries a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A bridge of the host.
    Bridge,
    /// The host's own links.
    Host,
    /// Nothing but a loopback interface.
    Null,
    /// Links of containers on a link of the host, each with a hardware address.
    Macvlan,
    /// Links of containers on a link of the host, with its hardware address.
    Ipvlan,
}

impl Driver {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::Null => "null",
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
        }
    }

    /// Whether containers have links of their own in it.
    #[must_use]
    pub const fn has_links(self) -> bool {
        matches!(self, Self::Bridge | Self::Macvlan | Self::Ipvlan)
    }
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What carries it.
    pub driver: Driver,
    /// When it was made.
    pub created: Timestamp,
    /// Nothing of it reaches the world.
    pub internal: bool,
    /// Shown back; it means something to swarms only.
    pub attachable: bool,
    /// Addresses of version 4 are handed out.
    pub ipv4: bool,
    /// Addresses of version 6 are handed out.
    pub ipv6: bool,
    /// Its blocks of addresses.
    pub pools: Vec<Pool>,
    /// Options of the address management, shown back as they came.
    pub ipam_options: Option<BTreeMap<String, String>>,
    /// Options of the driver: `com.docker.network.bridge.name`, ….
    pub options: BTreeMap<String, String>,
    /// Free pairs.
    pub labels: BTreeMap<String, String>,
    /// Its addresses are the engine's choice: it may choose others while nobody has one.
    #[serde(default)]
    pub chosen: bool,
    /// It keeps settings for others, and nobody is in it.
    #[serde(default)]
    pub config_only: bool,
    /// The network that keeps its settings; empty when none does.
    #[serde(default)]
    pub config_from: String,
}

/// A block of addresses of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// All of it.
    pub subnet: Prefix,
    /// Where containers get theirs from; nothing is all.
    pub range: Option<Prefix>,
    /// The host's address in it.
    pub gateway: Option<IpAddr>,
    /// Addresses that others have, by name.
    pub reserved: BTreeMap<String, IpAddr>,
}

impl Pool {
    /// The way out of its containers: the host's address, unless an address is reserved for another by the name that
    /// Docker has for it.
    #[must_use]
    pub fn way_out(&self) -> Option<IpAddr> {
        let version = if self.subnet.is_six() { 6 } else { 4 };
        self.reserved.get(&format!("DefaultGatewayIPv{version}")).copied().or(self.gateway)
    }
}

/// Whether a network of this name is always there.
#[must_use]
pub fn is_built_in(name: &str) -> bool {
    BUILT_IN.iter().any(|(built_in, _)| *built_in == name)
}

impl Network {
    /// Whether it is one of those that are always there.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        is_built_in(&self.name)
    }

    /// The name of its bridge on the host.
    #[must_use]
    pub fn bridge(&self) -> String {
        match self.options.get("com.docker.network.bridge.name") {
            Some(name) => name.clone(),
            None => format!("br-{}", self.id.get(..12).unwrap_or(&self.id)),
        }
    }

    /// Whether the host has no address of a version on its bridge, and is none for the containers.
    #[must_use]
    pub fn is_isolated(&self, six: bool) -> bool {
        let option = if six { "gateway_mode_ipv6" } else { "gateway_mode_ipv4" };
        self.options
            .get(&format!("com.docker.network.bridge.{option}"))
            .is_some_and(|mode| mode == "isolated")
    }

    /// Whether the host has no address of version 4 on its bridge: somebody else has the gateway's.
    #[must_use]
    pub fn inhibits_four(&self) -> bool {
        self.flag("com.docker.network.bridge.inhibit_ipv4", false)
    }

    /// Whether its containers reach each other by other ways than published ports.
    #[must_use]
    pub fn members_talk(&self) -> bool {
        self.flag("com.docker.network.bridge.enable_icc", true)
    }

    /// A driver option that is true or false.
    #[must_use]
    pub fn flag(&self, option: &str, otherwise: bool) -> bool {
        match self.options.get(option).map(String::as_str) {
            Some("true" | "1" | "t" | "T" | "TRUE" | "True") => true,
            Some("false" | "0" | "f" | "F" | "FALSE" | "False") => false,
            _ => otherwise,
        }
    }

    /// Names of containers are resolved: everywhere but on the default network.
    #[must_use]
    pub fn has_names(&self) -> bool {
        self.driver.has_links() && !self.is_built_in()
    }
}

/// What a container asked for in one network (`EndpointSettings` of the API).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSettings {
    /// Addresses.
    #[serde(rename = "IPAMConfig")]
    pub ipam: Option<EndpointAddresses>,
    /// Other containers by a name of this one's: `container:alias`.
    pub links: Option<Vec<String>>,
    /// Further names in the network.
    pub aliases: Option<Vec<String>>,
    /// A hardware address; empty for one of ours.
    pub mac_address: String,
    /// Options of the driver.
    pub driver_opts: Option<BTreeMap<String, String>>,
    /// The network with the highest has the default route.
    pub gw_priority: i64,
}

impl EndpointSettings {
    /// An option of the driver.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.driver_opts.as_ref()?.get(name).map(String::as_str)
    }
}

/// Addresses that a container asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointAddresses {
    /// Of version 4; empty for any.
    #[serde(rename = "IPv4Address", skip_serializing_if = "String::is_empty")]
    pub ipv4: String,
    /// Of version 6; empty for any.
    #[serde(rename = "IPv6Address", skip_serializing_if = "String::is_empty")]
    pub ipv6: String,
    /// Further addresses of the link.
    #[serde(rename = "LinkLocalIPs", skip_serializing_if = "Vec::is_empty")]
    pub link_local: Vec<String>,
}

/// A container's place in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// The network's id; empty until it was looked up.
    pub network: String,
    /// What was asked for.
    pub settings: EndpointSettings,
    /// What it has while it runs.
    pub assigned: Option<Assigned>,
}

/// What a running container has in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Assigned {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its address of version 4, with the bits of the network.
    pub ipv4: Option<Prefix>,
    /// Its address of version 6.
    pub ipv6: Option<Prefix>,
    /// Further addresses of its link.
    pub further: Vec<Prefix>,
    /// The way out.
    pub gateway4: Option<IpAddr>,
    /// The way out, of version 6.
    pub gateway6: Option<IpAddr>,
    /// `02:42:…`.
    pub mac: String,
    /// The name of the link in the container.
    pub interface: String,
    /// The name of its other end on the host.
    pub host_interface: String,
    /// Ports of the host that lead to it.
    pub published: Vec<Published>,
}

impl Assigned {
    /// Its addresses, without the bits of their networks.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        [self.ipv4, self.ipv6].into_iter().flatten().map(|prefix| prefix.address)
    }
}

/// A port, or a range of ports, of the host that leads to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The host's address; the unspecified one is all of its version.
    pub host: IpAddr,
    /// The first port of the host.
    pub host_port: u16,
    /// The first port of the container.
    pub port: u16,
    /// How many there are.
    pub count: u16,
}

/// Checks a network name: anything that can be seen, as with Docker.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub fn check_name(name: &str) -> Result<()> {
    if name.trim().is_empty() {
        return Err(Error::invalid("invalid name: name is empty"));
    }
    // Ours: it is printed in tables and logs.
    if name.contains(char::is_control) {
        return Err(Error::invalid(format!("invalid name: {name:?} has a control character")));
    }
    Ok(())
}
