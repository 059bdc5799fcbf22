//! Default ways of a container: one of each version, as with Docker.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dhow_model::ports::Way;

use crate::link::{Address, Index, Links, Route};

/// What the kernel takes for none in routes of version 6.
const USUAL_SIX: u32 = 1024;

/// One by a link.
pub(super) fn route(way: &Way, link: Index) -> Route {
    let everybody = |address: IpAddr| Some(Address { address, prefix: 0 });
    let (destination, gateway) = match way {
        Way::Gateway(gateway) => (None, Some(*gateway)),
        Way::Link4 => (everybody(Ipv4Addr::UNSPECIFIED.into()), None),
        Way::Link6 => (everybody(Ipv6Addr::UNSPECIFIED.into()), None),
    };
    Route { destination, gateway, link: Some(link), metric: if way.is_six() { USUAL_SIX } else { 0 } }
}

/// Leaves of the ways of these links the first of each version, unless it is so.
pub(super) fn order(links: &mut Links, order: &[(String, Vec<Way>)]) -> io::Result<()> {
    let there = links.routes()?;
    let there: Vec<&Route> = there.iter().filter(|route| route.destination.is_none()).collect();
    let (mut gone, mut new, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    for (name, ways) in order {
        let Some(link) = links.find(name)? else { continue };
        for way in ways {
            let own = route(way, link.index);
            let found = there.iter().filter(|other| other.link == own.link && other.gateway == own.gateway);
            let mut found: Vec<Route> = found.map(|other| Route { metric: other.metric, ..own }).collect();
            if !versions.contains(&way.is_six()) {
                versions.push(way.is_six());
                // An earlier engine gave each network a way, with a metric of its own.
                found.retain(|other| other.metric != own.metric);
                new.push(own);
            }
            gone.extend(found);
        }
    }
    let is_there = |wanted: &Route| {
        let same = |other: &&&Route| other.link == wanted.link && other.gateway == wanted.gateway;
        there.iter().filter(same).any(|other| other.metric == wanted.metric)
    };
    new.retain(|wanted| !is_there(wanted));
    links.reroute(&new, &gone)
}
