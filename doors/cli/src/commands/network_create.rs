//! `dhow network create`: a network, with its addresses put together from flags that may be given often.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dhow_api::client::Request;
use serde::{Deserialize, Serialize};

use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::{LABEL, MAP, Parsed, STRING, STRING_SLICE, SWITCH, environment, flag};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["network create"],
    usage: "[OPTIONS] NETWORK",
    about: "Create a network",
    arity: Arity::Exactly(1),
    arguments_end_flags: false,
    flags: &[&[
        flag("attachable", SWITCH, "Let containers connect that no service made"),
        flag("aux-address", MAP, "Address that no container may have (name=address)"),
        flag("config-from", STRING, "Take the settings of this network"),
        flag("config-only", SWITCH, "Keep the settings for others; nothing connects to it"),
        flag("driver", STRING, "Driver of the network (default \"bridge\")").short('d'),
        flag("gateway", STRING_SLICE, "Gateway of the subnet"),
        flag("ingress", SWITCH, "Make the network by which a swarm is reached"),
        flag("internal", SWITCH, "Keep the containers from the world outside"),
        flag("ip-range", STRING_SLICE, "Part of the subnet from which containers have addresses"),
        flag("ipam-driver", STRING, "Driver that gives addresses (default \"default\")"),
        flag("ipam-opt", MAP, "Option of the driver that gives addresses"),
        flag("ipv4", SWITCH, "Give containers IPv4 addresses (default true)"),
        flag("ipv6", SWITCH, "Give containers IPv6 addresses"),
        flag("label", LABEL, "Set a label"),
        flag("opt", MAP, "Option of the driver").short('o'),
        flag("scope", STRING, "How far the network reaches"),
        flag("subnet", STRING_SLICE, "Subnet of the network (address/length)"),
    ]],
    run,
};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CreateRequest {
    driver: String,
    scope: String,
    #[serde(rename = "EnableIPv4", skip_serializing_if = "Option::is_none")]
    enable_ipv4: Option<bool>,
    #[serde(rename = "EnableIPv6", skip_serializing_if = "Option::is_none")]
    enable_ipv6: Option<bool>,
    #[serde(rename = "IPAM")]
    ipam: Ipam,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_only: bool,
    config_from: Option<Reference>,
    options: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reference {
    network: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    driver: String,
    options: BTreeMap<String, String>,
    config: Vec<Pool>,
}

/// A subnet and what was said about it.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Pool {
    subnet: String,
    #[serde(rename = "IPRange", skip_serializing_if = "String::is_empty")]
    ip_range: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    gateway: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    auxiliary_addresses: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let request = request(parsed).map_err(Error::said)?;
    let created: Created = session.send(Request::post(&["networks", "create"]).json(&request)?)?.json()?;
    session.print_line(&created.id)
}

fn request(parsed: &Parsed) -> Result<CreateRequest, String> {
    let text = |name: &str, default: &str| parsed.text(name).unwrap_or(default).to_owned();
    let pairs = |name: &str| environment::pairs(&parsed.list(name));
    let if_given = |name: &str| parsed.is_given(name).then(|| parsed.is_on(name));
    let config_from = parsed.text_or_empty("config-from");
    let ipam =
        Ipam { driver: text("ipam-driver", "default"), options: pairs("ipam-opt"), config: pools(parsed)? };
    Ok(CreateRequest {
        driver: text("driver", "bridge"),
        scope: text("scope", ""),
        enable_ipv4: if_given("ipv4"),
        enable_ipv6: if_given("ipv6"),
        ipam,
        internal: parsed.is_on("internal"),
        attachable: parsed.is_on("attachable"),
        ingress: parsed.is_on("ingress"),
        config_only: parsed.is_on("config-only"),
        config_from: Some(config_from)
            .filter(|network| !network.is_empty())
            .map(|network| Reference { network: network.to_owned() }),
        options: pairs("opt"),
        labels: pairs("label"),
        name: parsed.argument(0).to_owned(),
    })
}

/// Each range, gateway and address goes to the subnet that has it.
fn pools(parsed: &Parsed) -> Result<Vec<Pool>, String> {
    let [subnets, ranges, gateways] = ["subnet", "ip-range", "gateway"].map(|name| parsed.split_list(name));
    if subnets.len() < ranges.len() || subnets.len() < gateways.len() {
        return Err("every ip-range or gateway must have a corresponding subnet".to_owned());
    }
    let mut pools = separate(subnets)?;
    for range in ranges {
        for pool in matching(&mut pools, &range, &format!("no matching subnet for range {range}"))? {
            if !pool.ip_range.is_empty() {
                let (known, subnet) = (&pool.ip_range, &pool.subnet);
                return Err(format!(
                    "cannot configure multiple ranges ({range}, {known}) on the same subnet ({subnet})"
                ));
            }
            pool.ip_range.clone_from(&range);
        }
    }
    for gateway in gateways {
        for pool in matching(&mut pools, &gateway, &format!("no matching subnet for gateway {gateway}"))? {
            if !pool.gateway.is_empty() {
                let (known, subnet) = (&pool.gateway, &pool.subnet);
                return Err(format!(
                    "cannot configure multiple gateways ({gateway}, {known}) for the same subnet ({subnet})"
                ));
            }
            pool.gateway.clone_from(&gateway);
        }
    }
    for (name, address) in environment::pairs(&parsed.list("aux-address")) {
        let missing = format!("no matching subnet for aux-address {address}");
        for pool in matching(&mut pools, &address, &missing)? {
            pool.auxiliary_addresses.insert(name.clone(), address.clone());
        }
    }
    Ok(pools)
}

/// Subnets that have no address in common.
fn separate(subnets: Vec<String>) -> Result<Vec<Pool>, String> {
    let mut pools: Vec<Pool> = Vec::new();
    for subnet in subnets {
        for known in &pools {
            if contains(&subnet, &known.subnet)? || contains(&known.subnet, &subnet)? {
                return Err("multiple overlapping subnet configuration is not supported".to_owned());
            }
        }
        pools.push(Pool { subnet, ..Pool::default() });
    }
    Ok(pools)
}

/// The subnets that an address or a range lies in; one at least.
fn matching<'p>(pools: &'p mut [Pool], address: &str, missing: &str) -> Result<Vec<&'p mut Pool>, String> {
    let mut found = Vec::new();
    for pool in pools {
        if contains(&pool.subnet, address)? {
            found.push(pool);
        }
    }
    if found.is_empty() { Err(missing.to_owned()) } else { Ok(found) }
}

/// Whether a subnet has an address, or the first address of a range.
fn contains(subnet: &str, address: &str) -> Result<bool, String> {
    let (network, length) = subnet_of(subnet).map_err(|why| format!("invalid subnet: {why}"))?;
    let address = match address.contains('/') {
        true => Some(subnet_of(address)?.0),
        // What is no address is in no subnet.
        false => address.parse().ok(),
    };
    let same = |one: u128, other: u128, bits: u8| {
        one.checked_shr(u32::from(bits - length)) == other.checked_shr(u32::from(bits - length))
    };
    Ok(match (network, address.map(|address: IpAddr| address.to_canonical())) {
        (IpAddr::V4(network), Some(IpAddr::V4(address))) => {
            length == 0 || same(u32::from(network).into(), u32::from(address).into(), 32)
        }
        (IpAddr::V6(network), Some(IpAddr::V6(address))) => {
            length == 0 || same(network.into(), address.into(), 128)
        }
        _ => false,
    })
}

fn subnet_of(text: &str) -> Result<(IpAddr, u8), String> {
    let parsed = text.split_once('/').and_then(|(address, length)| {
        let address: IpAddr = address.parse().ok()?;
        let length: u8 = length.parse().ok().filter(|_| length.bytes().all(|byte| byte.is_ascii_digit()))?;
        Some((address, length)).filter(|_| length <= if address.is_ipv4() { 32 } else { 128 })
    });
    parsed.ok_or_else(|| format!("invalid CIDR address: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_has_the_addresses_that_begin_like_it() {
        assert_eq!(contains("10.0.0.7/16", "10.0.9.1"), Ok(true));
        assert_eq!(contains("10.0.0.0/16", "10.1.0.0/24"), Ok(false));
        assert_eq!(contains("0.0.0.0/0", "10.1.0.0"), Ok(true));
        assert_eq!(contains("fd00::/64", "fd00::1"), Ok(true));
        assert_eq!(contains("fd00::/64", "10.0.0.1"), Ok(false));
        assert_eq!(contains("10.0.0.1/32", "::ffff:10.0.0.1"), Ok(true));
        assert_eq!(contains("10.0.0.0/16", "x"), Ok(false));
        assert_eq!(contains("10.0.0.0", "x").unwrap_err(), "invalid subnet: invalid CIDR address: 10.0.0.0");
        assert_eq!(contains("10.0.0.0/8", "x/").unwrap_err(), "invalid CIDR address: x/");
        assert!(subnet_of("10.0.0.0/33").is_err() && subnet_of("10.0.0.0/+8").is_err());
    }
}
