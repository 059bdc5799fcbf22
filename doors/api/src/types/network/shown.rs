//! A network as lists and inspections show it.

use std::collections::{BTreeMap, BTreeSet};

use dhow_engine::networks::Member;
use dhow_model::network::{Network, Pool};
use dhow_model::{Error, Result};
use regex_lite::Regex;
use serde::Serialize;

use crate::server::filters::Filters;
use crate::types::container_filter::{has_label, patterns, truth};

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
    config_from: ConfigFrom<'a>,
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

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigFrom<'a> {
    network: &'a str,
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
                options: network.ipam_options.as_ref(),
                config: network.pools.iter().map(Block::new).collect(),
            },
            internal: network.internal,
            attachable: network.attachable,
            ingress: false,
            config_from: ConfigFrom { network: &network.config_from },
            config_only: network.config_only,
            containers: containers.collect(),
            options: &network.options,
            labels: &network.labels,
        }
    }
}

/// Those that are always there, and those of users.
const KINDS: [&str; 2] = ["builtin", "custom"];

/// Which networks a list shows.
pub(crate) struct Filter {
    filters: BTreeMap<String, BTreeSet<String>>,
    names: Option<Vec<Regex>>,
    ids: Option<Vec<Regex>>,
    dangling: Option<bool>,
}

impl Filter {
    /// The keys that are known.
    pub(crate) const KEYS: &'static [&'static str] =
        &["dangling", "driver", "id", "label", "name", "scope", "type"];

    /// Reads the filters.
    ///
    /// # Errors
    /// Invalid argument for what is neither true nor false, and for a type that there is not.
    pub(crate) fn new(mut filters: Filters) -> Result<Self> {
        let dangling = filters.0.remove("dangling").unwrap_or_default();
        let dangling = dangling.first().map(|value| truth("dangling", value)).transpose()?;
        let kinds = filters.0.get("type").into_iter().flatten();
        if let Some(kind) = kinds.into_iter().find(|kind| !KINDS.contains(&kind.as_str())) {
            return Err(Error::invalid(format!("invalid filter: 'type'='{kind}'")));
        }
        let mut taken = |key: &str| filters.0.remove(key).map(patterns);
        Ok(Self { names: taken("name"), ids: taken("id"), filters: filters.0, dangling })
    }

    /// Whether a list shows a network; `used` says whether any container is in it.
    pub(crate) fn shows(&self, network: &Network, used: impl Fn() -> bool) -> bool {
        let any = |values: &BTreeSet<String>, test: &dyn Fn(&str) -> bool| values.iter().any(|v| test(v));
        let kind = KINDS[usize::from(!network.is_built_in())];
        let all = self.filters.iter().all(|(key, values)| match key.as_str() {
            "driver" => any(values, &|value| network.driver.word() == value),
            "scope" => any(values, &|value| value == "local"),
            "type" => any(values, &|value| value == kind),
            "label" => values.iter().all(|label| has_label(&network.labels, label)),
            _ => false,
        });
        let matches = |patterns: &Option<Vec<Regex>>, text: &str| {
            patterns.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.is_match(text)))
        };
        let all = all && matches(&self.names, &network.name) && matches(&self.ids, &network.id);
        all && self.dangling.is_none_or(|dangling| dangling == (!network.is_built_in() && !used()))
    }
}

#[cfg(test)]
mod tests {
    use dhow_model::Timestamp;

    use super::*;

    #[test]
    fn names_and_ids_are_patterns_and_types_are_known() {
        let engine_network = |name: &str, id: &str| -> Network {
            serde_json::from_value(serde_json::json!({
                "id": id, "name": name, "driver": "bridge", "created": Timestamp::NEVER, "internal": false,
                "attachable": false, "ipv4": true, "ipv6": false, "pools": [], "ipam_options": null, "options": {},
                "labels": {},
            }))
            .unwrap()
        };
        let networks = [("bridge", "b01"), ("front", "f12"), ("confront", "c34")];
        let networks = networks.map(|(name, id)| engine_network(name, id));
        let shown = |filters: &str| -> Result<Vec<&str>> {
            let filter = Filter::new(Filters::parse(filters)?)?;
            let shown = networks.iter().filter(|network| filter.shows(network, || false));
            Ok(shown.map(|network| network.name.as_str()).collect())
        };
        for (filters, names) in [
            (r#"{"name":["front"]}"#, &["front", "confront"][..]),
            (r#"{"name":["^f"]}"#, &["front"]),
            (r#"{"name":["^c","ge$"]}"#, &["bridge", "confront"]),
            (r#"{"id":["[13]2"]}"#, &["front"]),
            (r#"{"id":["^b"],"name":["b"]}"#, &["bridge"]),
            (r#"{"type":["builtin"]}"#, &["bridge"]),
            (r#"{"name":["("]}"#, &[]),
        ] {
            assert_eq!(shown(filters).unwrap(), names, "{filters}");
        }
        let told = shown(r#"{"type":["foo"]}"#).unwrap_err().to_string();
        assert_eq!(told, "invalid filter: 'type'='foo'");
    }
}
