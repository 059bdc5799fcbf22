//! Ports that other engines of this host publish, read from their tables.
//!
//! Nobody holds a published port open, so the kernel does not refuse it to a second engine: the rules of one of them would win
//! in silence. What others publish is read once for each state of the kernel's rules, which has a number; mostly there is no
//! other engine, and nothing to read.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use super::constants as nf;
use super::encode;
use super::language::{Field, Home, Set};
use super::plan::PUBLISHED;
use crate::netlink::{Attributes, Failure, Socket, attributes};

/// `struct nfgenmsg`.
const START: usize = 4;
/// How the names of the tables of all engines begin.
const OURS: &str = "dhow";

/// What other engines publish.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere(Mutex<Option<Read>>);

#[derive(Debug)]
struct Read {
    socket: Socket,
    /// The number of the kernel's rules that this was read from.
    generation: u32,
    taken: Vec<Taken>,
}

/// One range of ports.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taken {
    protocol: u8,
    host: IpAddr,
    first: u16,
    last: u16,
    table: String,
}

impl Elsewhere {
    /// The table by which another engine than that of table `ours` publishes a port of the host. An unspecified address is all
    /// of its version.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn holder(
        &self,
        ours: &str,
        protocol: u8,
        host: IpAddr,
        port: u16,
    ) -> io::Result<Option<String>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = match &mut *held {
            Some(read) => read,
            none => none.insert(Read { socket: Socket::netfilter()?, generation: 0, taken: Vec::new() }),
        };
        read.refresh(ours).map_err(|failure| io::Error::from(failure.errno))?;
        let meets = |other: IpAddr| {
            other == host
                || (other.is_ipv4() == host.is_ipv4() && (other.is_unspecified() || host.is_unspecified()))
        };
        let is = |taken: &&Taken| {
            taken.protocol == protocol && (taken.first..=taken.last).contains(&port) && meets(taken.host)
        };
        Ok(read.taken.iter().find(is).map(|taken| taken.table.clone()))
    }
}

impl Read {
    fn refresh(&mut self, ours: &str) -> Result<(), Failure> {
        let question = encode::request(Home::Both, nf::NFT_MSG_GETGEN, 0);
        let generation = self.socket.ask(&question, |answer| {
            let number = attributes(answer.get(START..)?).get(nf::NFTA_GEN_ID)?;
            number.try_into().ok().map(u32::from_be_bytes)
        })?;
        if generation == self.generation {
            return Ok(());
        }
        self.taken.clear();
        for table in self.others(ours)? {
            for set in PUBLISHED {
                self.read(&table, set)?;
            }
        }
        self.generation = generation;
        Ok(())
    }

    fn others(&mut self, ours: &str) -> Result<Vec<String>, Failure> {
        let question = encode::request(Home::Both, nf::NFT_MSG_GETTABLE, 0);
        let mut names = Vec::new();
        self.socket.dump(&question, |answer| {
            let name = answer.get(START..).and_then(|rest| attributes(rest).text(nf::NFTA_TABLE_NAME));
            names.extend(name.filter(|name| name.starts_with(OURS) && *name != ours).map(str::to_owned));
        })?;
        Ok(names)
    }

    fn read(&mut self, table: &str, set: &Set) -> Result<(), Failure> {
        let mut question = encode::request(set.home, nf::NFT_MSG_GETSETELEM, 0);
        question.text(nf::NFTA_SET_ELEM_LIST_TABLE, table).text(nf::NFTA_SET_ELEM_LIST_SET, set.name);
        let taken = &mut self.taken;
        let read = self.socket.dump(&question, |answer| {
            let all = attributes(answer.get(START..).unwrap_or_default());
            let elements = all.nested(nf::NFTA_SET_ELEM_LIST_ELEMENTS);
            let each = elements.into_iter().flatten().filter(|(kind, _)| *kind == nf::NFTA_LIST_ELEM);
            taken.extend(each.filter_map(|(_, element)| range(attributes(element), set, table)));
        });
        match read {
            // It went in between, or is one of a version that has none.
            Err(failure) if failure.errno == rustix::io::Errno::NOENT => Ok(()),
            done => done,
        }
    }
}

fn range(element: Attributes<'_>, set: &Set, table: &str) -> Option<Taken> {
    let key = |kind| element.nested(kind)?.get(nf::NFTA_DATA_VALUE);
    let low = key(nf::NFTA_SET_ELEM_KEY)?;
    let high = key(nf::NFTA_SET_ELEM_KEY_END).unwrap_or(low);
    let address =
        [Field::Destination4, Field::Destination6].into_iter().find(|field| set.key.contains(field));
    let host = match address.map(|field| part(low, set, field)) {
        Some(bytes) => address_of(bytes?)?,
        None if set.name.ends_with('4') => Ipv4Addr::UNSPECIFIED.into(),
        None => Ipv6Addr::UNSPECIFIED.into(),
    };
    let port = |key| Some(u16::from_be_bytes(part(key, set, Field::Port)?.get(..2)?.try_into().ok()?));
    let protocol = *part(low, set, Field::Protocol)?.first()?;
    Some(Taken { protocol, host, first: port(low)?, last: port(high)?, table: table.to_owned() })
}

/// The bytes of a field in a key: they lie one after the other.
fn part<'k>(key: &'k [u8], set: &Set, wanted: Field) -> Option<&'k [u8]> {
    let padded = |field: &Field| usize::try_from(field.padded()).unwrap_or_default();
    let before = set.key.iter().take_while(|field| **field != wanted);
    let at: usize = before.map(padded).sum();
    key.get(at..at + padded(&wanted))
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
