//! Who may have a block of addresses: engines of one host do not choose the same.
//!
//! A network's addresses are chosen before there is a bridge that shows them. So its bridge is made while nobody else
//! makes one, and not where another has them by then: its engine chooses others.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use dhow_model::network::{Network, Prefix};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::bridges::MARK;
use crate::link::Links;

/// To make a bridge takes a millisecond. Whoever holds the lock for longer is no engine, and is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_millis(1);

/// While it is held no other engine of this network namespace makes a bridge.
#[derive(Debug)]
pub(super) struct Claim {
    _namespace: OwnedFd,
}

impl Claim {
    /// The lock is on the namespace itself: there is no file that two engines would have to agree on, and nothing to clean up.
    pub(super) fn wait() -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let namespace = rustix::fs::open("/proc/thread-self/ns/net", flags, Mode::empty())?;
        let end = Instant::now() + PATIENCE;
        while let Err(errno) = rustix::fs::flock(&namespace, FlockOperation::NonBlockingLockExclusive) {
            if errno != Errno::WOULDBLOCK || Instant::now() > end {
                tracing::debug!("nobody is kept from making bridges: {errno}");
                break;
            }
            thread::sleep(GLANCE);
        }
        Ok(Self { _namespace: namespace })
    }
}

/// A bridge that has addresses of a network already. Who asked for them himself may have them beside a bridge that no
/// engine made.
pub(super) fn holder(links: &mut Links, network: &Network) -> io::Result<Option<String>> {
    let addresses = links.addresses()?;
    let own = network.bridge();
    let overlaps = |prefix: Prefix| network.pools.iter().any(|pool| pool.subnet.overlaps(prefix));
    for bridge in links.all()?.into_iter().filter(|link| link.kind == "bridge" && link.name != own) {
        let mut held = addresses.iter().filter(|(link, _)| *link == bridge.index);
        let counts = network.chosen || bridge.alias.starts_with(MARK);
        if counts && held.any(|(_, held)| overlaps(Prefix::new(held.address, held.prefix).network())) {
            return Ok(Some(bridge.name));
        }
    }
    Ok(None)
}
