//! Answers of our own: what the engine knows of names, and what is wrong.

use std::net::{Ipv4Addr, Ipv6Addr};

use dhow_model::ContainerId;
use dhow_model::ports::{Addresses, Names};
use domain::base::iana::{Class, Rcode};
use domain::base::message_builder::{AdditionalBuilder, AnswerBuilder, PushError, StaticCompressor};
use domain::base::{Message, MessageBuilder, Name, ParsedName, Rtype, Ttl};
use domain::rdata::{A, Aaaa, Ptr};
use rand::seq::SliceRandom as _;

use super::question::{LARGEST, Question, Subject};

/// Docker's.
const TIME_TO_LIVE: Ttl = Ttl::from_secs(600);
/// Of an OPT record without options (RFC 6891, 6.1.2).
const OPT_SIZE: usize = 11;

type Builder = AnswerBuilder<StaticCompressor<Vec<u8>>>;

/// The answer, when it is about something of ours; in at most `limit` bytes.
pub(crate) fn own(
    names: &dyn Names,
    asker: &ContainerId,
    question: &Question<'_>,
    limit: usize,
) -> Option<Vec<u8>> {
    match &question.subject {
        Subject::Name(name, kind) => match names.addresses(asker, name) {
            Addresses::Known(four, six) => Some(addresses(question, *kind, (four, six), limit)),
            Addresses::Unknown => None,
        },
        Subject::Address(address) => {
            let name = Name::<Vec<u8>>::from_chars(names.name(asker, *address)?.chars()).ok()?;
            Some(written(question, limit, |answer| push(answer, question.name, Ptr::new(name))))
        }
        Subject::Other => None,
    }
}

/// No records, and nothing is wrong: a name is there, but not what was asked of it.
pub(super) fn nothing(question: &Question<'_>) -> Vec<u8> {
    written(question, usize::from(question.size), |_| Ok(()))
}

/// Something is wrong. A question that can be read is repeated, when it is the only one: names are written out in
/// full, and hundreds that each point at one name would make of a packet forty.
pub(super) fn failure(message: &Message<&[u8]>, code: Rcode) -> Vec<u8> {
    let asked = message.header();
    let mut answer = start();
    if message.sole_question().is_ok() {
        let mut answer = answer.start_error(message, code);
        answer.header_mut().set_ra(true);
        return answer.finish().into_target();
    }
    let header = answer.header_mut();
    header.set_id(asked.id());
    header.set_qr(true);
    header.set_opcode(asked.opcode());
    header.set_rd(asked.rd());
    header.set_ra(true);
    header.set_rcode(code);
    answer.finish().into_target()
}

/// Whoever asks for addresses of a name that has none of that kind is told that there are none, and so is who asks
/// for mail servers or services: what is ours is not looked for elsewhere.
fn addresses(
    question: &Question<'_>,
    kind: Rtype,
    (mut four, mut six): (Vec<Ipv4Addr>, Vec<Ipv6Addr>),
    limit: usize,
) -> Vec<u8> {
    four.shuffle(&mut rand::rng());
    six.shuffle(&mut rand::rng());
    written(question, limit, |answer| match kind {
        Rtype::A => four.into_iter().try_for_each(|one| push(answer, question.name, A::new(one))),
        Rtype::AAAA => six.into_iter().try_for_each(|one| push(answer, question.name, Aaaa::new(one))),
        _ => Ok(()),
    })
}

fn push(
    answer: &mut Builder,
    name: ParsedName<&[u8]>,
    data: impl domain::base::rdata::ComposeRecordData,
) -> Result<(), PushError> {
    answer.push((name, Class::IN, TIME_TO_LIVE, data))
}

/// What does not fit is left out, and that is said: the program then asks again, by a stream.
fn written(
    question: &Question<'_>,
    limit: usize,
    fill: impl FnOnce(&mut Builder) -> Result<(), PushError>,
) -> Vec<u8> {
    let mut answer = start().start_error(&question.message, Rcode::NOERROR);
    answer.header_mut().set_ra(true);
    let reserved = if question.extended.is_some() { OPT_SIZE } else { 0 };
    answer.set_push_limit(limit.saturating_sub(reserved));
    if fill(&mut answer).is_err() {
        answer.header_mut().set_tc(true);
    }
    answer.clear_push_limit();
    let mut rest = answer.additional();
    if let Some(signatures) = question.extended {
        extend(&mut rest, signatures);
    }
    rest.finish().into_target()
}

fn extend(rest: &mut AdditionalBuilder<StaticCompressor<Vec<u8>>>, signatures: bool) {
    let added = rest.opt(|opt| {
        opt.set_udp_payload_size(u16::try_from(LARGEST).unwrap_or(u16::MAX));
        opt.set_dnssec_ok(signatures);
        Ok(())
    });
    debug_assert!(added.is_ok(), "memory has no end");
}

fn start() -> MessageBuilder<StaticCompressor<Vec<u8>>> {
    match MessageBuilder::from_target(StaticCompressor::new(Vec::with_capacity(512))) {
        Ok(builder) => builder,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by the fuzz target `names`: 256 questions for one name were all repeated, with the name in full.
    #[test]
    fn an_answer_to_what_cannot_be_understood_is_no_larger_than_the_question() {
        let mut packet = vec![7, 7, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        packet.extend([63; 1].into_iter().chain([b'a'; 63]).cycle().take(3 * 64).chain([0, 0, 1, 0, 1]));
        packet.extend([0xc0, 12, 0, 1, 0, 1].repeat(255));
        let message = Message::from_octets(&packet[..]).unwrap();
        let answer = failure(&message, Rcode::FORMERR);
        assert_eq!(answer, [7, 7, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
