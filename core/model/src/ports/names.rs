//! Names: what the name server inside containers asks of the engine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::ContainerId;

/// What is known of names, seen from one container.
///
/// The one port that is not blocking: it is asked on the tasks that answer every container's questions, thousands
/// of times a second. An answer comes from memory, takes microseconds, and waits for no lock that is held over
/// something slow. A container that is not (or no longer) known gets nothing but `Unknown` and `Servers::Nobody`.
pub trait Names: Send + Sync {
    /// The addresses of a name: of a container, an alias, a short id, a service, or a link, on the networks that
    /// `asker` is connected to. In lower case, as names are compared, and without the dot at its end.
    fn addresses(&self, asker: &ContainerId, name: &str) -> Addresses;

    /// The name of an address on those networks, for questions that go the other way: `web.network`.
    fn name(&self, asker: &ContainerId, address: IpAddr) -> Option<String>;

    /// Who is asked for all other names.
    fn upstreams(&self, asker: &ContainerId) -> Upstreams;
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// None of ours: the upstream servers may know it.
    Unknown,
    /// One of ours, whatever addresses it has: no upstream server is asked for anything about it. In any order.
    Known(Vec<Ipv4Addr>, Vec<Ipv6Addr>),
}

/// How questions leave a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upstreams {
    /// To whom.
    pub servers: Servers,
    /// Addresses of names without a dot are not asked for: `ndots` was set, so the program's own resolver tries
    /// them with the search domains.
    pub dotted_only: bool,
}

/// Servers that are asked, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Servers {
    /// No question leaves: the container has internal networks only.
    #[default]
    Nobody,
    /// Those of the host's resolv.conf, whatever it says at the time, asked from the host's network.
    Host,
    /// Those that were given for this container (`--dns`), asked from its own network: they are what it could reach
    /// by itself, also on an internal network.
    Given(Vec<IpAddr>),
}
