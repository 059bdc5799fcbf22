//! What others' chains do to packets that we let pass.

use super::constants as nf;
use super::encode::SUBSYSTEM;
use crate::netlink::{Failure, Message, Socket, attributes};

/// `struct nfgenmsg`.
const START: usize = 4;

/// Chains, of tables that are not `ours`, by which what is routed is dropped at last.
pub(super) fn dropping(socket: &mut Socket, ours: &str) -> Result<Vec<String>, Failure> {
    let question = Message::new(SUBSYSTEM << 8 | nf::NFT_MSG_GETCHAIN, 0, &[nf::NFPROTO_UNSPEC, 0, 0, 0]);
    let mut found = Vec::new();
    socket.dump(&question, |answer| found.extend(dropping_chain(answer, ours)))?;
    Ok(found)
}

fn dropping_chain(answer: &[u8], ours: &str) -> Option<String> {
    let all = attributes(answer.get(START..)?);
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_be_bytes);
    let place = all.nested(nf::NFTA_CHAIN_HOOK)?.get(nf::NFTA_HOOK_HOOKNUM).and_then(number)?;
    let policy = all.get(nf::NFTA_CHAIN_POLICY).and_then(number)?;
    let (table, name) = (all.text(nf::NFTA_CHAIN_TABLE)?, all.text(nf::NFTA_CHAIN_NAME)?);
    let family = match *answer.first()? {
        nf::NFPROTO_INET => "inet",
        nf::NFPROTO_IPV4 => "ip",
        nf::NFPROTO_IPV6 => "ip6",
        // Bridges and devices have hooks of their own by these numbers.
        _ => return None,
    };
    let drops = place == nf::NF_INET_FORWARD && policy == nf::NF_DROP.cast_unsigned();
    (drops && table != ours).then(|| format!("{family} {table} {name}"))
}
