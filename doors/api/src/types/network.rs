//! Networks as containers see them, and the three built-in ones.
//!
//! Until the engine has networks of its own, `bridge` is what containers get by default: a space with
//! a loopback interface and nothing else. It has no addresses, and none are shown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use dhow_model::container::HostConfig;
use dhow_oci::Digest;
use serde::Serialize;

use crate::server::version::ApiVersion;

/// The built-in networks: name, driver.
pub(crate) const BUILT_IN: [(&str, &str); 3] = [("bridge", "bridge"), ("host", "host"), ("none", "null")];

/// The id of a built-in network: the same on every machine.
pub(crate) fn id(name: &str) -> String {
    static IDS: LazyLock<[String; 3]> = LazyLock::new(|| BUILT_IN.map(|(name, _)| hashed(name)));
    // Every container of a list shows one.
    let known = BUILT_IN.iter().position(|(built_in, _)| *built_in == name);
    known.map_or_else(|| hashed(name), |index| IDS[index].clone())
}

fn hashed(name: &str) -> String {
    Digest::of(format!("dhow network {name}").as_bytes()).hex()
}

/// The networks that a container with these settings is in.
pub(crate) fn of(host_config: &HostConfig) -> Option<&'static str> {
    match host_config.network_mode.as_str() {
        "" | "default" | "bridge" => Some("bridge"),
        "host" => Some("host"),
        "none" => Some("none"),
        _ => None,
    }
}

/// A container's place in one network.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Endpoint {
    #[serde(rename = "IPAMConfig")]
    ipam_config: Option<()>,
    links: Option<()>,
    aliases: Option<()>,
    driver_opts: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gw_priority: Option<i64>,
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: &'static str,
    gateway: &'static str,
    #[serde(rename = "IPAddress")]
    ip_address: &'static str,
    mac_address: &'static str,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_len: i64,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: &'static str,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: &'static str,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_len: i64,
    #[serde(rename = "DNSNames")]
    dns_names: Option<()>,
}

/// The places of a container, by the network's name.
pub(crate) fn endpoints(host_config: &HostConfig, version: ApiVersion) -> BTreeMap<&'static str, Endpoint> {
    let endpoint = |name| Endpoint {
        network_id: id(name),
        gw_priority: (!version.before(48)).then_some(0),
        ..Endpoint::default()
    };
    of(host_config).map(|name| (name, endpoint(name))).into_iter().collect()
}

/// `NetworkSettings` of an inspected container.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Settings {
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    legacy: Option<Legacy>,
    #[serde(rename = "SandboxID")]
    sandbox_id: &'static str,
    sandbox_key: &'static str,
    ports: BTreeMap<String, ()>,
    networks: BTreeMap<&'static str, Endpoint>,
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
    endpoint_id: &'static str,
    gateway: &'static str,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: &'static str,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_len: i64,
    #[serde(rename = "IPAddress")]
    ip_address: &'static str,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_len: i64,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: &'static str,
    mac_address: &'static str,
}

impl Settings {
    /// Those of a container.
    pub(crate) fn new(host_config: &HostConfig, version: ApiVersion) -> Self {
        Self {
            legacy: version.before(52).then(Legacy::default),
            sandbox_id: "",
            sandbox_key: "",
            ports: BTreeMap::new(),
            networks: endpoints(host_config, version),
        }
    }
}

/// A network as `GET /networks` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Network {
    pub(crate) name: &'static str,
    pub(crate) id: String,
    created: &'static str,
    scope: &'static str,
    pub(crate) driver: &'static str,
    #[serde(rename = "EnableIPv4")]
    enable_ipv4: bool,
    #[serde(rename = "EnableIPv6")]
    enable_ipv6: bool,
    #[serde(rename = "IPAM")]
    ipam: AddressManagement,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_from: ConfigFrom,
    config_only: bool,
    containers: BTreeMap<String, Member>,
    options: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AddressManagement {
    driver: &'static str,
    options: Option<()>,
    config: [(); 0],
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigFrom {
    network: &'static str,
}

/// A running container in an inspected network.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Member {
    name: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: &'static str,
    mac_address: &'static str,
    #[serde(rename = "IPv4Address")]
    ipv4_address: &'static str,
    #[serde(rename = "IPv6Address")]
    ipv6_address: &'static str,
}

impl Member {
    /// A container without addresses.
    pub(crate) fn named(name: String) -> Self {
        Self { name, ..Self::default() }
    }
}

impl Network {
    /// A built-in network with the running containers that are in it, by id.
    pub(crate) fn built_in(
        (name, driver): (&'static str, &'static str),
        containers: BTreeMap<String, Member>,
    ) -> Self {
        Self {
            name,
            id: id(name),
            created: "1970-01-01T00:00:00Z",
            scope: "local",
            driver,
            // No addresses are handed out: see above.
            enable_ipv4: false,
            enable_ipv6: false,
            ipam: AddressManagement { driver: "default", options: None, config: [] },
            internal: name == "bridge",
            attachable: false,
            ingress: false,
            config_from: ConfigFrom::default(),
            config_only: false,
            containers,
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
        }
    }

    /// Whether a list with these filters shows it.
    pub(crate) fn meets(&self, filters: &BTreeMap<String, BTreeSet<String>>) -> bool {
        let any = |values: &BTreeSet<String>, test: &dyn Fn(&str) -> bool| values.iter().any(|v| test(v));
        filters.iter().all(|(key, values)| match key.as_str() {
            "name" => any(values, &|value| self.name.contains(value)),
            "id" => any(values, &|value| self.id.starts_with(value)),
            "driver" => any(values, &|value| self.driver == value),
            "scope" => any(values, &|value| self.scope == value),
            "type" => any(values, &|value| value == "builtin"),
            // They have no labels, and are never in the way.
            "dangling" => any(values, &|value| matches!(value, "0" | "false")),
            _ => false,
        })
    }
}
