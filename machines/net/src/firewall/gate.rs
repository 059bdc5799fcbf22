//! A way by which published ports obey the host's own rules for what comes in.
//!
//! What is published goes to a container, so the kernel routes it and never shows it to the chains in which a host
//! says who may come in. With a gate, the first packet of a connection is let go there as if a program of the
//! host listened. If it is still alive after all of the host's rules, a copy of it goes out by one end of a pair of
//! links and comes back by the other, known to nobody; only what comes back is translated. The packets
//! after it belong to the connection that the copy began, and go straight to the container:
//!
//! ```text
//! first packet ── arrive ──▶ the host's input rules ── admit ──▶ copy ─ out ══ back ─ arrive ── published ──▶ container
//! all others ──── (known) ───────────────────────────────────────────────────────────────────────────────▶ container
//! ```
//!
//! The client's address is kept, a rejection is the host's own, and an accepted connection takes no longer.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd as _;

use crate::link::{Address, Change, Index, Mac, Pair};
use crate::sandbox::Sandbox;

/// Both ends have the same, so that what is sent to nobody in particular is taken.
const MAC: Mac = [2, 0, 0, 0, 0, 1];
/// The end that packets come back by needs an address, for a link without takes nothing when sources are
/// looked at. This one is for such uses (RFC 7600).
const DUMMY: Address = Address { address: IpAddr::V4(Ipv4Addr::new(192, 0, 0, 8)), prefix: 32 };
/// What of a link's name is left for the name of the engine.
const LONGEST: usize = 10;

/// A pair of links of the host, which leads to itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// The end by which copies leave.
    pub out: String,
    /// Its index.
    pub index: u32,
    /// The end by which they come back.
    pub back: String,
}

impl Gate {
    /// The one of this engine's name in a namespace; makes what is not there.
    ///
    /// # Errors
    /// The kernel's; `InvalidInput` for a name that is too long for links.
    pub fn open(host: &mut Sandbox, name: &str) -> io::Result<Self> {
        if name.is_empty() || name.len() > LONGEST {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{name:?} is too long for the name of a gate"),
            ));
        }
        let (out, back) = (format!("{name}-out"), format!("{name}-back"));
        if host.links().find(&out)?.is_none() {
            make(host, &out, &back)?;
        }
        let (index, end) = (find(host, &out)?, find(host, &back)?);
        let quiet = Change { mac: Some(MAC), resolves: Some(false), ..Change::default() };
        host.links().change(end, &Change { loose: Some(true), ..quiet })?;
        host.links().change(index, &quiet)?;
        let has = host.links().addresses()?.contains(&(end, DUMMY));
        host.links().configure(end, if has { &[] } else { &[DUMMY] }, &[])?;
        host.links().configure(index, &[], &[])?;
        Ok(Self { out, index: index.number(), back })
    }

    /// Takes the links of this name away, if there are any.
    ///
    /// # Errors
    /// The kernel's.
    pub fn close(host: &mut Sandbox, name: &str) -> io::Result<()> {
        match host.links().find(&format!("{name}-out"))? {
            Some(link) => host.links().remove(link.index),
            None => Ok(()),
        }
    }
}

fn make(host: &mut Sandbox, out: &str, back: &str) -> io::Result<()> {
    let namespace = host.as_fd().try_clone_to_owned()?;
    let pair =
        Pair { name: out, master: None, peer: back, namespace: namespace.as_fd(), mac: Some(MAC), mtu: None };
    host.links().add_pair(&pair)
}

fn find(host: &mut Sandbox, name: &str) -> io::Result<Index> {
    let link = host.links().find(name)?;
    link.map(|link| link.index)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no link {name}")))
}
