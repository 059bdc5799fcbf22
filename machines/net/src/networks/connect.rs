//! Connections of containers: an end on a bridge where there is room, the other one with its addresses in their space.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd as _;

use dhow_model::network::{Direct, Network, Prefix};
use dhow_model::ports::{Carrier, LinkPlan, NetworkSpace, Networks as _};

use super::annex::{self, Annex, Known, Shape};
use super::{HostNetworks, bridges, direct, ipv6, spare, sysctls, ways};
use crate::link::{Address, Change, Links, Pair, Route};

impl HostNetworks {
    /// A link that cannot be given its addresses does not stay.
    pub(super) fn connect_direct(
        &self,
        space: &NetworkSpace,
        plan: &LinkPlan,
        direct: &Direct,
    ) -> io::Result<()> {
        let in_the_way =
            |error: &io::Error| direct::is_alone(direct) && error.kind() == io::ErrorKind::InvalidInput;
        direct::while_leaving(in_the_way, || {
            self.with_links(|links| direct::join(links, space, plan, direct))
        })?;
        // The link of a container that has ended has the address until the kernel comes to it.
        let in_the_way = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::ResourceBusy)
        };
        direct::while_leaving(in_the_way, || configure(space, plan)).inspect_err(|_| {
            if let Err(error) = self.disconnect_inside(space, &plan.interface) {
                tracing::warn!("{}", error.report());
            }
        })
    }

    /// Connects to the bridge of a network, or to an annex of it where there is room.
    pub(super) fn join(
        &self,
        space: &NetworkSpace,
        plan: &LinkPlan,
        first: &str,
        isolated: bool,
    ) -> io::Result<()> {
        let Carrier::Bridge { end, .. } = &plan.carrier else { return Ok(()) };
        let made = Cell::new(false);
        self.find_room(first, Shape { mtu: plan.mtu, isolated }, |links, bridge| {
            if made.replace(true) {
                return move_to(links, (end, isolated), bridge);
            }
            match space.take_spare() {
                Some(spare) => spare::adopt(links, space, plan, (bridge, &spare)),
                None => join(links, space, plan, bridge),
            }
        })
    }

    /// Finds a bridge of a network for which `put` finds room; annexes are made as they are needed.
    fn find_room(
        &self,
        first: &str,
        shape: Shape,
        put: impl Fn(&mut Links, &str) -> io::Result<()>,
    ) -> io::Result<()> {
        self.rooms.find(first, |number, known| {
            if number == 0 {
                return self.with_links(|links| put(links, first));
            }
            let annex = Annex::of(first, number);
            match known {
                Known::Yes => self.with_links(|links| annex.check(links, first))?,
                Known::No => {
                    self.with_links(|links| annex.check_removed(links))?;
                    self.make_annex(first, &annex, shape)?;
                }
            }
            self.with_links(|links| put(links, &annex.bridge))
        })
    }

    /// The rules come before the bridge.
    fn make_annex(&self, first: &str, annex: &Annex, shape: Shape) -> io::Result<()> {
        self.guard.add_annex(first, &annex.bridge)?;
        self.with_links(|links| annex.make(links, shape, &self.mark))
    }

    /// Puts ends of connections that are on no bridge of their network any more where there is room, when its bridges are
    /// there again.
    pub(super) fn attach_again(&self, network: &Network, interfaces: &[String]) -> io::Result<()> {
        let (first, isolated) = (network.bridge(), isolated(network));
        let shape = Shape { mtu: bridges::mtu(network), isolated };
        for annex in self.with_links(|links| Annex::chain(links, &first))? {
            self.make_annex(&first, &annex, shape)?;
        }
        // Each finds the place that it had: others remember by which port it is reached.
        self.rooms.forget(&first);
        for end in self.with_links(|links| bridges::astray(links, &first, interfaces))? {
            self.find_room(&first, shape, |links, bridge| move_to(links, (&end, isolated), bridge))?;
        }
        Ok(())
    }
}

/// Containers of the network reach each other by published ports only.
fn isolated(network: &Network) -> bool {
    !network.members_talk()
}

/// A pair of links from the bridge into the space.
pub(super) fn join(links: &mut Links, space: &NetworkSpace, plan: &LinkPlan, bridge: &str) -> io::Result<()> {
    let Carrier::Bridge { end, isolated, .. } = &plan.carrier else { return Ok(()) };
    let master = Some(annex::index(links, bridge)?);
    let namespace = space.handle().as_fd();
    let (peer, mac, mtu) = (plan.interface.as_str(), plan.mac, plan.mtu);
    links.add_pair(&Pair { name: end, master, peer, namespace, mac, mtu })?;
    set_port(links, (end, *isolated), bridge)
}

/// Puts an end of a connection on another bridge.
fn move_to(links: &mut Links, (end, isolated): (&str, bool), bridge: &str) -> io::Result<()> {
    let (master, link) = (Some(annex::index(links, bridge)?), annex::index(links, end)?);
    links.change(link, &Change { master, up: Some(true), ..Change::default() })?;
    set_port(links, (end, isolated), bridge)
}

fn set_port(links: &mut Links, (end, isolated): (&str, bool), bridge: &str) -> io::Result<()> {
    let Some(link) = links.find(end)? else { return Ok(()) };
    if !annex::has_room(&link) {
        return Err(annex::full(bridge));
    }
    bridges::keep_nameless(links, link.index);
    links.change(link.index, &bridges::port(isolated))
}

/// The container's end gets its addresses and ways.
pub(super) fn configure(space: &NetworkSpace, plan: &LinkPlan) -> io::Result<()> {
    ipv6::on_link(space, plan)?;
    let mut links = inside(space)?;
    let link = links.find(&plan.interface)?;
    let link = link.ok_or_else(|| io::Error::other(format!("there is no link {}", plan.interface)))?.index;
    let address = |prefix: &Prefix| Address { address: prefix.address, prefix: prefix.length };
    let addresses: Vec<Address> = plan.addresses.iter().map(address).collect();
    let routes: Vec<Route> = plan.ways.iter().map(|way| ways::route(way, link)).collect();
    sysctls::set(space, plan)?;
    links.configure(link, &addresses, &routes)
}

/// The links in a space.
pub(super) fn inside(space: &NetworkSpace) -> io::Result<Links> {
    Ok(Links::over(space.socket().try_clone()?))
}
