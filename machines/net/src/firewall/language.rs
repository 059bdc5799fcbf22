//! The part of nftables that we speak, as values: tables, chains, rules, sets and their elements.
//!
//! Nothing here knows what the rules are for. [`text()`](super::text()) writes a table as nft does, and
//! `encode` as the kernel reads it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::constants as nf;
use super::rules::Protocol;
use crate::link::Address;

/// A table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) home: Home,
    pub(super) name: String,
    pub(super) sets: Vec<Set>,
    pub(super) chains: Vec<Chain>,
    pub(super) elements: Vec<Element>,
}

/// The family of a table: which packets it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    Both,
    Four,
    Six,
}

/// A set, or a map when there is data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) home: Home,
    pub(super) name: &'static str,
    pub(super) key: &'static [Field],
    pub(super) data: &'static [Field],
    /// Its elements may be ranges.
    pub(super) interval: bool,
}

/// A chain: with a hook packets come by themselves, otherwise by a jump.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    pub(super) hook: Option<Hook>,
    pub(super) rules: Vec<Vec<Term>>,
}

/// Where a chain sits in the way of packets. Its policy is to accept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hook {
    pub(super) kind: &'static str,
    pub(super) place: Place,
    pub(super) priority: i32,
}

/// `NF_INET_…`, by its number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Prerouting = 0,
    Input = 1,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

/// One part of a rule: a condition, or what is done.
#[derive(Debug, Clone)]
pub(super) enum Term {
    /// The packet is of this family.
    Family(Family),
    /// It did not come by the interface of this name.
    NotFrom(String),
    /// It comes from or goes to an interface of this group.
    Grouped(Side, u32),
    /// The fields are in a set.
    In(&'static [Field], &'static Set),
    /// The address lies in a subnet.
    Within(Field, Address),
    /// The packet is of this protocol, and has this port on this side.
    Port(Protocol, Side, u16),
    /// The port of this side becomes another, in this packet alone: no connection is known of it.
    SetPort(Protocol, Side, u16),
    /// The connection is in one of these states.
    State(State),
    /// The connection's destination was translated.
    Translated,
    /// No connection is made of the packet, and nothing of it translated.
    Untracked,
    /// The destination is an address of this host.
    Local,
    /// The source becomes the address of the interface.
    Masquerade,
    /// The address (and the port, when the map has one) becomes what a map says of the fields.
    Translate(Side, Family, &'static [Field], &'static Set),
    /// A copy of the packet leaves by a link, which has a name and an index; no connection is known of it.
    Copy(Family, String, u32),
    Verdict(Verdict),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict {
    Accept,
    Drop,
    Return,
    Jump(&'static str),
    Goto(&'static str),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Source,
    Destination,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Four,
    Six,
}

/// `NF_CT_STATE_…`.
#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    Invalid,
    Known,
}

/// What is looked at in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    From,
    To,
    Protocol,
    Port,
    Source4,
    Source6,
    Destination4,
    Destination6,
}

/// An element of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) set: &'static Set,
    pub(super) key: Vec<Value>,
    pub(super) data: Vec<Value>,
}

/// A part of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Name(String),
    Protocol(Protocol),
    Ports(u16, u16),
    Address(IpAddr),
    Subnet(Address),
}

impl Field {
    /// How nft names it, and the type of its values.
    pub(super) const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::From => ("iifname", "ifname"),
            Self::To => ("oifname", "ifname"),
            Self::Protocol => ("meta l4proto", "inet_proto"),
            Self::Port => ("th dport", "inet_service"),
            Self::Source4 => ("ip saddr", "ipv4_addr"),
            Self::Source6 => ("ip6 saddr", "ipv6_addr"),
            Self::Destination4 => ("ip daddr", "ipv4_addr"),
            Self::Destination6 => ("ip6 daddr", "ipv6_addr"),
        }
    }

    /// nft's number of the type, which the kernel only keeps.
    pub(super) const fn kind(self) -> u32 {
        match self {
            Self::From | Self::To => 41,
            Self::Protocol => 12,
            Self::Port => 13,
            Self::Source4 | Self::Destination4 => 7,
            Self::Source6 | Self::Destination6 => 8,
        }
    }

    /// Bytes of a value.
    pub(super) const fn length(self) -> u32 {
        match self {
            Self::From | Self::To | Self::Source6 | Self::Destination6 => 16,
            Self::Protocol => 1,
            Self::Port => 2,
            Self::Source4 | Self::Destination4 => 4,
        }
    }

    /// The same in registers, which have 4 bytes.
    pub(super) const fn padded(self) -> u32 {
        self.length().next_multiple_of(4)
    }
}

impl Family {
    /// A neighbour that is not there, to which copies are sent: the link asks nobody where it is (RFC 7600; any
    /// address of the link).
    pub(super) const fn nobody(self) -> IpAddr {
        match self {
            Self::Four => IpAddr::V4(Ipv4Addr::new(192, 0, 0, 9)),
            Self::Six => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
        }
    }

    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Four => nf::NFPROTO_IPV4,
            Self::Six => nf::NFPROTO_IPV6,
        }
    }
}

impl Home {
    /// Its number, and nft's word.
    pub(super) const fn names(self) -> (u8, &'static str) {
        match self {
            Self::Both => (nf::NFPROTO_INET, "inet"),
            Self::Four => (nf::NFPROTO_IPV4, "ip"),
            Self::Six => (nf::NFPROTO_IPV6, "ip6"),
        }
    }
}

impl State {
    /// Bits, and nft's words.
    pub(super) const fn names(self) -> (u32, &'static str) {
        match self {
            Self::Invalid => (1, "invalid"),
            Self::Known => (2 | 4, "established,related"),
        }
    }
}

impl Value {
    /// The least of what it stands for, as in registers.
    pub(super) fn low(&self) -> Vec<u8> {
        padded(match self {
            Self::Name(name) => {
                let mut bytes = name.as_bytes().to_vec();
                bytes.resize(16, 0);
                bytes
            }
            Self::Protocol(protocol) => vec![protocol.number()],
            Self::Ports(first, _) => first.to_be_bytes().to_vec(),
            Self::Address(address) => octets(*address),
            Self::Subnet(subnet) => octets(edge(*subnet, false)),
        })
    }

    /// The greatest.
    pub(super) fn high(&self) -> Vec<u8> {
        match self {
            Self::Ports(_, last) => padded(last.to_be_bytes().to_vec()),
            Self::Subnet(subnet) => octets(edge(*subnet, true)),
            _ => self.low(),
        }
    }
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The first or the last address of a subnet.
pub(super) fn edge(subnet: Address, last: bool) -> IpAddr {
    match subnet.address {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(subnet.prefix.into()).unwrap_or_default();
            let bits = address.to_bits();
            IpAddr::V4(if last { bits | host } else { bits & !host }.into())
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(subnet.prefix.into()).unwrap_or_default();
            let bits = address.to_bits();
            IpAddr::V6(if last { bits | host } else { bits & !host }.into())
        }
    }
}
