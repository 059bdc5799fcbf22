//! What others' chains do to packets that we let pass.

use super::constants as nf;
use super::encode::SUBSYSTEM;
use crate::netlink::{Attributes, Failure, Message, Socket, attributes};

/// `struct nfgenmsg`.
const START: usize = 4;

/// A chain that what is routed comes by.
struct Routed {
    family: u8,
    table: String,
    name: String,
    /// What no rule of it decides is dropped.
    drops: bool,
}

/// Chains, of tables that are not `ours`, by which what is routed is dropped at last: where no rule lets it pass, or by a
/// rule without a condition, as firewalld ends its own.
pub(super) fn dropping(socket: &mut Socket, ours: &str) -> Result<Vec<String>, Failure> {
    let question = Message::new(SUBSYSTEM << 8 | nf::NFT_MSG_GETCHAIN, 0, &[nf::NFPROTO_UNSPEC, 0, 0, 0]);
    let mut found = Vec::new();
    socket.dump(&question, |answer| found.extend(routed(answer).filter(|chain| chain.table != ours)))?;
    for chain in found.iter_mut().filter(|chain| !chain.drops) {
        let mut rules = Message::new(SUBSYSTEM << 8 | nf::NFT_MSG_GETRULE, 0, &[chain.family, 0, 0, 0]);
        rules.text(nf::NFTA_RULE_TABLE, &chain.table).text(nf::NFTA_RULE_CHAIN, &chain.name);
        let mut drops = false;
        socket.dump(&rules, |answer| drops |= drops_all(answer, &chain.name).unwrap_or(false))?;
        chain.drops = drops;
    }
    found.retain(|chain| chain.drops);
    let shown = |chain: &Routed| Some(format!("{} {} {}", word(chain.family)?, chain.table, chain.name));
    Ok(found.iter().filter_map(shown).collect())
}

/// Bridges and devices have hooks of their own by the same numbers.
fn word(family: u8) -> Option<&'static str> {
    match family {
        nf::NFPROTO_INET => Some("inet"),
        nf::NFPROTO_IPV4 => Some("ip"),
        nf::NFPROTO_IPV6 => Some("ip6"),
        _ => None,
    }
}

/// Whether a rule of a chain ends the way of every packet that comes to it. The kernel may answer with other chains' rules.
fn drops_all(answer: &[u8], chain: &str) -> Option<bool> {
    let all = attributes(answer.get(START..)?);
    if all.text(nf::NFTA_RULE_CHAIN)? != chain {
        return None;
    }
    let mut drops = false;
    for (_, expression) in all.nested(nf::NFTA_RULE_EXPRESSIONS)? {
        let expression = attributes(expression);
        match expression.text(nf::NFTA_EXPR_NAME)? {
            "counter" | "log" => {}
            "reject" => drops = true,
            "immediate" => drops |= is_drop(expression.nested(nf::NFTA_EXPR_DATA)?),
            _ => return Some(false),
        }
    }
    Some(drops)
}

fn is_drop(immediate: Attributes<'_>) -> bool {
    let verdict =
        immediate.nested(nf::NFTA_IMMEDIATE_DATA).and_then(|data| data.nested(nf::NFTA_DATA_VERDICT));
    verdict.and_then(|verdict| verdict.get(nf::NFTA_VERDICT_CODE)) == Some(&nf::NF_DROP.to_be_bytes()[..])
}

fn routed(answer: &[u8]) -> Option<Routed> {
    let all = attributes(answer.get(START..)?);
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_be_bytes);
    let place = all.nested(nf::NFTA_CHAIN_HOOK)?.get(nf::NFTA_HOOK_HOOKNUM).and_then(number)?;
    let policy = all.get(nf::NFTA_CHAIN_POLICY).and_then(number)?;
    let (table, name) = (all.text(nf::NFTA_CHAIN_TABLE)?.into(), all.text(nf::NFTA_CHAIN_NAME)?.into());
    let family = *answer.first()?;
    let is_routed = place == nf::NF_INET_FORWARD && word(family).is_some();
    is_routed.then_some(Routed { family, table, name, drops: policy == nf::NF_DROP.cast_unsigned() })
}
