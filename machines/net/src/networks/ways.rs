//! Default ways of a container: of several the one with the least metric is taken.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dhow_model::ports::Way;

use crate::link::{Address, Index, Links, Route};

/// What the kernel takes for none in routes of version 6: whatever is less goes before it.
const LEAST_SIX: u32 = 1024;

/// One by a link; `place` is that of its network among the container's.
pub(super) fn route(way: &Way, link: Index, place: u32) -> Route {
    let everybody = |address: IpAddr| Some(Address { address, prefix: 0 });
    let (destination, gateway, six) = match way {
        Way::Gateway(gateway) => (None, Some(*gateway), gateway.is_ipv6()),
        Way::Link4 => (everybody(Ipv4Addr::UNSPECIFIED.into()), None, false),
        Way::Link6 => (everybody(Ipv6Addr::UNSPECIFIED.into()), None, true),
    };
    Route { destination, gateway, link: Some(link), metric: if six { LEAST_SIX + place } else { place } }
}

/// Puts the ways of these links in order, unless they are.
pub(super) fn order(links: &mut Links, order: &[(String, Vec<Way>)]) -> io::Result<()> {
    let there = links.routes()?;
    let there: Vec<&Route> = there.iter().filter(|route| route.destination.is_none()).collect();
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    for (place, (name, ways)) in (0..).zip(order) {
        let Some(link) = links.find(name)? else { continue };
        for way in ways {
            let wanted = route(way, link.index, place);
            let same = |other: &&&Route| other.link == wanted.link && other.gateway == wanted.gateway;
            gone.extend(there.iter().filter(same).map(|other| Route { metric: other.metric, ..wanted }));
            new.push(wanted);
        }
    }
    let is_there = |wanted: &Route| {
        let same = |gone: &&Route| gone.link == wanted.link && gone.gateway == wanted.gateway;
        gone.iter().filter(same).any(|gone| gone.metric == wanted.metric)
    };
    if gone.len() == new.len() && new.iter().all(is_there) {
        return Ok(());
    }
    // One that is added takes the place of whichever has its metric: all go first.
    links.reroute(&gone, &new)
}
