//! The bridges of networks.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use dhow_model::network::Network;
use dhow_model::ports::ShouldBe;

use super::annex::{self, Annex, Names};
use super::borrowed::Borrowed;
use super::ipv6;
use crate::link::{Address, Change, GROUP, Index, Link, Links, Mac};

/// How the marks of all engines begin.
pub(super) const MARK: &str = "dhow ";

/// Those of these ends of connections that are there, and on none of the bridges of a network.
pub(super) fn astray(links: &mut Links, first: &str, interfaces: &[String]) -> io::Result<Vec<String>> {
    let mut places = vec![annex::index(links, first)?];
    for annex in Annex::all(links, first)? {
        places.extend(links.find(&annex.bridge)?.map(|link| link.index));
    }
    let is_elsewhere = |end: &Link| !end.master.is_some_and(|master| places.contains(&master));
    let mut found = Vec::new();
    for interface in interfaces {
        found.extend(links.find(interface)?.filter(is_elsewhere).map(|end| end.name));
    }
    Ok(found)
}

/// What a container's port of a bridge has. Where the host filters what bridges switch, a container reaches itself by
/// its published port only with it.
pub(super) fn port(isolated: bool) -> Change<'static> {
    Change { hairpin: Some(true), isolated: Some(isolated), ..Change::default() }
}

/// A port needs no address of IPv6, with which the kernel is busy for seconds. Where it has none (no IPv6 at all, or packets
/// of less than 1,280 bytes) nothing is to be done.
pub(super) fn keep_nameless(links: &mut Links, port: Index) {
    if let Err(error) = links.change(port, &Change { names_itself: Some(false), ..Change::default() }) {
        tracing::debug!("{error}");
    }
}

/// Bytes of a packet, where a network says it.
pub(super) fn mtu(network: &Network) -> Option<u32> {
    let said = network.options.get("com.docker.network.driver.mtu")?;
    said.parse().ok().filter(|mtu| *mtu > 0)
}

/// Makes the bridge of a network, or completes one that is there.
pub(super) fn make(links: &mut Links, network: &Network, mark: &str, borrowed: &Borrowed) -> io::Result<()> {
    let name = network.bridge();
    let (bridge, others) = match links.find(&name)? {
        Some(bridge) if bridge.kind != "bridge" => {
            return Err(io::Error::other(format!("the link {name} is no bridge")));
        }
        Some(bridge) if bridge.alias.starts_with(MARK) && bridge.alias != mark => {
            return Err(io::Error::other(format!(
                "the bridge {name} belongs to another engine ({})",
                bridge.alias
            )));
        }
        Some(bridge) => (bridge.index, Some(bridge).filter(|bridge| bridge.alias != mark)),
        None => (links.add_bridge(&name, mac_of(network), mtu(network), mark)?, None),
    };
    if others.is_none() {
        ipv6::on_bridge(&name, network.ipv6)?;
    }
    let inhibited = |address: &IpAddr| {
        network.is_isolated(address.is_ipv6()) || (address.is_ipv4() && network.inhibits_four())
    };
    let gateways = network.pools.iter().filter_map(|pool| {
        let address = pool.gateway.filter(|address| !inhibited(address))?;
        Some(Address { address, prefix: pool.subnet.length })
    });
    if network.is_isolated(true) {
        links.change(bridge, &Change { names_itself: Some(false), ..Change::default() })?;
    }
    let gateways: Vec<Address> = gateways.collect();
    if let Some(others) = others {
        borrowed.note_addresses(links, &others, &gateways)?;
    }
    links.configure(bridge, &gateways, &[])
}

/// Lets what is for the host's loopback come back by a bridge, or no longer: only that of ports that are published there
/// does, and only our rules keep all else away.
pub(super) fn open_loopback(
    links: &mut Links,
    bridge: &str,
    open: Loopback,
    (mark, borrowed): (&str, &Borrowed),
) -> io::Result<()> {
    let Some(found) = links.find(bridge)? else { return Ok(()) };
    if open.four && found.alias != mark {
        borrowed.note_loopback(bridge)?;
    }
    let bridge = found.index;
    if open.four {
        links.change(bridge, &Change { loopback: Some(true), ..Change::default() })?;
    }
    if open.six { links.take_loopback6(bridge) } else { Ok(()) }
}

/// The versions of which a bridge takes what is the loopback's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Loopback {
    pub(super) four: bool,
    pub(super) six: bool,
}

/// No packet for the host's loopback comes by these bridges of ours any more.
pub(super) fn close_loopbacks<'n>(
    links: &mut Links,
    bridges: impl Iterator<Item = &'n str>,
    mark: &str,
) -> io::Result<()> {
    for bridge in bridges {
        if let Some(bridge) = links.find(bridge)?.filter(|bridge| bridge.alias == mark) {
            links.change(bridge.index, &Change { loopback: Some(false), ..Change::default() })?;
            links.leave_loopback6(bridge.index)?;
        }
    }
    Ok(())
}

/// Removes a bridge of ours; one that somebody else made stays.
pub(super) fn remove(links: &mut Links, name: &str, mark: &str) -> io::Result<()> {
    match links.find(name)? {
        Some(bridge) if bridge.alias == mark => links.remove(bridge.index),
        _ => Ok(()),
    }
}

/// Removes bridges and parents of ours that are of no network, and what hangs on them that is of no container. Answers which
/// ends of connections are missing.
pub(super) fn tidy(
    links: &mut Links,
    should_be: &ShouldBe,
    mark: &str,
    borrowed: &Borrowed,
) -> io::Result<Vec<String>> {
    let known: BTreeSet<String> = should_be.known.iter().map(carrier).collect();
    for bridge in borrowed.all()?.iter().filter(|bridge| !known.contains(*bridge)) {
        borrowed.give_back(links, bridge)?;
    }
    let wanted: BTreeSet<&String> = should_be.interfaces.iter().collect();
    let all = links.all()?;
    let ours = |link: &&Link| link.alias == mark;
    let bridges: BTreeSet<Index> = all.iter().filter(ours).map(|link| link.index).collect();
    // Those of a network that nobody is in are made again when they are needed.
    let used: Vec<String> = should_be.used.iter().map(carrier).collect();
    let annexes = Names::of(used.iter());
    let stray = |link: &&Link| {
        if annexes.has(&link.name) {
            return false;
        }
        let of_ours = link.master.is_some_and(|master| bridges.contains(&master));
        (ours(link) && !known.contains(&link.name))
            || (of_ours && link.kind == "veth" && !wanted.contains(&link.name))
    };
    for link in all.iter().filter(stray) {
        links.remove(link.index)?;
    }
    // Those that an engine made which knew no groups.
    let alone = |link: &&Link| ours(link) && link.kind == "bridge" && link.group != GROUP && !stray(link);
    for link in all.iter().filter(alone) {
        links.change(link.index, &Change { group: Some(GROUP), ..Change::default() })?;
    }
    let there: BTreeSet<&String> = all.iter().map(|link| &link.name).collect();
    Ok(wanted.difference(&there).map(|name| (*name).clone()).collect())
}

/// The link of the host that a network is carried by.
fn carrier(network: &Network) -> String {
    match network.direct() {
        Ok(Some(direct)) => direct.parent,
        _ => network.bridge(),
    }
}

/// The bridge's address does not change with the links that come and go.
fn mac_of(network: &Network) -> Mac {
    let octet = |at: usize| network.id.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    [0x02, 0x42, octet(0).unwrap_or(0), octet(2).unwrap_or(0), octet(4).unwrap_or(0), octet(6).unwrap_or(0)]
}
