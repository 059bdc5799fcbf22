//! Networks of containers on the host: bridges, links, addresses, rules.

use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::UserSpace;
use crate::network::{Direct, Driver, Network, Prefix, Published};
use crate::{ContainerId, Result};

/// What the rules of networks reach the world by.
pub trait Networks: Send + Sync {
    /// Blocks of addresses that the host's routes and links use, with the name of the link.
    fn used_by_host(&self) -> Result<Vec<(Prefix, String)>>;

    /// Whether the host's link of this name is a bridge; nothing when there is none.
    fn has_bridge(&self, name: &str) -> Result<Option<bool>>;

    /// Makes the network's bridge and its rules, or the link of the host that its containers hang on; nothing happens
    /// when all is there.
    ///
    /// # Errors
    /// A conflict when another bridge has its addresses by now.
    fn set_up(&self, network: &Network) -> Result<()>;

    /// Removes them; it is no error when nothing is there.
    fn take_down(&self, network: &Network) -> Result<()>;

    /// What a new engine says once. What is missing of networks and ports is made again, what is of no network and
    /// no container is removed. Answers which ends of connections are not there.
    fn restore(&self, should_be: &ShouldBe) -> Result<Vec<String>>;

    /// Puts ends of connections that there are on the network's bridge; those that are on it stay.
    fn attach(&self, network: &Network, interfaces: &[String]) -> Result<()>;

    /// A space of its own, with a loopback interface, for a first connection by this driver; with `names` questions for
    /// names will be answered in it.
    fn space(&self, driver: Driver, names: bool) -> Result<NetworkSpace>;

    /// The same, of a user namespace that was made with one: who is root there rules it.
    fn space_in(&self, user: &UserSpace) -> Result<NetworkSpace>;

    /// The space that a process is in.
    fn space_of(&self, pid: i32) -> Result<NetworkSpace>;

    /// Chains of the host's own firewall that drop what is routed, as `ip filter FORWARD`: what our rules let pass may end
    /// there.
    fn obstacles(&self) -> Vec<String>;

    /// Connects a space to a network that is set up.
    fn connect(&self, space: &NetworkSpace, link: &LinkPlan) -> Result<()>;

    /// Gives a space its default way of each version: the first of these, and none of the others.
    fn order_ways(&self, space: &NetworkSpace, links: &[(String, Vec<Way>)]) -> Result<()>;

    /// Whether a space has a link of this name.
    fn has_link(&self, space: &NetworkSpace, interface: &str) -> Result<bool>;

    /// Takes the connection to a bridge away; it is no error when it is gone.
    fn disconnect(&self, host_interface: &str) -> Result<()>;

    /// Takes a link out of a space; it is no error when it is gone.
    fn disconnect_inside(&self, space: &NetworkSpace, interface: &str) -> Result<()>;

    /// Answers questions for names in a space, until [`stop_names`](Self::stop_names).
    fn serve_names(&self, container: &ContainerId, space: &NetworkSpace) -> Result<()>;

    /// Ends that; it is no error when nobody is served.
    fn stop_names(&self, container: &ContainerId);

    /// The addresses that the host's name servers have for a name, those of version 4 first; none, when they know of
    /// none. Takes as long as they do.
    ///
    /// # Errors
    /// When none of them answers.
    fn look_up(&self, name: &str) -> Result<Vec<IpAddr>>;

    /// Whether a port of the host is free for a container.
    ///
    /// # Errors
    /// A conflict when a program of the host has it: `address already in use`.
    fn check_port(&self, protocol: &str, host: IpAddr, port: u16) -> Result<()>;

    /// Makes ports of the host lead to a container.
    ///
    /// # Errors
    /// What the firewall refuses; nothing is published then.
    fn publish(&self, publication: &Publication) -> Result<()>;

    /// Takes that back; it is no error when it is not there.
    fn unpublish(&self, publication: &Publication) -> Result<()>;
}

/// What an engine knows that there should be on the host.
#[derive(Debug, Clone, Default)]
pub struct ShouldBe {
    /// All its networks.
    pub known: Vec<Network>,
    /// Those that running containers are in.
    pub used: Vec<Network>,
    /// The ports that lead to them.
    pub published: Vec<Publication>,
    /// The ends, on the host, of their connections.
    pub interfaces: Vec<String>,
}

/// A network namespace; it is gone with the last handle and the last process in it.
#[derive(Debug, Clone)]
pub struct NetworkSpace {
    handle: Arc<OwnedFd>,
    path: PathBuf,
    socket: Arc<OwnedFd>,
    spare: Arc<Mutex<Spare>>,
}

/// What was made for a space in advance, and is nobody's yet.
#[derive(Debug, Default)]
struct Spare {
    pair: Option<SparePair>,
    listeners: Option<SpareListeners>,
}

/// Links that lead into a space and are nobody's connection yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparePair {
    /// The name of the end on the host.
    pub name: String,
    /// Its number.
    pub end: u32,
    /// The number of the end in the space.
    pub inside: u32,
}

/// Where questions for names will arrive in a space.
#[derive(Debug)]
pub struct SpareListeners {
    /// By datagrams.
    pub datagrams: UdpSocket,
    /// By connections.
    pub streams: TcpListener,
}

impl NetworkSpace {
    /// A namespace by its handle, the path by which other processes open it, and a socket of rtnetlink(7) in it.
    #[must_use]
    pub fn new(handle: OwnedFd, path: PathBuf, socket: OwnedFd) -> Self {
        Self { handle: Arc::new(handle), path, socket: Arc::new(socket), spare: Arc::default() }
    }

    /// The same with a pair of links for the first connection.
    #[must_use]
    pub fn with_spare(self, pair: SparePair) -> Self {
        self.lock_spare().pair = Some(pair);
        self
    }

    /// The same with sockets for the server of names.
    #[must_use]
    pub fn with_listeners(self, listeners: SpareListeners) -> Self {
        self.lock_spare().listeners = Some(listeners);
        self
    }

    /// What the pair's end on the host is called, while nobody has it.
    #[must_use]
    pub fn spare_end(&self) -> Option<String> {
        self.lock_spare().pair.as_ref().map(|pair| pair.name.clone())
    }

    /// The pair, for who asks first.
    #[must_use]
    pub fn take_spare(&self) -> Option<SparePair> {
        self.lock_spare().pair.take()
    }

    /// The sockets, for who asks first.
    #[must_use]
    pub fn take_listeners(&self) -> Option<SpareListeners> {
        self.lock_spare().listeners.take()
    }

    fn lock_spare(&self) -> MutexGuard<'_, Spare> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handle.
    #[must_use]
    pub fn handle(&self) -> &OwnedFd {
        &self.handle
    }

    /// What its links are changed by.
    #[must_use]
    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// A path that holds while the handle does.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// One connection of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkPlan {
    /// What the link is connected to.
    pub carrier: Carrier,
    /// The end in the container.
    pub interface: String,
    /// Hardware address of the container's end; nothing when it is that of the carrier.
    pub mac: Option<[u8; 6]>,
    /// Bytes of a packet.
    pub mtu: Option<u32>,
    /// Addresses of the container.
    pub addresses: Vec<Prefix>,
    /// Default ways.
    pub ways: Vec<Way>,
    /// Settings of the link: paths below /proc/sys, in which `IFNAME` stands for it, and values.
    pub sysctls: Vec<(String, String)>,
}

/// What a container's link is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carrier {
    /// A bridge of the host, by a pair of links.
    Bridge {
        /// Its name.
        name: String,
        /// The end on the host.
        end: String,
        /// Other containers of the network are reached by published ports only.
        isolated: bool,
    },
    /// A link of the host.
    Direct(Direct),
}

/// A default way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By a neighbour.
    Gateway(IpAddr),
    /// Everybody of version 4 is on the link.
    Link4,
    /// Everybody of version 6 is on the link.
    Link6,
}

impl Way {
    /// It is one of version 6.
    #[must_use]
    pub const fn is_six(&self) -> bool {
        matches!(self, Self::Link6 | Self::Gateway(IpAddr::V6(_)))
    }
}

/// Ports that lead to one container's address in one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The bridge's name.
    pub bridge: String,
    /// The container's address of version 4.
    pub ipv4: Option<IpAddr>,
    /// The container's address of version 6.
    pub ipv6: Option<IpAddr>,
    /// Its ports.
    pub ports: Vec<Published>,
}
