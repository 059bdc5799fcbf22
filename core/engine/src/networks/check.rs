//! What a container may ask for in a network.

use std::net::IpAddr;

use dhow_model::network::{Driver, EndpointSettings, Network};
use dhow_model::{Error, Result};

use super::assign::parse_mac;
use super::{is_link_name, sysctls};

/// Options of a place in a network that are known.
const OPTIONS: [&str; 2] = ["com.docker.network.endpoint.ifname", "com.docker.network.endpoint.sysctls"];

/// Checks what is asked for in one network.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub(super) fn check_settings(network: &Network, settings: &EndpointSettings) -> Result<()> {
    let mut problems = addresses(network, settings);
    let others = [aliases(network, settings), options(settings), mac(network, settings)];
    problems.extend(others.into_iter().filter_map(Result::err).map(|error| error.to_string()));
    match problems.as_slice() {
        [] => Ok(()),
        problems => Err(Error::invalid(format!("invalid endpoint settings:\n{}", problems.join("\n")))),
    }
}

/// What is wrong with the addresses: all of it, as Docker tells it.
fn addresses(network: &Network, settings: &EndpointSettings) -> Vec<String> {
    let Some(ipam) = &settings.ipam else { return Vec::new() };
    let asked = [("IPv4", false, &ipam.ipv4), ("IPv6", true, &ipam.ipv6)];
    let asked: Vec<_> = asked.into_iter().filter(|(.., text)| !text.is_empty()).collect();
    let mut problems = Vec::new();
    if network.is_built_in() && !asked.is_empty() {
        problems.push("user specified IP address is supported on user defined networks only".to_owned());
    }
    let mut good = Vec::new();
    for (version, six, text) in asked {
        match parse(text).filter(|address| address.is_ipv6() == six) {
            Some(address) => good.push(address),
            None => problems.push(format!("invalid {version} address: {text}")),
        }
    }
    for text in &ipam.link_local {
        match parse(text) {
            None => problems.push(format!("invalid link-local IP address: {text}")),
            Some(address) if !is_of_link(address) => {
                problems.push(format!("invalid link local IP address: {address}"));
            }
            Some(_) => {}
        }
    }
    let has = |address: &IpAddr| network.pools.iter().any(|pool| pool.subnet.contains(*address));
    let outside = good.iter().filter(|address| !network.is_built_in() && !has(address));
    problems.extend(outside.map(|address| format!("no configured subnet contains IP address {address}")));
    problems
}

/// RFC 3927, RFC 4291: any other would be somebody else's, at times the gateway's.
fn is_of_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// An address that can be somebody's; of version 4 also where it is written as one of version 6.
pub(super) fn parse(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    Some(address.to_canonical()).filter(|address| !address.is_unspecified())
}

fn aliases(network: &Network, settings: &EndpointSettings) -> Result<()> {
    let any = settings.aliases.as_ref().is_some_and(|aliases| !aliases.is_empty());
    if any && network.driver != Driver::Null && network.is_built_in() {
        let words = "network-scoped alias is supported only for containers in user defined networks";
        return Err(Error::invalid(words));
    }
    Ok(())
}

fn options(settings: &EndpointSettings) -> Result<()> {
    // What is of no engine's is kept for whoever wrote it, as Docker does.
    let of_docker = |name: &str| name.starts_with("com.docker.network.") && !OPTIONS.contains(&name);
    let unknown = settings.driver_opts.iter().flatten().find(|(name, _)| of_docker(name));
    if let Some((name, _)) = unknown {
        return Err(Error::invalid(format!("option {name:?} of a place in a network is not supported yet")));
    }
    sysctls::read(settings)?;
    let name = settings.option("com.docker.network.endpoint.ifname");
    let good = |name: &str| is_link_name(name) && !matches!(name, "lo" | "all" | "default");
    match name.filter(|name| !good(name)) {
        Some(name) => Err(Error::invalid(format!("invalid interface name: {name:?}"))),
        None => Ok(()),
    }
}

fn mac(network: &Network, settings: &EndpointSettings) -> Result<()> {
    match settings.mac_address.as_str() {
        "" => Ok(()),
        _ if network.driver == Driver::Ipvlan => {
            Err(Error::invalid("ipvlan interfaces do not support custom mac address assignment"))
        }
        mac => parse_mac(mac).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use dhow_model::network::Pool;

    use super::*;

    fn told(network: &Network, ipam: serde_json::Value) -> String {
        let settings = serde_json::json!({"IPAMConfig": ipam});
        let settings: EndpointSettings = serde_json::from_value(settings).unwrap();
        check_settings(network, &settings).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn all_that_is_wrong_with_addresses_is_told_in_dockers_words() {
        let pool = |subnet: &str| {
            super::super::pools::complete(Pool {
                subnet: subnet.parse().unwrap(),
                range: None,
                gateway: None,
                reserved: std::collections::BTreeMap::new(),
            })
        };
        let mut network = super::super::built_in("apart", Driver::Bridge);
        network.pools = vec![pool("10.66.0.0/24").unwrap(), pool("fd00:66::/64").unwrap()];
        for (ipam, problems) in [
            (serde_json::json!({"IPv4Address": "10.66.0.5", "IPv6Address": "fd00:66::5"}), &[][..]),
            (serde_json::json!({"IPv4Address": "::ffff:10.66.0.5", "LinkLocalIPs": ["169.254.1.1"]}), &[]),
            (
                serde_json::json!({"IPv4Address": "abc", "IPv6Address": "10.66.0.5", "LinkLocalIPs": ["abc", ""]}),
                &[
                    "invalid IPv4 address: abc",
                    "invalid IPv6 address: 10.66.0.5",
                    "invalid link-local IP address: abc",
                    "invalid link-local IP address: ",
                ],
            ),
            (
                serde_json::json!({"LinkLocalIPs": ["fe80::7", "10.66.0.1", "fd00:66::1"]}),
                &["invalid link local IP address: 10.66.0.1", "invalid link local IP address: fd00:66::1"],
            ),
            (serde_json::json!({"IPv4Address": "0.0.0.0"}), &["invalid IPv4 address: 0.0.0.0"]),
            (
                serde_json::json!({"IPv4Address": "10.67.0.5"}),
                &["no configured subnet contains IP address 10.67.0.5"],
            ),
        ] {
            let words = [&["invalid endpoint settings:"], problems].concat().join("\n");
            assert_eq!(told(&network, ipam), if problems.is_empty() { String::new() } else { words });
        }
    }
}
