//! What a container has in a network: addresses, names of links.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use dhow_model::network::{Assigned, Driver, Endpoint, EndpointSettings, Network, Pool, Prefix};
use dhow_model::ports::{Carrier, LinkPlan, Way};
use dhow_model::{ContainerId, Error, Kind, Result};

use super::{interfaces, sysctls};
use crate::Engine;
use crate::registry::lock;

/// The size of packets on a pair of links of which nobody says another.
pub(super) const USUAL_MTU: u32 = 1500;

impl Engine {
    /// Chooses all that a container has in a network, beside what it has in others.
    pub(super) fn assign(
        &self,
        network: &Network,
        settings: &EndpointSettings,
        others: &BTreeMap<String, Endpoint>,
    ) -> Result<Assigned> {
        let id = ContainerId::from_random(self.ports.host.random()).to_string();
        let prefix = network.options.get("com.docker.network.container_iface_prefix");
        let named = (network.name.as_str(), prefix.map_or("eth", String::as_str));
        let mut assigned = Assigned {
            interface: interfaces::choose(others, named, settings)?,
            host_interface: match network.driver {
                Driver::Bridge => format!("veth{}", id.get(..8).unwrap_or_default()),
                _ => String::new(),
            },
            id,
            further: further(settings)?,
            ..Assigned::default()
        };
        self.assign_addresses(network, settings, &mut assigned).inspect_err(|_| {
            // The first may be taken when there is none of the second version.
            lock(&self.networks).give_back(&network.id, &assigned);
        })?;
        let own = settings.mac_address.to_lowercase();
        assigned.mac = match network.driver {
            // It is its parent's; and where there is no link, there is none.
            Driver::Ipvlan | Driver::Host | Driver::Null => String::new(),
            _ if own.is_empty() => mac_of(&assigned, &self.ports.host.random()),
            _ => own,
        };
        Ok(assigned)
    }

    fn assign_addresses(
        &self,
        network: &Network,
        settings: &EndpointSettings,
        assigned: &mut Assigned,
    ) -> Result<()> {
        let ipam = settings.ipam.clone().unwrap_or_default();
        let mut known = lock(&self.networks);
        known.take_place(network, &assigned.id)?;
        let addresses = known.addresses.entry(network.id.clone()).or_default();
        let now = Instant::now();
        let mut take = |six: bool, wanted: &str| -> Result<Option<(Prefix, Option<IpAddr>)>> {
            let Some(pool) = pool_for(network, six, wanted)? else { return Ok(None) };
            let named = |error: Error| match error.kind() {
                // None is left: whose are used up belongs to Docker's words.
                Kind::Internal => Error::internal(format!("{error}: {} ({})", network.name, network.id)),
                _ => error,
            };
            let address = addresses.take(pool, parse(wanted)?, now).map_err(named)?;
            Ok(Some((Prefix::new(address, pool.subnet.length), pool.way_out())))
        };
        let way_out = |gateway: Option<IpAddr>| {
            gateway.filter(|gateway| network.leads_out() && network.has_gateway(gateway.is_ipv6()))
        };
        if let Some((address, gateway)) = take(false, &ipam.ipv4)? {
            assigned.ipv4 = Some(address);
            assigned.gateway4 = way_out(gateway);
        }
        if sysctls::are_without_six(&sysctls::read(settings)?) {
            return Ok(());
        }
        if let Some((address, gateway)) = take(true, &ipam.ipv6)? {
            assigned.ipv6 = Some(address);
            assigned.gateway6 = way_out(gateway);
        }
        Ok(())
    }
}

/// The block that an address is from; of the asked version the first.
fn pool_for<'a>(network: &'a Network, six: bool, wanted: &str) -> Result<Option<&'a Pool>> {
    let enabled = if six { network.ipv6 } else { network.ipv4 };
    let mut pools = network.pools.iter().filter(|pool| enabled && pool.subnet.is_six() == six);
    let Some(address) = parse(wanted)? else { return Ok(pools.next()) };
    let found = pools.find(|pool| pool.subnet.contains(address));
    found.map(Some).ok_or_else(|| {
        Error::invalid(format!("no configured subnet or ip-range contain the IP address {address}"))
    })
}

fn parse(address: &str) -> Result<Option<IpAddr>> {
    if address.is_empty() {
        return Ok(None);
    }
    let parsed = super::check::parse(address).map(Some);
    parsed.ok_or_else(|| Error::invalid(format!("invalid IP address: {address}")))
}

/// Addresses of the link alone: the block is that of their kind (RFC 3927, RFC 4291).
fn further(settings: &EndpointSettings) -> Result<Vec<Prefix>> {
    let texts = settings.ipam.iter().flat_map(|ipam| &ipam.link_local);
    let prefix = |text: &String| {
        let address: Option<IpAddr> = parse(text)?;
        Ok(address.map(|address| Prefix::new(address, if address.is_ipv6() { 64 } else { 16 })))
    };
    texts.filter_map(|text| prefix(text).transpose()).collect()
}

/// An address that follows from that of version 4: whoever knew the one finds the other unchanged.
fn mac_of(assigned: &Assigned, random: &[u8; 32]) -> String {
    let last = match assigned.ipv4.map(|prefix| prefix.address) {
        Some(IpAddr::V4(address)) => address.octets(),
        _ => [random[28], random[29], random[30], random[31]],
    };
    format!("02:42:{:02x}:{:02x}:{:02x}:{:02x}", last[0], last[1], last[2], last[3])
}

/// What a container has in a network, and what it asked for.
pub(super) type Connection<'a> = (&'a Assigned, &'a EndpointSettings);

/// How a container is connected to a network.
///
/// # Errors
/// Invalid argument: a hardware address, a size of packets.
pub(super) fn link(network: &Network, connection: Connection<'_>) -> Result<LinkPlan> {
    let (assigned, settings) = connection;
    let mtu = network.options.get("com.docker.network.driver.mtu").map(|text| text.parse());
    // What every pair has is not asked for.
    let mtu = mtu.filter(|mtu| network.driver != Driver::Bridge || *mtu != Ok(USUAL_MTU));
    Ok(LinkPlan {
        carrier: match network.direct()? {
            Some(direct) => Carrier::Direct(direct),
            None => Carrier::Bridge {
                name: network.bridge(),
                end: assigned.host_interface.clone(),
                isolated: !network.members_talk(),
            },
        },
        interface: assigned.interface.clone(),
        mac: if assigned.mac.is_empty() { None } else { Some(parse_mac(&assigned.mac)?) },
        mtu: mtu
            .transpose()
            .map_err(|_| Error::invalid("com.docker.network.driver.mtu is not a number"))?
            .filter(|mtu| *mtu > 0),
        addresses: [assigned.ipv4, assigned.ipv6]
            .into_iter()
            .flatten()
            .chain(assigned.further.clone())
            .collect(),
        ways: ways(network, assigned),
        sysctls: sysctls::read(settings)?,
    })
}

/// The ways out by a network.
pub(super) fn ways(network: &Network, assigned: &Assigned) -> Vec<Way> {
    if network.leads_out() && !network.has_gateway(false) {
        let four = assigned.ipv4.map(|_| Way::Link4);
        return four.into_iter().chain(assigned.ipv6.map(|_| Way::Link6)).collect();
    }
    [assigned.gateway4, assigned.gateway6].into_iter().flatten().map(Way::Gateway).collect()
}

/// `02:42:ac:11:00:02`.
///
/// # Errors
/// Invalid argument.
pub(super) fn parse_mac(text: &str) -> Result<[u8; 6]> {
    let octets: Option<Vec<u8>> =
        text.split([':', '-']).map(|two| u8::from_str_radix(two, 16).ok()).collect();
    let octets: Option<[u8; 6]> = octets.and_then(|octets| octets.try_into().ok());
    // One of many, or of nobody, is no link's.
    let octets = octets.filter(|octets| octets[0] & 1 == 0 && *octets != [0; 6]);
    octets.ok_or_else(|| Error::invalid(format!("invalid MAC address: {text}")))
}
