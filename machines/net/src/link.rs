//! Links with their addresses and routes (rtnetlink(7)), in one network namespace.

mod children;

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;

pub use children::{Child, Parent};

use crate::netlink::{Attributes, Failure, Message, Socket, attributes};

/// `struct ifinfomsg`: family, type, index, flags, changed flags.
const LINK_START: usize = 16;
const ADDRESS_START: usize = 8;
const VETH_PEER: u16 = 1;
/// `NLM_F_REPLACE`, `NLM_F_CREATE`, and that with `NLM_F_EXCL`.
const REPLACE: u16 = 0x100;
const CREATE: u16 = 0x400;
const EXCLUSIVE: u16 = 0x600;
/// `IFF_UP`.
const UP: u32 = 1;
/// `IFA_F_NODAD`.
const NO_DETECTION: u8 = 2;
/// Any metric greater than that of `lo`, by which the host goes on reaching itself; and each bridge its own.
const AFTER_LO: u32 = 1 << 16;
/// `AF_INET` and `AF_INET6`, as one byte.
const FOUR: u8 = 2;
const SIX: u8 = 10;

/// A link of this namespace, by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Index(pub(crate) u32);

impl Index {
    /// The number.
    pub(crate) const fn number(self) -> u32 {
        self.0
    }
}

/// A hardware address.
pub type Mac = [u8; 6];

/// What is known of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: Index,
    /// Its name.
    pub name: String,
    /// What it is: `bridge`, `veth`; nothing for hardware.
    pub kind: String,
    /// The bridge that it belongs to.
    pub master: Option<Index>,
    /// Its number there: the lowest that was free.
    pub port: Option<u16>,
    /// Its hardware address.
    pub mac: Option<Mac>,
    /// It is up.
    pub up: bool,
    /// What its maker wrote on it.
    pub alias: String,
}

/// One address of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// Bits of its network.
    pub prefix: u8,
}

/// A way of the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where it leads; nothing is everywhere (a default route).
    pub destination: Option<Address>,
    /// Through which neighbour.
    pub gateway: Option<IpAddr>,
    /// By which link.
    pub link: Option<Index>,
    /// The least is preferred.
    pub metric: u32,
}

/// A new pair of connected links, of which one end lies in another namespace.
#[derive(Debug, Clone)]
pub struct Pair<'a> {
    /// The end here.
    pub name: &'a str,
    /// Its bridge.
    pub master: Option<Index>,
    /// Name of the other end.
    pub peer: &'a str,
    /// Where the other end lies.
    pub namespace: BorrowedFd<'a>,
    /// Hardware address of the other end.
    pub mac: Option<Mac>,
    /// Bytes of a packet, of both.
    pub mtu: Option<u32>,
}

/// Links of one namespace.
#[derive(Debug)]
pub struct Links {
    socket: Socket,
}

impl Links {
    /// Of the namespace that this thread is in.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: Socket::route()? })
    }

    /// Of the namespace that a socket of rtnetlink(7) was made in.
    #[must_use]
    pub const fn over(socket: OwnedFd) -> Self {
        Self { socket: Socket::over(socket) }
    }

    /// The socket alone.
    pub(crate) fn into_socket(self) -> OwnedFd {
        self.socket.into_inner()
    }

    /// All links.
    ///
    /// # Errors
    /// The kernel's.
    pub fn all(&mut self) -> io::Result<Vec<Link>> {
        let mut links = Vec::new();
        let question = Message::new(libc::RTM_GETLINK, 0, &[0; LINK_START]);
        self.socket.dump(&question, |answer| links.extend(link(answer))).map_err(told("list links"))?;
        Ok(links)
    }

    /// The link of a name.
    ///
    /// # Errors
    /// The kernel's.
    pub fn find(&mut self, name: &str) -> io::Result<Option<Link>> {
        let mut question = Message::new(libc::RTM_GETLINK, 0, &[0; LINK_START]);
        question.text(libc::IFLA_IFNAME, name);
        match self.socket.ask(&question, link) {
            Err(failure) if failure.errno == Errno::NODEV => Ok(None),
            found => found.map(Some).map_err(told(format!("look for the link {name}"))),
        }
    }

    /// Makes a bridge, which is down and has `alias` written on it, and answers its index.
    ///
    /// # Errors
    /// The kernel's; `EEXIST` when the name is taken.
    pub fn add_bridge(&mut self, name: &str, mac: Mac, mtu: Option<u32>, alias: &str) -> io::Result<Index> {
        let mut request = Message::new(libc::RTM_NEWLINK, EXCLUSIVE, &[0; LINK_START]);
        request.text(libc::IFLA_IFNAME, name).put(libc::IFLA_ADDRESS, &mac);
        mtu.map(|mtu| request.number(libc::IFLA_MTU, mtu));
        request.nest(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, "bridge");
        });
        self.socket.request(&request).map_err(told(format!("make the bridge {name}")))?;
        self.mark(name, alias)
    }

    /// Writes on a link that was made just now whose it is.
    fn mark(&mut self, name: &str, alias: &str) -> io::Result<Index> {
        let made = self.find(name)?;
        if let Some(link) = made.as_ref().filter(|_| !alias.is_empty()) {
            let mut mark = Message::new(libc::RTM_NEWLINK, 0, &start(Some(link.index), 0, 0));
            // An alias does not end with a zero byte.
            mark.put(libc::IFLA_IFALIAS, alias.as_bytes());
            self.socket.request(&mark).map_err(told(format!("mark the link {name}")))?;
        }
        made.map(|link| link.index).ok_or_else(|| io::Error::other(format!("the link {name} is gone")))
    }

    /// Makes a pair of links; the end here is up when it has a bridge.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add_pair(&mut self, pair: &Pair<'_>) -> io::Result<()> {
        let up = if pair.master.is_some() { UP } else { 0 };
        let mut request = Message::new(libc::RTM_NEWLINK, EXCLUSIVE, &start(None, up, up));
        request.text(libc::IFLA_IFNAME, pair.name);
        pair.mtu.map(|mtu| request.number(libc::IFLA_MTU, mtu));
        pair.master.map(|master| request.number(libc::IFLA_MASTER, master.0));
        request.nest(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, "veth").nest(libc::IFLA_INFO_DATA, |data| {
                data.nest(VETH_PEER, |peer| peer_of(pair, peer));
            });
        });
        let what = || format!("make the pair of links {}", pair.name);
        self.socket.request(&request).map_err(|failure| told(what())(failure))
    }

    /// Changes a link: each of what is given.
    ///
    /// # Errors
    /// The kernel's.
    pub fn change(&mut self, link: Index, change: &Change<'_>) -> io::Result<()> {
        let message = changed(link, change);
        self.socket.request(&message).map_err(told(format!("change the link {}", link.0)))
    }

    /// Changes a link, step by step, in one packet.
    ///
    /// # Errors
    /// The kernel's: the first.
    pub fn change_all(&mut self, link: Index, steps: &[Change<'_>]) -> io::Result<()> {
        let steps: Vec<Message> = steps.iter().map(|step| changed(link, step)).collect();
        self.socket.batch(&steps).map_err(told(format!("change the link {}", link.0)))
    }

    /// Gives a link its addresses, puts it up, and adds routes, all in one packet.
    ///
    /// # Errors
    /// The kernel's: the first.
    pub fn configure(&mut self, link: Index, addresses: &[Address], routes: &[Route]) -> io::Result<()> {
        let mut all: Vec<Message> = addresses.iter().map(|address| new_address(link, *address)).collect();
        all.push(changed(link, &Change { up: Some(true), ..Change::default() }));
        all.extend(routes.iter().map(new_route));
        self.socket.batch(&all).map_err(told(format!("configure the link {}", link.0)))
    }

    /// Adds routes, in place of those with the same destination and metric, and takes others away; those that are
    /// gone already are no error.
    ///
    /// # Errors
    /// The kernel's: the first.
    pub fn reroute(&mut self, new: &[Route], gone: &[Route]) -> io::Result<()> {
        let new: Vec<Message> = new.iter().map(new_route).collect();
        if !new.is_empty() {
            self.socket.batch(&new).map_err(told("add routes"))?;
        }
        for route in gone {
            match self.socket.request(&route_message(libc::RTM_DELROUTE, 0, route)) {
                Err(failure) if failure.errno == Errno::SRCH => {}
                done => done.map_err(told("remove a route"))?,
            }
        }
        Ok(())
    }

    /// Lets packets for this host's own `::1` come by a bridge that is up, of which a port that is published there
    /// needs those that come back. None can come from a container, for the kernel drops what says ::1 on a wire.
    /// With `bridge-nf-call-ip6tables` it drops those, too, that were translated before it looks.
    ///
    /// # Errors
    /// The kernel's.
    pub fn take_loopback6(&mut self, bridge: Index) -> io::Result<()> {
        let message = loopback6(libc::RTM_NEWROUTE, CREATE | REPLACE, bridge);
        self.socket.request(&message).map_err(told(format!("let ::1 come by the link {}", bridge.0)))
    }

    /// Takes that back; it is no error when it is not there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn leave_loopback6(&mut self, bridge: Index) -> io::Result<()> {
        match self.socket.request(&loopback6(libc::RTM_DELROUTE, 0, bridge)) {
            // Nor has a kernel without version 6 such a route.
            Err(failure) if matches!(failure.errno, Errno::SRCH | Errno::OPNOTSUPP | Errno::AFNOSUPPORT) => {
                Ok(())
            }
            done => done.map_err(told(format!("keep ::1 from the link {}", bridge.0))),
        }
    }

    /// Removes a link; that it is gone already is no error.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(&mut self, link: Index) -> io::Result<()> {
        let request = Message::new(libc::RTM_DELLINK, 0, &start(Some(link), 0, 0));
        match self.socket.request(&request) {
            Err(failure) if failure.errno == Errno::NODEV => Ok(()),
            done => done.map_err(told(format!("remove the link {}", link.0))),
        }
    }

    /// All addresses, with the links that have them.
    ///
    /// # Errors
    /// The kernel's.
    pub fn addresses(&mut self) -> io::Result<Vec<(Index, Address)>> {
        let mut found = Vec::new();
        let question = Message::new(libc::RTM_GETADDR, 0, &[0; ADDRESS_START]);
        self.socket
            .dump(&question, |answer| found.extend(address(answer)))
            .map_err(told("list addresses"))?;
        Ok(found)
    }

    /// All routes of the main table.
    ///
    /// # Errors
    /// The kernel's.
    pub fn routes(&mut self) -> io::Result<Vec<Route>> {
        let mut found = Vec::new();
        let question = Message::new(libc::RTM_GETROUTE, 0, &[0; 12]);
        self.socket.dump(&question, |answer| found.extend(route(answer))).map_err(told("list routes"))?;
        Ok(found)
    }
}

fn loopback6(kind: u16, flags: u16, bridge: Index) -> Message {
    let begin = [SIX, 128, 0, 0, libc::RT_TABLE_LOCAL, libc::RTPROT_STATIC, 0, libc::RTN_LOCAL, 0, 0, 0, 0];
    let mut message = Message::new(kind, flags, &begin);
    message.put(libc::RTA_DST, &Ipv6Addr::LOCALHOST.octets()).number(libc::RTA_OIF, bridge.0);
    message.number(libc::RTA_PRIORITY, AFTER_LO + bridge.0);
    message
}

/// What can be changed of a link.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change<'a> {
    /// Up, or down.
    pub up: Option<bool>,
    /// Its name.
    pub name: Option<&'a str>,
    /// Its bridge.
    pub master: Option<Index>,
    /// Its hardware address.
    pub mac: Option<Mac>,
    /// Bytes of a packet.
    pub mtu: Option<u32>,
    /// It takes packets of the host's loopback addresses (`route_localnet`), of which a port that is published
    /// on 127.0.0.1 needs those that come back. The firewall drops all others: it comes first.
    pub loopback: Option<bool>,
    /// As a port of a bridge: no other port that is isolated too is reached through the bridge.
    pub isolated: Option<bool>,
    /// As a port of a bridge: frames may go out where they came in. A container reaches itself by its published
    /// port without, unless the host filters what bridges switch (`br_netfilter`).
    pub hairpin: Option<bool>,
    /// It asks where its neighbours are (ARP, neighbour discovery).
    pub resolves: Option<bool>,
    /// Whatever source it takes need only be known by any link (`rp_filter` is 2).
    pub loose: Option<bool>,
    /// It gives itself an address of version 6 when it comes up.
    pub names_itself: Option<bool>,
}

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

fn changed(link: Index, change: &Change<'_>) -> Message {
    let flag =
        |is: Option<bool>, flag: u32| (if is == Some(true) { flag } else { 0 }, is.map_or(0, |_| flag));
    let (up, quiet) = (flag(change.up, UP), flag(change.resolves.map(|resolves| !resolves), NO_ARP));
    let (flags, mask) = (up.0 | quiet.0, up.1 | quiet.1);
    let mut message = Message::new(libc::RTM_NEWLINK, 0, &start(Some(link), flags, mask));
    change.name.map(|name| message.text(libc::IFLA_IFNAME, name));
    change.master.map(|master| message.number(libc::IFLA_MASTER, master.0));
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

fn peer_of(pair: &Pair<'_>, peer: &mut Message) {
    let namespace = u32::try_from(pair.namespace.as_raw_fd()).unwrap_or_default();
    peer.raw(&[0; LINK_START]).text(libc::IFLA_IFNAME, pair.peer).number(libc::IFLA_NET_NS_FD, namespace);
    pair.mac.map(|mac| peer.put(libc::IFLA_ADDRESS, &mac));
    pair.mtu.map(|mtu| peer.number(libc::IFLA_MTU, mtu));
}

fn start(link: Option<Index>, flags: u32, mask: u32) -> [u8; LINK_START] {
    let mut bytes = [0; LINK_START];
    bytes[4..8].copy_from_slice(&link.map_or(0, |link| link.0).to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&mask.to_ne_bytes());
    bytes
}

fn new_address(link: Index, new: Address) -> Message {
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

fn new_route(route: &Route) -> Message {
    route_message(libc::RTM_NEWROUTE, CREATE | REPLACE, route)
}

fn route_message(kind: u16, flags: u16, route: &Route) -> Message {
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

fn link(answer: &[u8]) -> Option<Link> {
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
    })
}

fn address(answer: &[u8]) -> Option<(Index, Address)> {
    let all: Attributes<'_> = attributes(answer.get(ADDRESS_START..)?);
    let found = all.get(libc::IFA_LOCAL).or_else(|| all.get(libc::IFA_ADDRESS))?;
    let address = Address { address: read_octets(found)?, prefix: *answer.get(1)? };
    Some((Index(word(answer, 4)?), address))
}

fn route(answer: &[u8]) -> Option<Route> {
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

/// Puts what was tried before what the kernel says.
fn told(what: impl Into<String>) -> impl FnOnce(Failure) -> io::Error {
    let what = what.into();
    move |failure| io::Error::new(io::Error::from(failure.errno).kind(), format!("cannot {what}: {failure}"))
}
