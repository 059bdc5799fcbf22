//! Links with their addresses and routes (rtnetlink(7)), in one network namespace.

mod children;
mod message;

use std::io;
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;

pub use children::{Child, Parent};

use crate::netlink::{Failure, Message, Socket};
use message::{
    ADDRESS_START, CREATE, EXCLUSIVE, LINK_START, REPLACE, UP, address, changed, link, loopback6,
    new_address, new_route, old_address, peer_of, route, route_message, start,
};

const VETH_PEER: u16 = 1;
/// The group of links (`ip link show group …`) that all bridges of all engines are in, by which engines of one host know
/// each other's. Nobody hands these numbers out; it spells the name.
pub const GROUP: u32 = u32::from_be_bytes(*b"dhow");

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
    /// The number of its group; 0 by itself.
    pub group: u32,
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

    /// Makes a bridge, which is down and has `alias` written on it, and answers its index. With an alias it is an engine's,
    /// and in their group.
    ///
    /// # Errors
    /// The kernel's; `EEXIST` when the name is taken.
    pub fn add_bridge(&mut self, name: &str, mac: Mac, mtu: Option<u32>, alias: &str) -> io::Result<Index> {
        let mut request = Message::new(libc::RTM_NEWLINK, EXCLUSIVE, &[0; LINK_START]);
        request.text(libc::IFLA_IFNAME, name).put(libc::IFLA_ADDRESS, &mac);
        mtu.map(|mtu| request.number(libc::IFLA_MTU, mtu));
        if !alias.is_empty() {
            request.number(libc::IFLA_GROUP, GROUP);
        }
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

    /// Takes an address away from a link; that it is not there is no error.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_address(&mut self, link: Index, old: Address) -> io::Result<()> {
        match self.socket.request(&old_address(link, old)) {
            Err(failure) if failure.errno == Errno::ADDRNOTAVAIL => Ok(()),
            done => done.map_err(told(format!("take {} away from the link {}", old.address, link.0))),
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

/// What can be changed of a link.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change<'a> {
    /// Up, or down.
    pub up: Option<bool>,
    /// Its name.
    pub name: Option<&'a str>,
    /// Its bridge.
    pub master: Option<Index>,
    /// The number of its group.
    pub group: Option<u32>,
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

/// Puts what was tried before what the kernel says.
fn told(what: impl Into<String>) -> impl FnOnce(Failure) -> io::Error {
    let what = what.into();
    move |failure| io::Error::new(io::Error::from(failure.errno).kind(), format!("cannot {what}: {failure}"))
}
