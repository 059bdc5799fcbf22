//! What the engine itself wants to know: the addresses of a name, as programs of the host would be told.

use std::io;
use std::net::IpAddr;

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{A, Aaaa};

use super::Shared;
use super::forward::{Route, Way};
use super::question::{Question, Read};

impl Shared {
    /// The addresses of a name, those of version 4 first; with the host's search domains where it has no dot.
    pub(super) async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let search = if name.contains('.') { Vec::new() } else { self.host.search() };
        let mut tried = search.iter().map(|domain| format!("{name}.{domain}")).collect::<Vec<_>>();
        tried.push(name.to_owned());
        for name in tried {
            let mut found = self.records(&name, Rtype::A).await?;
            found.extend(self.records(&name, Rtype::AAAA).await?);
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    async fn records(&self, name: &str, kind: Rtype) -> io::Result<Vec<IpAddr>> {
        let packet = question(name, kind)?;
        let Read::Question(question) = Question::read(&packet) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let route = Route { servers: self.host.now(), namespace: None };
        let answer = route.ask(&self.sockets, &self.silent, &question, Way::Datagram).await;
        let answer = match answer {
            // Cut off: a stream carries all of it.
            Some(answer) if is_cut(&answer) => {
                route.ask(&self.sockets, &self.silent, &question, Way::Stream).await
            }
            answer => answer,
        };
        let answer = answer.ok_or_else(|| io::Error::other("no name server of the host answers"))?;
        Ok(addresses(&answer, kind))
    }
}

fn question(name: &str, kind: Rtype) -> io::Result<Vec<u8>> {
    let wrong = |_| io::Error::new(io::ErrorKind::InvalidInput, "it is no name");
    let name = Name::<Vec<u8>>::from_chars(name.chars()).map_err(wrong)?;
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_rd(true);
    let mut message = message.question();
    message.push((name, kind)).map_err(io::Error::other)?;
    Ok(message.finish())
}

fn is_cut(answer: &[u8]) -> bool {
    Message::from_octets(answer).is_ok_and(|answer| answer.header().tc())
}

/// Those of aliases too: who asks a resolver gets the whole way.
fn addresses(answer: &[u8], kind: Rtype) -> Vec<IpAddr> {
    let Ok(message) = Message::from_octets(answer) else { return Vec::new() };
    if message.header().rcode() != Rcode::NOERROR {
        return Vec::new();
    }
    let Ok(section) = message.answer() else { return Vec::new() };
    match kind {
        Rtype::A => section.limit_to::<A>().flatten().map(|record| record.data().addr().into()).collect(),
        _ => section.limit_to::<Aaaa>().flatten().map(|record| record.data().addr().into()).collect(),
    }
}
