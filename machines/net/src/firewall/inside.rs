//! The table inside a container's namespace: what its programs send to a port of an address of its loopback
//! reaches another port of that address, where the engine listens.
//!
//! Packets are rewritten one by one, out and back, and no connection is known of it: translation of addresses would
//! switch the tracking of connections on for all that the container sends and receives. Questions are rewritten
//! before tracking sees them and answers after it, so whatever the container tracks by itself is still right.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use rustix::io::Errno;

use super::encode::{self, SUBSYSTEM, Step};
use super::language::{Chain, Field, Home, Hook, Place, Side, Table, Term};
use super::rules::Protocol;
use crate::link::Address;
use crate::netlink::{Message, Refused, Socket};

const NAME: &str = "dhow-names";
/// Before connections are tracked, and after all else.
const FIRST: i32 = -300;
const LAST: i32 = 300;

/// Leads `shown` to `real`, both on `address`, in the namespace that this thread is in; in place of what led there
/// before.
///
/// # Errors
/// The kernel's, naming what it refused: nothing was changed then.
pub(crate) fn redirect(address: Ipv4Addr, shown: u16, real: u16) -> io::Result<()> {
    let table = table(address, shown, real);
    let mut steps = vec![encode::add_table(table.home, NAME, 0)];
    steps.extend(encode::contents(&table));
    let mut socket = Socket::netfilter()?;
    match commit(&mut socket, &steps) {
        Err(refused) if refused.failure.errno == Errno::EXIST => {
            let room = [encode::delete_table(table.home, NAME), encode::add_table(table.home, NAME, 0)];
            steps.splice(1..1, room);
            commit(&mut socket, &steps)
        }
        done => done,
    }
    .map_err(|refused| told(&steps, &refused))
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
