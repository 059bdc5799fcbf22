//! The table inside a container's namespace: what its programs send to a port of an address of its loopback
//! reaches another port of that address, where the engine listens.
//!
//! Packets are rewritten one by one, out and back, and no connection is known of it: translation of addresses would
//! switch the tracking of connections on for all that the container sends and receives. Questions are rewritten
//! before tracking sees them and answers after it, so whatever the container tracks by itself is still right.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use rustix::io::Errno;

use super::constants as nf;
use super::encode::{self, SUBSYSTEM, Step};
use super::language::{Chain, Field, Home, Hook, Place, Side, Table, Term};
use super::rules::Protocol;
use crate::link::Address;
use crate::netlink::{Failure, Message, Refused, Socket, attributes};

const NAME: &str = "dhow-names";
/// `struct nfgenmsg`.
const START: usize = 4;
/// Before connections are tracked, and after all else.
const FIRST: i32 = -300;
const LAST: i32 = 300;

/// Leads `shown` to `real`, both on `address`, in the namespace that this thread is in; in place of what led there
/// before, unless that leads there.
///
/// # Errors
/// The kernel's, naming what it refused: nothing was changed then.
pub(crate) fn redirect(address: Ipv4Addr, shown: u16, real: u16) -> io::Result<()> {
    let table = table(address, shown, real);
    let mut socket = Socket::netfilter()?;
    let found = look(&mut socket, &table).map_err(|failure| {
        io::Error::new(io::Error::from(failure.errno).kind(), format!("cannot look at {NAME}: {failure}"))
    })?;
    if found == Found::Right {
        return Ok(());
    }
    let mut steps = vec![encode::add_table(table.home, NAME, 0)];
    if found == Found::Other {
        steps.insert(0, encode::delete_table(table.home, NAME));
    }
    steps.extend(encode::contents(&table));
    commit(&mut socket, &steps).map_err(|refused| told(&steps, &refused))
}

/// What there is by the table's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    /// All that should be there, and nothing else.
    Right,
    Other,
}

/// A transaction takes a container some 15 ms of waiting in the kernel, when it fails or takes away what is in force, and
/// to look takes some 50 µs: an engine begins with containers that have their table from the one before.
fn look(socket: &mut Socket, table: &Table) -> Result<Found, Failure> {
    let home = table.home;
    let mut question = encode::request(home, nf::NFT_MSG_GETTABLE, 0);
    question.text(nf::NFTA_TABLE_NAME, &table.name);
    match socket.ask(&question, |_| Some(())) {
        Err(failure) if failure.errno == Errno::NOENT => return Ok(Found::Nothing),
        found => found?,
    }
    let wanted = encode::contents(table);
    let mut wanted = wanted.iter().map(|step| &step.message);
    // As they were sent: chains, then the rules of each. Each kind is said in the order in which it was made.
    let mut right = true;
    for (kind, named) in
        [(nf::NFT_MSG_GETCHAIN, nf::NFTA_CHAIN_TABLE), (nf::NFT_MSG_GETRULE, nf::NFTA_RULE_TABLE)]
    {
        let mut question = encode::request(home, kind, 0);
        if kind == nf::NFT_MSG_GETRULE {
            question.text(named, &table.name);
        }
        socket.dump(&question, |answer| {
            let said_of = answer.get(START..).and_then(|rest| attributes(rest).text(named));
            if said_of == Some(&table.name) {
                right &= wanted.next().is_some_and(|wanted| wanted.is_said_by(answer, START));
            }
        })?;
    }
    Ok(if right && wanted.next().is_none() { Found::Right } else { Found::Other })
}

fn commit(socket: &mut Socket, steps: &[Step]) -> Result<(), Refused> {
    let messages: Vec<&Message> = steps.iter().map(|step| &step.message).collect();
    socket.transaction(SUBSYSTEM, &messages)
}

fn told(steps: &[Step], refused: &Refused) -> io::Error {
    let step = refused.index.and_then(|index| steps.get(index));
    let what = step.map_or("lead questions to the name server", |step| step.what.as_str());
    let kind = io::Error::from(refused.failure.errno).kind();
    io::Error::new(kind, format!("cannot {what}: {}", refused.failure))
}

fn table(address: Ipv4Addr, shown: u16, real: u16) -> Table {
    let rule = |field, side, protocol, from, to| {
        let address = Address { address: IpAddr::V4(address), prefix: 32 };
        vec![
            Term::Within(field, address),
            Term::Port(protocol, side, from),
            Term::SetPort(protocol, side, to),
        ]
    };
    let both = |field, side, from, to| {
        [Protocol::Udp, Protocol::Tcp].map(|protocol| rule(field, side, protocol, from, to)).into()
    };
    let questions = both(Field::Destination4, Side::Destination, shown, real);
    let answers = both(Field::Source4, Side::Source, real, shown);
    let chains = vec![chain("questions", FIRST, questions), chain("answers", LAST, answers)];
    Table { home: Home::Four, name: NAME.to_owned(), sets: Vec::new(), chains, elements: Vec::new() }
}

fn chain(name: &'static str, priority: i32, rules: Vec<Vec<Term>>) -> Chain {
    Chain { name, hook: Some(Hook { kind: "filter", place: Place::Output, priority }), rules }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_so() {
        let wanted = "\
table ip dhow-names {
\tchain questions {
\t\ttype filter hook output priority -300; policy accept;
\t\tip daddr 127.0.0.11/32 udp dport 53 udp dport set 19
\t\tip daddr 127.0.0.11/32 tcp dport 53 tcp dport set 19
\t}

\tchain answers {
\t\ttype filter hook output priority 300; policy accept;
\t\tip saddr 127.0.0.11/32 udp sport 19 udp sport set 53
\t\tip saddr 127.0.0.11/32 tcp sport 19 tcp sport set 53
\t}

}
";
        assert_eq!(table(Ipv4Addr::new(127, 0, 0, 11), 53, 19).to_string(), wanted);
    }
}
