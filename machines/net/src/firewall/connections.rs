//! Connections that the kernel remembers (conntrack), forgotten when the port they came by leads elsewhere.
//!
//! Where a packet's destination is translated to is decided by the first packet of its connection. UDP knows no
//! end of one: a client that goes on asking would reach the container of yesterday for ever.

use std::io;
use std::net::IpAddr;

use rustix::io::Errno;

use super::constants as nf;
use super::rules::{Port, Protocol};
use crate::netlink::{Attributes, Failure, Message, Socket, attributes};

/// `struct nfgenmsg`.
const START: usize = 4;

/// A remembered connection.
struct Connection<'a> {
    asked: Attributes<'a>,
    /// Where the first packet went, and who answers it.
    destination: IpAddr,
    port: u16,
    answers: IpAddr,
    translated: u32,
}

/// Forgets what came by ports that are `gone`, and what came, before they were `new`, to nobody.
pub(super) fn forget(socket: &mut Socket, gone: &[Port], new: &[Port]) -> io::Result<()> {
    for (family, four) in [(nf::NFPROTO_IPV4, true), (nf::NFPROTO_IPV6, false)] {
        let wanted = |port: &&Port| port.protocol == Protocol::Udp && port.container.is_ipv4() == four;
        let gone: Vec<&Port> = gone.iter().filter(wanted).collect();
        let new: Vec<&Port> = new.iter().filter(wanted).collect();
        if gone.is_empty() && new.is_empty() {
            continue;
        }
        let stale = |connection: &Connection<'_>| {
            let through = |port: &&&Port| came_by(connection, port);
            let led = gone.iter().find(through).is_some_and(|port| port.container == connection.answers);
            let untouched = connection.translated & (nf::IPS_SRC_NAT | nf::IPS_DST_NAT) == 0;
            led || untouched && new.iter().any(|port| came_by(connection, port))
        };
        forget_those(socket, family, stale).map_err(|failure| {
            io::Error::new(
                io::Error::from(failure.errno).kind(),
                format!("cannot forget connections of ports that changed: {failure}"),
            )
        })?;
    }
    Ok(())
}

fn came_by(connection: &Connection<'_>, port: &Port) -> bool {
    let here = port.host.is_none_or(|host| host == connection.destination);
    here && (port.first..=port.last()).contains(&connection.port)
}

fn forget_those(
    socket: &mut Socket,
    family: u8,
    stale: impl Fn(&Connection<'_>) -> bool,
) -> Result<(), Failure> {
    let mut found = Vec::new();
    socket.dump(&all_datagrams(family), |answer| {
        let all = attributes(answer.get(START..).unwrap_or_default());
        if connection(all).is_some_and(|connection| is_udp(connection.asked) && stale(&connection)) {
            found.push(deletion(family, all));
        }
    })?;
    for message in found {
        match socket.request(&message) {
            // It ended by itself.
            Err(failure) if failure.errno == Errno::NOENT => {}
            done => done?,
        }
    }
    Ok(())
}

/// The kernel shows only those of UDP (Linux 5.8); an older one ignores the filter.
fn all_datagrams(family: u8) -> Message {
    let mut message = request(nf::IPCTNL_MSG_CT_GET, family);
    message.nest(nf::CTA_TUPLE_ORIG, |tuple| {
        tuple.nest(nf::CTA_TUPLE_PROTO, |protocol| {
            protocol.put(nf::CTA_PROTO_NUM, &[Protocol::Udp.number()]);
        });
    });
    message.nest(nf::CTA_FILTER, |filter| {
        filter.number(nf::CTA_FILTER_ORIG_FLAGS, nf::CTA_FILTER_F_CTA_PROTO_NUM);
        filter.number(nf::CTA_FILTER_REPLY_FLAGS, 0);
    });
    message
}

fn deletion(family: u8, connection: Attributes<'_>) -> Message {
    let mut message = request(nf::IPCTNL_MSG_CT_DELETE, family);
    for kind in [nf::CTA_TUPLE_ORIG, nf::CTA_ZONE, nf::CTA_ID] {
        if let Some(value) = connection.get(kind) {
            let nested = if kind == nf::CTA_TUPLE_ORIG { 0x8000 } else { 0 };
            message.put(kind | nested, value);
        }
    }
    message
}

fn request(kind: u16, family: u8) -> Message {
    Message::new(nf::NFNL_SUBSYS_CTNETLINK << 8 | kind, 0, &[family, 0, 0, 0])
}

fn connection(all: Attributes<'_>) -> Option<Connection<'_>> {
    let asked = all.nested(nf::CTA_TUPLE_ORIG)?;
    let answered = all.nested(nf::CTA_TUPLE_REPLY)?.nested(nf::CTA_TUPLE_IP)?;
    let port = asked.nested(nf::CTA_TUPLE_PROTO)?.get(nf::CTA_PROTO_DST_PORT)?;
    let status = all.get(nf::CTA_STATUS)?;
    Some(Connection {
        asked,
        destination: either(asked.nested(nf::CTA_TUPLE_IP)?, nf::CTA_IP_V4_DST, nf::CTA_IP_V6_DST)?,
        port: u16::from_be_bytes(port.try_into().ok()?),
        answers: either(answered, nf::CTA_IP_V4_SRC, nf::CTA_IP_V6_SRC)?,
        translated: u32::from_be_bytes(status.try_into().ok()?),
    })
}

fn is_udp(tuple: Attributes<'_>) -> bool {
    let protocol = tuple.nested(nf::CTA_TUPLE_PROTO).and_then(|protocol| protocol.get(nf::CTA_PROTO_NUM));
    protocol == Some(&[Protocol::Udp.number()])
}

fn either(addresses: Attributes<'_>, four: u16, six: u16) -> Option<IpAddr> {
    let four = addresses.get(four).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(IpAddr::from);
    four.or_else(|| addresses.get(six).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()).map(IpAddr::from))
}
