//! What is made in namespaces before a container wants them: pairs of links, which are most of the time of a connection, and
//! sockets of the server of names.
//!
//! A pair's end in the container waits in the namespace that the container will have, the other on the host, down and on no
//! bridge. All is gone with the namespace, which is gone with this engine: however that ends, nothing is left.

use std::io;
use std::os::fd::AsFd as _;

use dhow_model::ports::{Carrier, LinkPlan, NetworkSpace, SparePair};

use super::connect::{inside, join};
use super::{annex, bridges};
use crate::dns::Listeners;
use crate::link::{Change, Index, Links, Pair};

/// What most containers call their first link. It may be renamed.
const INSIDE: &str = "eth0";

/// Sockets of the server of names, too, in a namespace that has a pair.
pub(super) fn pair_and_listeners(links: &mut Links, space: NetworkSpace) -> io::Result<NetworkSpace> {
    let listeners = Listeners::open(space.handle().as_fd())?.into_spare();
    Ok(pair(links, space)?.with_listeners(listeners))
}

/// A pair in a new namespace.
pub(super) fn pair(links: &mut Links, space: NetworkSpace) -> io::Result<NetworkSpace> {
    let name = format!("veth{:08x}", rand::random::<u32>());
    let namespace = space.handle().as_fd();
    links.add_pair(&Pair { name: &name, master: None, peer: INSIDE, namespace, mac: None, mtu: None })?;
    let end = annex::index(links, &name)?;
    bridges::keep_nameless(links, end);
    let end = end.number();
    let inside = annex::index(&mut inside(&space)?, INSIDE)?.number();
    Ok(space.with_spare(SparePair { name, end, inside }))
}

/// Makes a pair the connection to a bridge. Where it cannot be, another is made: somebody may have removed it.
pub(super) fn adopt(
    links: &mut Links,
    space: &NetworkSpace,
    plan: &LinkPlan,
    (bridge, spare): (&str, &SparePair),
) -> io::Result<()> {
    match connect(links, space, plan, (bridge, spare)) {
        Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => Err(error),
        Err(error) => {
            tracing::debug!("a pair of links that waited is of no use: {error}");
            links.remove(Index(spare.end))?;
            join(links, space, plan, bridge)
        }
        done => done,
    }
}

fn connect(
    links: &mut Links,
    space: &NetworkSpace,
    plan: &LinkPlan,
    (bridge, spare): (&str, &SparePair),
) -> io::Result<()> {
    let Carrier::Bridge { end, isolated, .. } = &plan.carrier else { return Ok(()) };
    let own = Change { name: Some(&plan.interface), mac: plan.mac, mtu: plan.mtu, ..Change::default() };
    inside(space)?.change(Index(spare.inside), &own)?;
    let master = Some(annex::index(links, bridge)?);
    let on = Change { master, mtu: plan.mtu, ..Change::default() };
    let port = Change { up: Some(true), ..bridges::port(*isolated) };
    links.change_all(Index(spare.end), &[on, port])?;
    match links.find(end)? {
        Some(link) if !annex::has_room(&link) => Err(annex::full(bridge)),
        _ => Ok(()),
    }
}
