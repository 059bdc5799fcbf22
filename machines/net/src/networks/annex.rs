//! More containers on a network than one bridge can carry.
//!
//! A bridge of Linux has 1,023 ports, and with more than some hundred its broadcasts do not reach all: the copies for all ports
//! wait in a queue of 1,000 (`net.core.netdev_max_backlog`), and what is too much is dropped. So 500 containers
//! are put on one bridge. What comes then is put on further bridges, the annexes, each of which hangs on the one before by a
//! pair of links; they have no part in addresses, routes or names. To the containers it is one wire:
//!
//! ```text
//!   first bridge (gateway) ─ up1 ══ down1 ─ annex 1 ─ up2 ══ down2 ─ annex 2 ─ ···
//!   │ │ │ ··· containers                    │ │ ···                  │ │ ···
//! ```
//!
//! They hang on each other and not all on the first, for a broadcast then waits in the queue once a bridge, one after the other.
//!
//! Rules see a packet once, on the first bridge: on annexes nothing is tracked (`ANNEXES` of the firewall). One limit is
//! left: where the host filters what bridges switch (`br_netfilter`), a container of an annex does not reach the published
//! ports of containers of the same annex, for the first bridge sends no frame out where it came in. If it did, broadcasts
//! would come back, too, and the annex would look for their senders in the wrong place.
//!
//! Nobody counts containers, which go away without a word: a new port gets the lowest number that is free, and that says whether
//! there is room.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::{Mutex, PoisonError};

use super::ipv6;
use crate::link::{Change, Index, Link, Links, Mac, Pair};

/// Annexes of a network: with the first bridge there is room for an IPv4 network of 16 bits.
pub(super) const MOST: u8 = 131;
/// Somebody may have removed some of them.
const FEW: u8 = 8;
/// Containers of a bridge.
const ROOM: u16 = 500;
/// On which bridge of each network there was room last; the first is 0.
#[derive(Debug, Default)]
pub(super) struct Rooms(Mutex<BTreeMap<String, u8>>);

impl Rooms {
    /// Finds a bridge for which `connect` does not say that it is full: the one where there was room last, which is
    /// known to be there, then each.
    pub(super) fn find(&self, first: &str, connect: impl Fn(u8, Known) -> io::Result<()>) -> io::Result<()> {
        let last = self.lock().get(first).copied().unwrap_or(0);
        let others = (0..=MOST).filter(|number| *number != last).map(|number| (number, Known::No));
        let mut full = None;
        for (number, known) in std::iter::once((last, Known::Yes)).chain(others) {
            match connect(number, known) {
                Err(error) if is_full(&error) => full = Some(error),
                // Somebody may have removed it: all is looked at anew, with who was on it.
                Err(error) if known == Known::Yes => {
                    self.forget(first);
                    return Err(error);
                }
                Ok(()) if number != last => {
                    self.lock().insert(first.to_owned(), number);
                    return Ok(());
                }
                done => return done,
            }
        }
        full.map_or(Ok(()), Err)
    }

    /// They are gone with the first.
    pub(super) fn forget(&self, first: &str) {
        self.lock().remove(first);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this engine put a container on a bridge already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It did.
    Yes,
    /// It may have to be made.
    No,
}

/// There is no room on a bridge.
pub(super) fn full(bridge: &str) -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, format!("there is no room on the bridge {bridge}"))
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::QuotaExceeded
}

/// A container's port has a place where there is room.
pub(super) fn has_room(end: &Link) -> bool {
    end.port.is_none_or(|port| port <= ROOM)
}

/// One annex of a bridge: the names of its links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Annex {
    number: u8,
    /// The bridge that it hangs on.
    before: String,
    /// The further bridge.
    pub(super) bridge: String,
    up: String,
    down: String,
}

/// What all ports of a network have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Bytes of a packet.
    pub(super) mtu: Option<u32>,
    /// No container reaches another through the bridges.
    pub(super) isolated: bool,
}

impl Annex {
    /// The one of this number, from 1 on, of a bridge.
    pub(super) fn of(first: &str, number: u8) -> Self {
        let name = |kind: &str, number: u8| format!("{kind}{number:02x}{}", tail(first));
        let before = if number > 1 { name("dx", number - 1) } else { first.to_owned() };
        let (up, down) = (name("du", number), name("dd", number));
        Self { number, before, bridge: name("dx", number), up, down }
    }

    /// Those that a bridge should have: where one is, there are those before it.
    pub(super) fn chain(links: &mut Links, first: &str) -> io::Result<Vec<Self>> {
        let last = Self::all(links, first)?.last().map_or(0, |annex| annex.number);
        Ok((1..=last).map(|number| Self::of(first, number)).collect())
    }

    /// Those that a bridge has, whole or not.
    pub(super) fn all(links: &mut Links, first: &str) -> io::Result<Vec<Self>> {
        let mut found: Vec<Self> = Vec::new();
        for number in 1..=MOST {
            let annex = Self::of(first, number);
            // Each hangs on the one before. Whoever takes more of them away than a few takes all.
            if number - found.last().map_or(0, |annex| annex.number) > FEW {
                break;
            }
            if links.find(&annex.bridge)?.is_some() || links.find(&annex.up)?.is_some() {
                found.push(annex);
            }
        }
        Ok(found)
    }

    /// Makes what is missing of it; the one before is there.
    pub(super) fn make(&self, links: &mut Links, shape: Shape, mark: &str) -> io::Result<()> {
        let bridge = index(links, &self.before)?;
        let annex = match links.find(&self.bridge)? {
            Some(link) => link.index,
            None => links.add_bridge(&self.bridge, self.mac(bridge), shape.mtu, mark)?,
        };
        ipv6::on_bridge(&self.bridge, false)?;
        // It switches, and is nobody's neighbour: what it took for the host would pass by the rules of its network.
        links.change(annex, &Change { up: Some(true), resolves: Some(false), ..Change::default() })?;
        if links.find(&self.up)?.is_none() {
            let namespace = File::open("/proc/thread-self/ns/net")?;
            let (name, peer, namespace) = (self.up.as_str(), self.down.as_str(), namespace.as_fd());
            links.add_pair(&Pair { name, master: None, peer, namespace, mac: None, mtu: shape.mtu })?;
        }
        let (up, down) = (index(links, &self.up)?, index(links, &self.down)?);
        let on = |master| Change { master: Some(master), up: Some(true), ..Change::default() };
        links.change(down, &on(annex))?;
        links.change(up, &on(bridge))?;
        // Who is apart from the containers of that bridge is so from those behind this port.
        links.change(up, &Change { isolated: Some(shape.isolated), ..Change::default() })
    }

    /// Fails when somebody removed it, with containers that were on it.
    pub(super) fn check_removed(&self, links: &mut Links) -> io::Result<()> {
        if links.find(&self.bridge)?.is_none() && links.find(&self.up)?.is_some() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("the bridge {} is gone", self.bridge),
            ));
        }
        Ok(())
    }

    /// Fails when it does not hang on the first bridge any more: somebody removed a link on the way.
    pub(super) fn check(&self, links: &mut Links, first: &str) -> io::Result<()> {
        for annex in (1..=self.number).map(|number| Self::of(first, number)) {
            for end in [&annex.up, &annex.down] {
                let hangs = links.find(end)?.is_some_and(|link| link.master.is_some());
                hangs.then_some(()).ok_or_else(|| {
                    io::Error::new(io::ErrorKind::NotFound, format!("the link {end} is on no bridge"))
                })?;
            }
        }
        Ok(())
    }

    /// Takes it away.
    pub(super) fn remove(&self, links: &mut Links) -> io::Result<()> {
        for name in [&self.up, &self.bridge] {
            if let Some(link) = links.find(name)? {
                links.remove(link.index)?;
            }
        }
        Ok(())
    }

    fn mac(&self, first: Index) -> Mac {
        let [_, two, three, four] = first.number().to_be_bytes();
        [0x02, 0x42, self.number, two, three, four]
    }
}

/// Tells links of annexes of these bridges from others, by their names.
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// Of bridges by their names.
    pub(super) fn of<'n>(bridges: impl Iterator<Item = &'n String>) -> Self {
        Self(bridges.map(|name| tail(name)).collect())
    }

    /// Whether a link is part of one.
    pub(super) fn has(&self, link: &str) -> bool {
        let prefix = link.get(..2).filter(|prefix| matches!(*prefix, "dx" | "du" | "dd"));
        prefix.is_some() && link.get(4..).is_some_and(|tail| self.0.contains(tail))
    }
}

/// The link of a name, which has to be there.
pub(super) fn index(links: &mut Links, name: &str) -> io::Result<Index> {
    let link = links.find(name)?;
    link.map(|link| link.index).ok_or_else(|| io::Error::other(format!("there is no link {name}")))
}

/// What names of links have room for of the name of a bridge.
fn tail(bridge: &str) -> String {
    // FNV-1a: no more is asked than that the bridges of one host differ.
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = bridge.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    format!("-{:010x}", hash & 0x00ff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_links_and_are_known_again() {
        let annex = Annex::of("br-0123456789ab", MOST);
        let (mine, other) = ("br-0123456789ab".to_owned(), "br-0123456789ac".to_owned());
        for name in [&annex.bridge, &annex.up, &annex.down] {
            assert!(name.len() <= 15, "{name}");
            assert!(Names::of([&mine].into_iter()).has(name) && !Names::of([&other].into_iter()).has(name));
        }
        assert!(!Names::of([&mine].into_iter()).has("veth1") && !Names::of([&mine].into_iter()).has("d"));
    }

    #[test]
    fn room_is_looked_for_where_it_was_last() {
        let rooms = Rooms::default();
        let tried = Mutex::new(Vec::new());
        let connect = |room: u8| {
            let tried = &tried;
            move |number: u8, _: Known| {
                tried.lock().unwrap().push(number);
                if number == room { Ok(()) } else { Err(io::ErrorKind::QuotaExceeded.into()) }
            }
        };
        rooms.find("br0", connect(2)).unwrap();
        rooms.find("br0", connect(2)).unwrap();
        rooms.find("br0", connect(1)).unwrap();
        assert_eq!(*tried.lock().unwrap(), [0, 1, 2, 2, 2, 0, 1]);
        assert!(is_full(&rooms.find("br0", connect(MOST + 1)).unwrap_err()));
        // One that was there and is not is told of, and looked for from the first on.
        rooms.find("br0", connect(2)).unwrap();
        let gone = |number: u8, known: Known| match (number, known) {
            (2, Known::Yes) => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(()),
        };
        assert_eq!(rooms.find("br0", gone).unwrap_err().kind(), io::ErrorKind::NotFound);
        rooms.find("br0", gone).unwrap();
    }
}
