//! What a program asks. All bytes are read that anybody in the container sends: no more is kept than one question.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::base::iana::{Class, Opcode, Rcode};
use domain::base::name::ToLabelIter as _;
use domain::base::{Message, ParsedName, Rtype, ToName as _};

use super::answer;

/// Bytes of a question, with all that may come with it: cookies and keys, but no zone.
pub(super) const LARGEST: usize = 4096;
/// What a program takes in a datagram when it says nothing else (RFC 1035, 4.2.1).
const PLAIN_SIZE: u16 = 512;

/// What became of a packet.
#[derive(Debug)]
pub(crate) enum Read<'a> {
    /// It is no question, and whoever sent it waits for nothing.
    Nothing,
    /// This is the answer: it cannot be understood.
    Refused(Vec<u8>),
    /// A question.
    Question(Question<'a>),
}

/// One question.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    /// The whole packet.
    pub(super) message: Message<&'a [u8]>,
    pub(super) subject: Subject,
    /// What it asks about, for answers.
    pub(super) name: ParsedName<&'a [u8]>,
    /// The size of an answer in a datagram.
    pub(super) size: u16,
    /// It speaks EDNS: so does the answer. True when it wants signatures.
    pub(super) extended: Option<bool>,
}

/// What a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The records of a name, in lower case and without the dot at its end.
    Name(String, Rtype),
    /// The name of an address.
    Address(IpAddr),
    /// What cannot be about anything of ours.
    Other,
}

impl<'a> Question<'a> {
    /// Reads a packet.
    pub(crate) fn read(packet: &'a [u8]) -> Read<'a> {
        let Ok(message) = Message::from_octets(packet) else { return Read::Nothing };
        let header = message.header();
        if header.qr() || packet.len() > LARGEST {
            return Read::Nothing;
        }
        if header.opcode() != Opcode::QUERY {
            return Read::Refused(answer::failure(&message, Rcode::NOTIMP));
        }
        let Ok(question) = message.sole_question() else {
            return Read::Refused(answer::failure(&message, Rcode::FORMERR));
        };
        let opt = message.opt();
        let size = opt.as_ref().map_or(PLAIN_SIZE, |opt| opt.udp_payload_size().max(PLAIN_SIZE));
        let extended = opt.map(|opt| opt.dnssec_ok());
        let name = *question.qname();
        let subject = match question.qclass() {
            Class::IN => Subject::of(&name, question.qtype()),
            _ => Subject::Other,
        };
        Read::Question(Self { message, subject, name, size, extended })
    }

    /// The whole packet, as it came.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.message.as_octets()
    }

    /// It asks for the addresses of a name without a dot.
    pub(super) fn wants_a_short_name(&self) -> bool {
        matches!(&self.subject, Subject::Name(name, Rtype::A | Rtype::AAAA) if !name.contains('.'))
    }
}

impl Subject {
    fn of(name: &ParsedName<&[u8]>, kind: Rtype) -> Self {
        let Some(name) = text(name) else { return Self::Other };
        if kind != Rtype::PTR {
            return Self::Name(name, kind);
        }
        match address(&name) {
            Some(address) => Self::Address(address),
            None => Self::Name(name, kind),
        }
    }
}

/// A name as we write names; nothing when a label has what none of ours can have, or when there is no label.
fn text(name: &ParsedName<&[u8]>) -> Option<String> {
    let mut all = String::new();
    for label in name.iter_labels().filter(|label| !label.is_root()) {
        let label = std::str::from_utf8(label.as_slice()).ok()?;
        if label.contains(['.', '\0']) {
            return None;
        }
        if !all.is_empty() {
            all.push('.');
        }
        all.push_str(label);
    }
    all.make_ascii_lowercase();
    (!all.is_empty()).then_some(all)
}

/// The address that a name of the reverse zones stands for (RFC 1035, 3.5; RFC 3596, 2.5).
fn address(name: &str) -> Option<IpAddr> {
    if let Some(numbers) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let mut parts = numbers.split('.');
        for octet in octets.iter_mut().rev() {
            *octet = parts.next()?.parse().ok()?;
        }
        return parts.next().is_none().then(|| Ipv4Addr::from(octets).into());
    }
    let mut bits = 0;
    let mut parts = name.strip_suffix(".ip6.arpa")?.split('.');
    for place in 0..32 {
        let digit = parts.next().filter(|digit| digit.len() == 1)?;
        bits |= u128::from_str_radix(digit, 16).ok()? << (4 * place);
    }
    parts.next().is_none().then(|| Ipv6Addr::from_bits(bits).into())
}

/// Whether a packet is an answer to a question that was sent under another number: RFC 5452, 9.1 says what must be
/// looked at; where it came from the kernel has seen to.
pub(super) fn is_answer(packet: &[u8], question: &Question<'_>, id: u16) -> bool {
    let Ok(answer) = Message::from_octets(packet) else { return false };
    let header = answer.header();
    let asked = question.message.sole_question();
    let (Ok(repeated), Ok(asked)) = (answer.sole_question(), asked) else {
        // A server that understands nothing need not repeat the question.
        let bare = answer.header_counts().qdcount() == 0 && header.rcode() != Rcode::NOERROR;
        return header.qr() && header.id() == id && bare;
    };
    header.qr()
        && header.id() == id
        && repeated.qtype() == asked.qtype()
        && repeated.qclass() == asked.qclass()
        && repeated.qname().name_eq(asked.qname())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_names_are_read() {
        for (name, wanted) in [
            ("4.3.2.1.in-addr.arpa", Some("1.2.3.4")),
            ("3.2.1.in-addr.arpa", None),
            ("5.4.3.2.1.in-addr.arpa", None),
            ("256.3.2.1.in-addr.arpa", None),
            ("in-addr.arpa", None),
            ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", Some("fd00::1")),
            ("0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", Some("fd00::")),
            ("01.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", None),
            ("+.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", None),
            ("1.d.f.ip6.arpa", None),
        ] {
            assert_eq!(address(name), wanted.map(|text| text.parse().unwrap()), "{name}");
        }
    }
}
