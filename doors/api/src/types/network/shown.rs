//! A network as lists and inspections show it.

use std::collections::{BTreeMap, BTreeSet};

use dhow_engine::networks::Member;
use dhow_model::Result;
use dhow_model::network::{Network, Pool};
use serde::Serialize;

use crate::server::filters::Filters;
use crate::types::container_filter::{has_label, truth};

/// A network.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Shown<'a> {
    name: &'a str,
    id: &'a str,
    created: String,
    scope: &'static str,
    driver: &'static str,
    #[serde(rename = "EnableIPv4")]
    ipv4: bool,
    #[serde(rename = "EnableIPv6")]
    ipv6: bool,
    #[serde(rename = "IPAM")]
    ipam: Ipam<'a>,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_from: ConfigFrom,
    config_only: bool,
    containers: BTreeMap<String, Shape>,
    options: &'a BTreeMap<String, String>,
    labels: &'a BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam<'a> {
    driver: &'static str,
    options: Option<&'a BTreeMap<String, String>>,
    config: Vec<Block>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Block {
    subnet: String,
    #[serde(rename = "IPRange", skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    auxiliary_addresses: BTreeMap<String, String>,
}

impl Block {
    fn new(pool: &Pool) -> Self {
        let reserved = pool.reserved.iter().map(|(name, address)| (name.clone(), address.to_string()));
        Self {
            subnet: pool.subnet.to_string(),
            range: pool.range.map(|range| range.to_string()),
            gateway: pool.gateway.map(|gateway| gateway.to_string()),
            auxiliary_addresses: reserved.collect(),
        }
    }
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigFrom {
    network: &'static str,
}

/// A running container in an inspected network.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    name: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    mac_address: String,
    #[serde(rename = "IPv4Address")]
    ipv4: String,
    #[serde(rename = "IPv6Address")]
    ipv6: String,
}

impl<'a> Shown<'a> {
    /// A network with the running containers that are in it.
    pub(crate) fn new(network: &'a Network, members: Vec<Member>) -> Self {
        let containers = members.into_iter().map(|member| {
            let text = |prefix: Option<_>| {
                prefix.map(|prefix: dhow_model::network::Prefix| prefix.to_string()).unwrap_or_default()
            };
            let shape = Shape {
                name: member.container.name.to_string(),
                endpoint_id: member.assigned.id.clone(),
                mac_address: member.assigned.mac.clone(),
                ipv4: text(member.assigned.ipv4),
                ipv6: text(member.assigned.ipv6),
            };
            (member.container.id.to_string(), shape)
        });
        Self {
            name: &network.name,
            id: &network.id,
            created: network.created.to_string(),
            scope: "local",
            driver: network.driver.word(),
            ipv4: network.ipv4,
            ipv6: network.ipv6,
            ipam: Ipam {
                driver: "default",
                options: Some(&network.ipam_options).filter(|options| !options.is_empty()),
                config: network.pools.iter().map(Block::new).collect(),
            },
            internal: network.internal,
            attachable: network.attachable,
            ingress: false,
            config_from: ConfigFrom::default(),
            config_only: false,
            containers: containers.collect(),
            options: &network.options,
            labels: &network.labels,
        }
    }
}

/// Which networks a list shows.
pub(crate) struct Filter {
    filters: BTreeMap<String, BTreeSet<String>>,
    dangling: Option<bool>,
}

impl Filter {
    /// The keys that are known.
    pub(crate) const KEYS: &'static [&'static str] =
        &["dangling", "driver", "id", "label", "name", "scope", "type"];

    /// Reads the filters.
    ///
    /// # Errors
    /// Invalid argument for what is neither true nor false.
    pub(crate) fn new(mut filters: Filters) -> Result<Self> {
        let dangling = filters.0.remove("dangling").unwrap_or_default();
        let dangling = dangling.first().map(|value| truth("dangling", value)).transpose()?;
        Ok(Self { filters: filters.0, dangling })
    }

    /// Whether a list shows a network; `used` says whether any container is in it.
    pub(crate) fn shows(&self, network: &Network, used: impl Fn() -> bool) -> bool {
        let any = |values: &BTreeSet<String>, test: &dyn Fn(&str) -> bool| values.iter().any(|v| test(v));
        let kind = if network.is_built_in() { "builtin" } else { "custom" };
        let all = self.filters.iter().all(|(key, values)| match key.as_str() {
            "name" => any(values, &|value| network.name.contains(value)),
            "id" => any(values, &|value| network.id.starts_with(value)),
            "driver" => any(values, &|value| network.driver.word() == value),
            "scope" => any(values, &|value| value == "local"),
            "type" => any(values, &|value| value == kind),
            "label" => values.iter().all(|label| has_label(&network.labels, label)),
            _ => false,
        });
        all && self.dangling.is_none_or(|dangling| dangling == (!network.is_built_in() && !used()))
    }
}
