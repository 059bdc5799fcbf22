//! Containers in networks, as inspections and lists show them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dhow_model::Container;
use dhow_model::network::{self, Assigned, EndpointAddresses, Published};
use serde::Serialize;

use crate::server::version::ApiVersion;

/// A container's place in one network.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Endpoint {
    #[serde(rename = "IPAMConfig")]
    ipam_config: Option<EndpointAddresses>,
    links: Option<Vec<String>>,
    aliases: Option<Vec<String>>,
    driver_opts: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gw_priority: Option<i64>,
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    gateway: String,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    mac_address: String,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_len: u8,
    #[serde(rename = "DNSNames")]
    dns_names: Option<Vec<String>>,
}

fn text(address: Option<IpAddr>) -> String {
    address.map(|address| address.to_string()).unwrap_or_default()
}

/// The places of a container, by the network's name.
pub(crate) fn endpoints(container: &Container, version: ApiVersion) -> BTreeMap<String, Endpoint> {
    let shown = |(name, endpoint): (&String, &network::Endpoint)| {
        (name.clone(), Endpoint::new(container, name, endpoint, version))
    };
    container.networks.iter().map(shown).collect()
}

/// Whether a container is in one of these networks, by name or id.
pub(crate) fn names_of(container: &Container) -> impl Iterator<Item = &str> {
    container.networks.iter().flat_map(|(name, endpoint)| [name.as_str(), endpoint.network.as_str()])
}

impl Endpoint {
    fn new(container: &Container, name: &str, endpoint: &network::Endpoint, version: ApiVersion) -> Self {
        let assigned = endpoint.assigned.clone().unwrap_or_default();
        let asked = &endpoint.settings;
        Self {
            ipam_config: asked.ipam.clone(),
            links: asked.links.clone(),
            aliases: asked.aliases.clone(),
            driver_opts: asked.driver_opts.clone(),
            gw_priority: (!version.before(48)).then_some(asked.gw_priority),
            network_id: endpoint.network.clone(),
            gateway: text(assigned.gateway4),
            ip_address: text(assigned.ipv4.map(|prefix| prefix.address)),
            mac_address: if assigned.mac.is_empty() {
                asked.mac_address.clone()
            } else {
                assigned.mac.clone()
            },
            ip_prefix_len: assigned.ipv4.map_or(0, |prefix| prefix.length),
            ipv6_gateway: text(assigned.gateway6),
            global_ipv6_address: text(assigned.ipv6.map(|prefix| prefix.address)),
            global_ipv6_prefix_len: assigned.ipv6.map_or(0, |prefix| prefix.length),
            dns_names: (!network::is_built_in(name)).then(|| container.names_in(endpoint)),
            endpoint_id: assigned.id,
        }
    }
}

/// `NetworkSettings` of an inspected container.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Settings {
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    legacy: Option<Legacy>,
    #[serde(rename = "SandboxID")]
    sandbox_id: String,
    sandbox_key: String,
    ports: BTreeMap<String, Option<Vec<Binding>>>,
    networks: BTreeMap<String, Endpoint>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    host_ip: String,
    host_port: String,
}

/// What stood beside `Networks` before 1.52, about the default network.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Legacy {
    bridge: &'static str,
    hairpin_mode: bool,
    #[serde(rename = "LinkLocalIPv6Address")]
    link_local_ipv6_address: &'static str,
    #[serde(rename = "LinkLocalIPv6PrefixLen")]
    link_local_ipv6_prefix_len: i64,
    #[serde(rename = "SecondaryIPAddresses")]
    secondary_ip_addresses: Option<()>,
    #[serde(rename = "SecondaryIPv6Addresses")]
    secondary_ipv6_addresses: Option<()>,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_len: u8,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: String,
    mac_address: String,
}

impl Legacy {
    fn new(container: &Container) -> Self {
        let default = container.networks.get("bridge").and_then(|endpoint| endpoint.assigned.clone());
        let assigned = default.unwrap_or_default();
        Self {
            endpoint_id: assigned.id,
            gateway: text(assigned.gateway4),
            global_ipv6_address: text(assigned.ipv6.map(|prefix| prefix.address)),
            global_ipv6_prefix_len: assigned.ipv6.map_or(0, |prefix| prefix.length),
            ip_address: text(assigned.ipv4.map(|prefix| prefix.address)),
            ip_prefix_len: assigned.ipv4.map_or(0, |prefix| prefix.length),
            ipv6_gateway: text(assigned.gateway6),
            mac_address: assigned.mac,
            ..Self::default()
        }
    }
}

/// A space is as old as the first endpoint in it, and its id, which nobody looks anything up by, follows from that one's:
/// the two halves change places.
fn sandbox_id(endpoint: &str) -> String {
    let (first, second) = endpoint.split_at_checked(endpoint.len() / 2).unwrap_or((endpoint, ""));
    format!("{second}{first}")
}

impl Settings {
    /// Those of a container.
    pub(crate) fn new(container: &Container, version: ApiVersion) -> Self {
        let running = container.state.running().filter(|_| !container.networks.is_empty());
        let first = assigned(container).next();
        Self {
            legacy: version.before(52).then(|| Legacy::new(container)),
            sandbox_id: running.and(first).map(|first| sandbox_id(&first.id)).unwrap_or_default(),
            sandbox_key: running.map(|running| format!("/proc/{}/ns/net", running.pid)).unwrap_or_default(),
            ports: bindings(container),
            networks: endpoints(container, version),
        }
    }
}

fn assigned(container: &Container) -> impl Iterator<Item = &Assigned> {
    container.networks.values().filter_map(|endpoint| endpoint.assigned.as_ref())
}

fn published(container: &Container) -> impl Iterator<Item = (String, &Published, u16)> {
    let each = |range: &'_ Published| 0..range.count;
    assigned(container).flat_map(|assigned| &assigned.published).flat_map(move |range| {
        each(range).map(move |step| (format!("{}/{}", range.port + step, range.protocol), range, step))
    })
}

/// By port of the container; nothing for those that are only exposed.
fn bindings(container: &Container) -> BTreeMap<String, Option<Vec<Binding>>> {
    let mut all: BTreeMap<String, Option<Vec<Binding>>> = BTreeMap::new();
    if container.state.running().is_some() {
        all.extend(container.config.exposed_ports.keys().map(|key| (with_protocol(key), None)));
    }
    for (key, range, step) in published(container) {
        let binding =
            Binding { host_ip: range.host.to_string(), host_port: (range.host_port + step).to_string() };
        all.entry(key).or_default().get_or_insert_default().push(binding);
    }
    all
}

fn with_protocol(key: &str) -> String {
    if key.contains('/') { key.to_owned() } else { format!("{key}/tcp") }
}

/// One port in a list of containers.
#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    #[serde(rename = "IP", skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    #[serde(rename = "PrivatePort")]
    private: u16,
    #[serde(rename = "PublicPort", skip_serializing_if = "Option::is_none")]
    public: Option<u16>,
    #[serde(rename = "Type")]
    protocol: String,
}

/// The ports of a container in a list: published ones, and those that are only exposed.
pub(crate) fn ports(container: &Container) -> Vec<Port> {
    let mut all: Vec<Port> = published(container)
        .map(|(_, range, step)| Port {
            ip: Some(range.host.to_string()),
            private: range.port + step,
            public: Some(range.host_port + step),
            protocol: range.protocol.clone(),
        })
        .collect();
    let exposed = container.config.exposed_ports.keys().filter(|_| container.state.running().is_some());
    for key in exposed {
        let (number, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
        let Ok(private) = number.parse() else { continue };
        if !all.iter().any(|port| port.private == private && port.protocol == protocol) {
            all.push(Port { ip: None, private, public: None, protocol: protocol.to_owned() });
        }
    }
    all
}
