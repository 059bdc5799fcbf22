//! IPv6 of links: there where the network has it, and nowhere else.
//!
//! A link that is up speaks IPv6 unasked. In a network of version 4 containers would reach each other and the host by it past
//! all that is set for version 4 (CVE-2024-32473), and whoever says on a bridge that he is a router would be
//! believed, by the host too (CVE-2020-13401).

use std::io;
use std::os::fd::AsFd;

use dhow_model::ports::{Carrier, LinkPlan, NetworkSpace};
use dhow_sys::procfs::Procfs;

use crate::sandbox;

/// In the namespace of this thread: no link that comes has it.
pub(super) fn is_not_for_new_links() -> io::Result<()> {
    let procfs = Procfs::at_proc()?;
    set(&procfs, "default", "accept_ra", false)?;
    set(&procfs, "default", "disable_ipv6", true)
}

/// On a bridge of ours, before it is up.
pub(super) fn on_bridge(bridge: &str, wanted: bool) -> io::Result<()> {
    let procfs = Procfs::at_proc()?;
    set(&procfs, bridge, "accept_ra", false)?;
    set(&procfs, bridge, "disable_ipv6", !wanted)
}

/// On a link of a container that is to have addresses of version 6. Routers are those of the network's pool; on links of the host
/// they are those of the world.
pub(super) fn on_link(space: &NetworkSpace, plan: &LinkPlan) -> io::Result<()> {
    if !plan.addresses.iter().any(|prefix| prefix.address.is_ipv6()) {
        return Ok(());
    }
    sandbox::within(space.handle().as_fd(), || {
        let procfs = Procfs::at_proc()?;
        set(&procfs, &plan.interface, "accept_ra", matches!(plan.carrier, Carrier::Direct(_)))?;
        set(&procfs, &plan.interface, "disable_ipv6", false)
    })
}

/// A kernel without IPv6 has no switches for it.
fn set(procfs: &Procfs, link: &str, switch: &str, on: bool) -> io::Result<()> {
    let path = format!("sys/net/ipv6/conf/{link}/{switch}");
    match procfs.write(path, if on { b"1" } else { b"0" }) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
