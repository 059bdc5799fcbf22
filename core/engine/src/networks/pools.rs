//! Which blocks of addresses a new network gets (pure).

use std::net::IpAddr;

use dhow_model::network::{Pool, Prefix, number};
use dhow_model::{Error, Result};

/// A block that is cut into networks of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// All of it.
    pub base: Prefix,
    /// Bits of each network.
    pub size: u8,
}

/// Blocks of private addresses that networks are cut from, unless the engine is told others: 4,096 small
/// ones in what Docker uses too, and 256 more.
const DEFAULT: [(&str, u8); 2] = [("172.16.0.0/12", 24), ("192.168.0.0/16", 24)];

/// The block of the default network, where it is free: people know it.
pub(crate) const OF_BRIDGE: &str = "172.17.0.0/16";

/// Those blocks.
#[must_use]
pub fn default_sources() -> Vec<Source> {
    let source = |(base, size): &(&str, u8)| base.parse().ok().map(|base| Source { base, size: *size });
    DEFAULT.iter().filter_map(source).collect()
}

/// The first block of the sources that overlaps with nothing in use.
///
/// # Errors
/// In Docker's words when there is none.
pub(crate) fn choose(sources: &[Source], used: &[Prefix]) -> Result<Prefix> {
    let free = |source: &Source| first_free(*source, used);
    sources
        .iter()
        .find_map(free)
        .ok_or_else(|| Error::invalid("all predefined address pools have been fully subnetted"))
}

fn first_free(source: Source, used: &[Prefix]) -> Option<Prefix> {
    let (mut next, last) = source.base.numbers();
    let size = Prefix::new(source.base.at(next), source.size);
    let (begin, end) = size.numbers();
    let width = end - begin + 1;
    while next <= last {
        let candidate = Prefix::new(source.base.at(next), source.size);
        match used.iter().filter(|used| used.overlaps(candidate)).map(|used| used.numbers().1).max() {
            None => return Some(candidate),
            // Whatever is in the way is stepped over as a whole.
            Some(end) => next = next.checked_add(width * ((end.max(next) - next) / width + 1))?,
        }
    }
    None
}

/// Completes a block: its gateway is its first address, unless one was given.
///
/// # Errors
/// In Docker's words: what does not lie in the block.
pub(crate) fn complete(mut pool: Pool) -> Result<Pool> {
    check_subnet(pool.subnet)?;
    let wrong = |what: &str, value: &dyn std::fmt::Display| {
        Error::invalid(format!("invalid {what} {value}: parent subnet {} doesn't contain it", pool.subnet))
    };
    if let Some(range) = pool.range.filter(|range| !pool.subnet.covers(*range)) {
        return Err(wrong("ip-range", &range));
    }
    if let Some(gateway) = pool.gateway.filter(|gateway| !pool.subnet.contains(*gateway)) {
        return Err(wrong("gateway", &gateway));
    }
    if let Some(other) = pool.reserved.values().find(|other| !pool.subnet.contains(**other)) {
        return Err(wrong("auxiliary address", other));
    }
    let gateway = pool.gateway.unwrap_or_else(|| first_host(&pool));
    let (first, last) = pool.subnet.numbers();
    if number(gateway) == first || (!pool.subnet.is_six() && number(gateway) == last) {
        return Err(Error::invalid(format!("gateway {gateway} is no address of a host in {}", pool.subnet)));
    }
    if let Some((name, _)) = pool.reserved.iter().find(|(_, address)| **address == gateway) {
        return Err(Error::invalid(format!("auxiliary address {name} is the gateway: {gateway}")));
    }
    pool.gateway = Some(gateway);
    Ok(pool)
}

/// Blocks of which a bridge and containers can have addresses.
fn check_subnet(subnet: Prefix) -> Result<()> {
    let whole = subnet.network();
    if subnet != whole {
        return Err(Error::invalid(format!("invalid subnet {subnet}: it should be {whole}")));
    }
    let most = if subnet.is_six() { 126 } else { 30 };
    let special = match subnet.address {
        IpAddr::V4(address) => {
            address.is_loopback() || address.is_multicast() || address.octets()[0] >= 240 || subnet.length < 8
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_multicast()
                || address.is_unicast_link_local()
                || address.to_ipv4_mapped().is_some()
                || subnet.length < 8
        }
    };
    if special {
        return Err(Error::invalid(format!(
            "invalid subnet {subnet}: containers cannot have such addresses"
        )));
    }
    if subnet.length > most {
        return Err(Error::invalid(format!(
            "invalid subnet {subnet}: it has no room for a gateway and a container"
        )));
    }
    Ok(())
}

fn first_host(pool: &Pool) -> IpAddr {
    let (first, _) = pool.range.unwrap_or(pool.subnet).network().numbers();
    let of_block = first == pool.subnet.numbers().0;
    pool.subnet.at(first + u128::from(of_block))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(all: &[&str]) -> Vec<Prefix> {
        all.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn source(base: &str, size: u8) -> Source {
        Source { base: base.parse().unwrap(), size }
    }

    #[test]
    fn the_first_block_that_nobody_uses_is_taken() {
        let sources = [source("10.0.0.0/22", 24), source("10.9.0.0/24", 24)];
        let chosen = |used: &[&str]| choose(&sources, &prefixes(used)).map(|prefix| prefix.to_string());
        assert_eq!(chosen(&[]).unwrap(), "10.0.0.0/24");
        assert_eq!(chosen(&["10.0.0.128/25"]).unwrap(), "10.0.1.0/24");
        assert_eq!(chosen(&["10.0.0.0/23", "10.0.3.0/24"]).unwrap(), "10.0.2.0/24");
        assert_eq!(chosen(&["10.0.0.0/16"]).unwrap(), "10.9.0.0/24");
        let none = chosen(&["10.0.0.0/8"]).unwrap_err();
        assert_eq!(none.to_string(), "all predefined address pools have been fully subnetted");
    }

    #[test]
    fn a_gateway_is_the_first_address_and_lies_in_the_block() {
        let pool = |subnet: &str, range: Option<&str>, gateway: Option<&str>| Pool {
            subnet: subnet.parse().unwrap(),
            range: range.map(|range| range.parse().unwrap()),
            gateway: gateway.map(|gateway| gateway.parse().unwrap()),
            reserved: std::collections::BTreeMap::new(),
        };
        let gateway = |pool| complete(pool).map(|pool| pool.gateway.unwrap().to_string());
        assert_eq!(gateway(pool("10.0.0.0/24", None, None)).unwrap(), "10.0.0.1");
        assert_eq!(gateway(pool("10.0.0.0/24", Some("10.0.0.128/25"), None)).unwrap(), "10.0.0.128");
        assert_eq!(gateway(pool("10.0.0.0/24", None, Some("10.0.0.7"))).unwrap(), "10.0.0.7");
        assert!(gateway(pool("10.0.0.0/24", None, Some("10.0.1.7"))).is_err());
        assert!(gateway(pool("10.0.0.0/24", Some("10.0.0.0/16"), None)).is_err());
        assert!(gateway(pool("10.0.0.0/24", None, Some("10.0.0.255"))).is_err());
        let wrong = gateway(pool("10.0.0.9/24", None, None)).unwrap_err().to_string();
        assert_eq!(wrong, "invalid subnet 10.0.0.9/24: it should be 10.0.0.0/24");
        for subnet in
            ["127.0.0.0/8", "224.0.0.0/24", "0.0.0.0/0", "10.0.0.0/31", "::/0", "fe80::/64", "fd00::/127"]
        {
            assert!(gateway(pool(subnet, None, None)).is_err(), "{subnet}");
        }
    }
}
