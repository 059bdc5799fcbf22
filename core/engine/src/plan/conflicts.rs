//! Settings that contradict each other, in Docker's words: told of what was asked for, before the image says more.

use std::collections::BTreeMap;

use dhow_model::container::{Config, HostConfig, donor};
use dhow_model::network::EndpointSettings;
use dhow_model::{Error, Result};

/// Refuses what cannot be had together.
///
/// # Errors
/// Invalid argument.
pub(crate) fn check(
    config: &Config,
    host: &HostConfig,
    networks: &BTreeMap<String, EndpointSettings>,
) -> Result<()> {
    let mode = host.network_mode.as_str();
    let joined = if mode == "container" { Some("") } else { donor(mode) };
    let found = match joined {
        Some("") => Some("invalid network mode: invalid container format container:<name|id>"),
        Some(_) => with_joined_network(config, host, networks),
        None => None,
    };
    let found = found.or_else(|| with_host(config, host));
    found.map_or(Ok(()), |words| Err(Error::invalid(words)))
}

/// Who shares a network shares the names, the files and the ports that belong to it.
fn with_joined_network(
    config: &Config,
    host: &HostConfig,
    networks: &BTreeMap<String, EndpointSettings>,
) -> Option<&'static str> {
    let any = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let conflicts = [
        (!config.hostname.is_empty(), "conflicting options: hostname and the network mode"),
        (
            any(&host.links),
            "conflicting options: container type network can't be used with links. This would result in undefined behavior",
        ),
        (any(&host.dns), "conflicting options: dns and the network mode"),
        (any(&host.extra_hosts), "conflicting options: custom host-to-IP mapping and the network mode"),
        (
            networks.values().any(|settings| !settings.mac_address.is_empty()),
            "conflicting options: mac-address and the network mode",
        ),
        (
            !host.port_bindings.is_empty() || host.publish_all_ports,
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            !config.exposed_ports.is_empty(),
            "conflicting options: port exposing and the container type network mode",
        ),
    ];
    conflicts.into_iter().find_map(|(set, words)| set.then_some(words))
}

fn with_host(config: &Config, host: &HostConfig) -> Option<&'static str> {
    if host.uts_mode == "host" && !config.hostname.is_empty() {
        return Some("conflicting options: hostname and the UTS mode");
    }
    let linked = host.network_mode == "host" && host.links.as_ref().is_some_and(|links| !links.is_empty());
    linked.then_some(
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
    )
}

/// What is not done and does no harm: what the user should know.
pub(crate) fn discarded(host: &HostConfig) -> Option<String> {
    let published = host.network_mode == "host" && !host.port_bindings.is_empty();
    published.then(|| "Published ports are discarded when using host network mode".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn said(config: &Value, host: &Value, mac: &str) -> String {
        let config: Config = serde_json::from_value(config.clone()).unwrap();
        let host: HostConfig = serde_json::from_value(host.clone()).unwrap();
        let settings = EndpointSettings { mac_address: mac.to_owned(), ..EndpointSettings::default() };
        let networks = BTreeMap::from([(host.network_mode.clone(), settings)]);
        check(&config, &host, &networks).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn who_joins_a_network_says_nothing_of_what_belongs_to_it() {
        for (config, host, words) in [
            (json!({}), json!({}), ""),
            (json!({"Hostname": "h"}), json!({}), "hostname and the network mode"),
            (json!({}), json!({"Links": ["a:b"]}), "container type network can't be used with links."),
            (json!({}), json!({"Dns": ["192.0.2.1"]}), "dns and the network mode"),
            (json!({}), json!({"ExtraHosts": ["a:192.0.2.1"]}), "custom host-to-IP mapping and"),
            (json!({}), json!({"PublishAllPorts": true}), "port publishing and the container type network"),
            (json!({}), json!({"PortBindings": {"80/tcp": []}}), "port publishing and the container type"),
            (json!({"ExposedPorts": {"80/tcp": {}}}), json!({}), "port exposing and the container type"),
        ] {
            let mut joining = host.clone();
            joining["NetworkMode"] = json!("container:base");
            let told = said(&config, &joining, "");
            assert!(if words.is_empty() { told.is_empty() } else { told.contains(words) }, "{told}");
            assert_eq!(said(&config, &host, ""), "", "of a network of its own");
        }
        let base = json!({"NetworkMode": "container:base"});
        let told = said(&json!({}), &base, "02:42:ac:11:00:02");
        assert_eq!(told, "conflicting options: mac-address and the network mode");
        for nobody in ["container", "container:"] {
            let told = said(&json!({}), &json!({"NetworkMode": nobody}), "");
            assert_eq!(told, "invalid network mode: invalid container format container:<name|id>");
        }
    }

    #[test]
    fn the_hosts_name_and_network_are_its_own() {
        let told = said(&json!({"Hostname": "h"}), &json!({"UTSMode": "host"}), "");
        assert_eq!(told, "conflicting options: hostname and the UTS mode");
        let told = said(&json!({}), &json!({"NetworkMode": "host", "Links": ["a"]}), "");
        assert!(told.starts_with("conflicting options: host type networking can't be used with links."));
        let host = |mode: &str| {
            let text = json!({"NetworkMode": mode, "PortBindings": {"80/tcp": []}});
            discarded(&serde_json::from_value(text).unwrap())
        };
        assert!(host("host").is_some() && host("bridge").is_none());
    }
}
