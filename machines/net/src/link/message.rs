//! Links, addresses and routes in the kernel's form (rtnetlink(7)): what is sent, and what is read from its answers.

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsRawFd as _;

use super::{Address, Change, Index, Link, Pair, Route};
use crate::netlink::{Attributes, Message, attributes};

/// `struct ifinfomsg`: family, type, index, flags, changed flags.
pub(super) const LINK_START: usize = 16;
pub(super) const ADDRESS_START: usize = 8;
/// `NLM_F_REPLACE`, `NLM_F_CREATE`, and that with `NLM_F_EXCL`.
pub(super) const REPLACE: u16 = 0x100;
pub(super) const CREATE: u16 = 0x400;
pub(super) const EXCLUSIVE: u16 = 0x600;
/// `IFF_UP`.
pub(super) const UP: u32 = 1;
/// `IFA_F_NODAD`.
const NO_DETECTION: u8 = 2;
/// Any metric greater than that of `lo`, by which the host goes on reaching itself; and each bridge its own.
const AFTER_LO: u32 = 1 << 16;
/// `AF_INET` and `AF_INET6`, as one byte.
const FOUR: u8 = 2;
const SIX: u8 = 10;
/// `IFLA_INET_CONF`, and in it `IPV4_DEVCONF_ROUTE_LOCALNET`.
const INET_SETTINGS: u16 = 1;
const ROUTE_LOCALNET: u16 = 26;
const SOURCE_FILTER: u16 = 8;
/// `IFLA_INET6_ADDR_GEN_MODE`.
const OWN_ADDRESS: u16 = 8;
/// `IFF_NOARP`.
const NO_ARP: u32 = 0x80;
/// `IFLA_BRPORT_MODE`, `IFLA_BRPORT_NO`, `IFLA_BRPORT_ISOLATED`.
const PORT_HAIRPIN: u16 = 4;
const PORT_NUMBER: u16 = 18;
const PORT_ISOLATED: u16 = 33;

pub(super) fn changed(link: Index, change: &Change<'_>) -> Message {
    let flag =
        |is: Option<bool>, flag: u32| (if is == Some(true) { flag } else { 0 }, is.map_or(0, |_| flag));
    let (up, quiet) = (flag(change.up, UP), flag(change.resolves.map(|resolves| !resolves), NO_ARP));
    let (flags, mask) = (up.0 | quiet.0, up.1 | quiet.1);
    let mut message = Message::new(libc::RTM_NEWLINK, 0, &start(Some(link), flags, mask));
    change.name.map(|name| message.text(libc::IFLA_IFNAME, name));
    change.master.map(|master| message.number(libc::IFLA_MASTER, master.0));
    change.group.map(|group| message.number(libc::IFLA_GROUP, group));
    change.mac.map(|mac| message.put(libc::IFLA_ADDRESS, &mac));
    change.mtu.map(|mtu| message.number(libc::IFLA_MTU, mtu));
    let of_four = change.loopback.is_some() || change.loose.is_some();
    if of_four || change.names_itself.is_some() {
        message.nest(libc::IFLA_AF_SPEC, |families| {
            if of_four {
                families.nest(FOUR.into(), |four| {
                    four.nest(INET_SETTINGS, |settings| settings_of(change, settings));
                });
            }
            if let Some(own) = change.names_itself {
                families.nest(SIX.into(), |six| {
                    six.put(OWN_ADDRESS, &[u8::from(!own)]);
                });
            }
        });
    }
    if change.isolated.is_some() || change.hairpin.is_some() {
        message.nest(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_SLAVE_KIND, "bridge");
            info.nest(libc::IFLA_INFO_SLAVE_DATA, |port| {
                change.isolated.map(|isolated| port.put(PORT_ISOLATED, &[isolated.into()]));
                change.hairpin.map(|hairpin| port.put(PORT_HAIRPIN, &[hairpin.into()]));
            });
        });
    }
    message
}

fn settings_of(change: &Change<'_>, settings: &mut Message) {
    change.loopback.map(|loopback| settings.number(ROUTE_LOCALNET, loopback.into()));
    change.loose.map(|loose| settings.number(SOURCE_FILTER, if loose { 2 } else { 0 }));
}

pub(super) fn peer_of(pair: &Pair<'_>, peer: &mut Message) {
    let namespace = u32::try_from(pair.namespace.as_raw_fd()).unwrap_or_default();
    peer.raw(&[0; LINK_START]).text(libc::IFLA_IFNAME, pair.peer).number(libc::IFLA_NET_NS_FD, namespace);
    pair.mac.map(|mac| peer.put(libc::IFLA_ADDRESS, &mac));
    pair.mtu.map(|mtu| peer.number(libc::IFLA_MTU, mtu));
}

pub(super) fn start(link: Option<Index>, flags: u32, mask: u32) -> [u8; LINK_START] {
    let mut bytes = [0; LINK_START];
    bytes[4..8].copy_from_slice(&link.map_or(0, |link| link.0).to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&mask.to_ne_bytes());
    bytes
}

pub(super) fn new_address(link: Index, new: Address) -> Message {
    let [i, j, k, l] = link.0.to_ne_bytes();
    // No address is looked for twice on a bridge whose members we know: it could be used only after a second.
    let flags = if new.address.is_ipv6() { NO_DETECTION } else { 0 };
    let begin = [family(new.address), new.prefix, flags, 0, i, j, k, l];
    let mut message = Message::new(libc::RTM_NEWADDR, CREATE | REPLACE, &begin);
    let bytes = octets(new.address);
    message.put(libc::IFA_LOCAL, &bytes).put(libc::IFA_ADDRESS, &bytes);
    if let (IpAddr::V4(address), 0..=30) = (new.address, new.prefix) {
        let broadcast = address.to_bits() | (u32::MAX >> new.prefix);
        message.put(libc::IFA_BROADCAST, &broadcast.to_be_bytes());
    }
    message
}

pub(super) fn old_address(link: Index, old: Address) -> Message {
    let [i, j, k, l] = link.0.to_ne_bytes();
    let mut message =
        Message::new(libc::RTM_DELADDR, 0, &[family(old.address), old.prefix, 0, 0, i, j, k, l]);
    let bytes = octets(old.address);
    message.put(libc::IFA_LOCAL, &bytes).put(libc::IFA_ADDRESS, &bytes);
    message
}

pub(super) fn new_route(route: &Route) -> Message {
    route_message(libc::RTM_NEWROUTE, CREATE | REPLACE, route)
}

pub(super) fn route_message(kind: u16, flags: u16, route: &Route) -> Message {
    let any = route.destination.map(|to| to.address).or(route.gateway);
    let length = route.destination.map_or(0, |to| to.prefix);
    let scope = if route.gateway.is_some() { libc::RT_SCOPE_UNIVERSE } else { libc::RT_SCOPE_LINK };
    let begin = [
        any.map_or(FOUR, family),
        length,
        0,
        0,
        libc::RT_TABLE_MAIN,
        libc::RTPROT_STATIC,
        scope,
        libc::RTN_UNICAST,
        0,
        0,
        0,
        0,
    ];
    let mut message = Message::new(kind, flags, &begin);
    route.destination.map(|to| message.put(libc::RTA_DST, &octets(to.address)));
    route.gateway.map(|gateway| message.put(libc::RTA_GATEWAY, &octets(gateway)));
    route.link.map(|link| message.number(libc::RTA_OIF, link.0));
    if route.metric > 0 {
        message.number(libc::RTA_PRIORITY, route.metric);
    }
    message
}

pub(super) fn loopback6(kind: u16, flags: u16, bridge: Index) -> Message {
    let begin = [SIX, 128, 0, 0, libc::RT_TABLE_LOCAL, libc::RTPROT_STATIC, 0, libc::RTN_LOCAL, 0, 0, 0, 0];
    let mut message = Message::new(kind, flags, &begin);
    message.put(libc::RTA_DST, &Ipv6Addr::LOCALHOST.octets()).number(libc::RTA_OIF, bridge.0);
    message.number(libc::RTA_PRIORITY, AFTER_LO + bridge.0);
    message
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { FOUR } else { SIX }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn read_octets(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

pub(super) fn link(answer: &[u8]) -> Option<Link> {
    let all = attributes(answer.get(LINK_START..)?);
    let info = all.nested(libc::IFLA_LINKINFO);
    let kind = info.and_then(|info| info.text(libc::IFLA_INFO_KIND));
    let port = info.and_then(|info| info.nested(libc::IFLA_INFO_SLAVE_DATA)?.get(PORT_NUMBER));
    Some(Link {
        index: Index(word(answer, 4)?),
        name: all.text(libc::IFLA_IFNAME)?.to_owned(),
        kind: kind.unwrap_or_default().to_owned(),
        master: all.number(libc::IFLA_MASTER).map(Index),
        port: port.and_then(|number| number.try_into().ok()).map(u16::from_ne_bytes),
        mac: all.get(libc::IFLA_ADDRESS).and_then(|mac| mac.try_into().ok()),
        up: word(answer, 8)? & UP != 0,
        alias: all.text(libc::IFLA_IFALIAS).unwrap_or_default().to_owned(),
        group: all.number(libc::IFLA_GROUP).unwrap_or_default(),
    })
}

pub(super) fn address(answer: &[u8]) -> Option<(Index, Address)> {
    let all: Attributes<'_> = attributes(answer.get(ADDRESS_START..)?);
    let found = all.get(libc::IFA_LOCAL).or_else(|| all.get(libc::IFA_ADDRESS))?;
    let address = Address { address: read_octets(found)?, prefix: *answer.get(1)? };
    Some((Index(word(answer, 4)?), address))
}

pub(super) fn route(answer: &[u8]) -> Option<Route> {
    let all = attributes(answer.get(12..)?);
    if all.number(libc::RTA_TABLE) != Some(u32::from(libc::RT_TABLE_MAIN)) {
        return None;
    }
    let prefix = *answer.get(1)?;
    let destination = all.get(libc::RTA_DST).and_then(read_octets);
    Some(Route {
        destination: destination.map(|address| Address { address, prefix }),
        gateway: all.get(libc::RTA_GATEWAY).and_then(read_octets),
        link: all.number(libc::RTA_OIF).map(Index),
        metric: all.number(libc::RTA_PRIORITY).unwrap_or_default(),
    })
}
