//! Links that hang on others (macvlan, ipvlan, VLANs), and links that lead nowhere (dummy).

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use dhow_model::network::{DirectKind, IpvlanFlag, IpvlanMode, MacvlanMode};
use rustix::io::Errno;

use super::message::{EXCLUSIVE, LINK_START, UP, start};
use super::{Index, Links, Mac, told};
use crate::netlink::Message;

/// `IFLA_MACVLAN_MODE`; `IFLA_IPVLAN_MODE` and `IFLA_IPVLAN_FLAGS`; `IFLA_VLAN_ID` (linux/if_link.h).
const MODE: u16 = 1;
const FLAGS: u16 = 2;
const VLAN_ID: u16 = 1;

/// A new link that hangs on one of this namespace, and lies in another.
#[derive(Debug, Clone)]
pub struct Child<'a> {
    /// Its name there.
    pub name: &'a str,
    /// The link that it hangs on.
    pub parent: Index,
    /// What it is.
    pub kind: DirectKind,
    /// Where it lies.
    pub namespace: BorrowedFd<'a>,
    /// Its hardware address.
    pub mac: Option<Mac>,
    /// Bytes of a packet.
    pub mtu: Option<u32>,
}

/// A new link of this namespace that others may hang on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// What is sent there is thrown away.
    Dummy,
    /// A part of another link, whose frames carry a number.
    Vlan(Index, u16),
}

impl Links {
    /// Makes a link that hangs on another; it is down.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add_child(&mut self, child: &Child<'_>) -> io::Result<()> {
        let namespace = u32::try_from(child.namespace.as_raw_fd()).unwrap_or_default();
        let mut request = Message::new(libc::RTM_NEWLINK, EXCLUSIVE, &[0; LINK_START]);
        request.text(libc::IFLA_IFNAME, child.name).number(libc::IFLA_LINK, child.parent.0);
        request.number(libc::IFLA_NET_NS_FD, namespace);
        child.mac.map(|mac| request.put(libc::IFLA_ADDRESS, &mac));
        child.mtu.map(|mtu| request.number(libc::IFLA_MTU, mtu));
        request.nest(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, child.kind.word());
            info.nest(libc::IFLA_INFO_DATA, |data| modes(child.kind, data));
        });
        let what = || format!("make the link {} of kind {}", child.name, child.kind.word());
        self.socket.request(&request).map_err(|failure| told(what())(failure))
    }

    /// Makes a link for others to hang on, which is up, and answers its index.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add_parent(&mut self, name: &str, parent: Parent, alias: &str) -> io::Result<Index> {
        let mut request = Message::new(libc::RTM_NEWLINK, EXCLUSIVE, &start(None, UP, UP));
        request.text(libc::IFLA_IFNAME, name);
        if let Parent::Vlan(index, _) = parent {
            request.number(libc::IFLA_LINK, index.0);
        }
        request.nest(libc::IFLA_LINKINFO, |info| match parent {
            Parent::Dummy => {
                info.text(libc::IFLA_INFO_KIND, "dummy");
            }
            Parent::Vlan(_, number) => {
                info.text(libc::IFLA_INFO_KIND, "vlan").nest(libc::IFLA_INFO_DATA, |data| {
                    data.put(VLAN_ID, &number.to_ne_bytes());
                });
            }
        });
        self.socket.request(&request).map_err(told(format!("make the link {name}")))?;
        self.mark(name, alias)
    }

    /// Whether the kernel can make links of a kind. Nothing is made: it is asked for one that hangs on nothing.
    ///
    /// # Errors
    /// What else the kernel says.
    pub fn knows(&mut self, kind: &str) -> io::Result<bool> {
        let mut request = Message::new(libc::RTM_NEWLINK, EXCLUSIVE, &[0; LINK_START]);
        request.nest(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, kind);
        });
        match self.socket.request(&request) {
            Err(failure) if failure.errno == Errno::OPNOTSUPP => Ok(false),
            Err(failure) if failure.errno == Errno::PERM => {
                Err(told(format!("ask for links of kind {kind}"))(failure))
            }
            _ => Ok(true),
        }
    }
}

fn modes(kind: DirectKind, data: &mut Message) {
    match kind {
        DirectKind::Macvlan(mode) => {
            let number = match mode {
                MacvlanMode::Private => 1,
                MacvlanMode::Vepa => 2,
                MacvlanMode::Bridge => 4,
                MacvlanMode::Passthru => 8,
            };
            data.number(MODE, number);
        }
        DirectKind::Ipvlan(mode, flag) => {
            let mode: u16 = match mode {
                IpvlanMode::L2 => 0,
                IpvlanMode::L3 => 1,
                IpvlanMode::L3s => 2,
            };
            let flag: u16 = match flag {
                IpvlanFlag::Bridge => 0,
                IpvlanFlag::Private => 1,
                IpvlanFlag::Vepa => 2,
            };
            data.put(MODE, &mode.to_ne_bytes()).put(FLAGS, &flag.to_ne_bytes());
        }
    }
}
