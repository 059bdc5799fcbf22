//! A table as the kernel reads it: one message for each table, set, chain, rule, element.

use super::constants as nf;
use super::language::{
    Chain, Element, Family, Field, Home, Hook, Set, Side, State, Table, Term, Value, Verdict, edge, octets,
};
use super::rules::Protocol;
use super::text::rule_text;
use crate::link::Address;
use crate::netlink::Message;

/// The subsystem of nfnetlink (`NFNL_SUBSYS_NFTABLES`).
pub(super) const SUBSYSTEM: u16 = 10;
/// `NLM_F_CREATE`, and that with `NLM_F_EXCL` or `NLM_F_APPEND`.
const CREATE: u16 = 0x400;
const EXCLUSIVE: u16 = 0x600;
const APPEND: u16 = 0xc00;
/// A set's elements have more fields than one: nft's number of such a type has 6 bits for each.
const BITS: u32 = 6;
/// Tells nft, and nobody else, that keys are in the machine's order: it shows names backwards without.
const KEYS_ARE_NAMES: [u8; 6] = [0, 4, 1, 0, 0, 0];

/// One message of a transaction, and what to say when the kernel refuses it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) what: String,
    pub(super) message: Message,
}

/// A message about tables of a family.
pub(super) fn request(home: Home, kind: u16, flags: u16) -> Message {
    Message::new(SUBSYSTEM << 8 | kind, flags, &[home.names().0, 0, 0, 0])
}

/// The table itself, with flags.
pub(super) fn add_table(home: Home, name: &str, flags: u32) -> Step {
    let mut message = request(home, nf::NFT_MSG_NEWTABLE, CREATE);
    message.text(nf::NFTA_TABLE_NAME, name);
    if flags > 0 {
        number(&mut message, nf::NFTA_TABLE_FLAGS, flags);
    }
    Step { what: format!("add the table {} {name}", home.names().1), message }
}

/// Takes the table away, with all that is in it.
pub(super) fn delete_table(home: Home, name: &str) -> Step {
    let mut message = request(home, nf::NFT_MSG_DELTABLE, 0);
    message.text(nf::NFTA_TABLE_NAME, name);
    Step { what: format!("delete the table {} {name}", home.names().1), message }
}

/// All that is in a table.
pub(super) fn contents(table: &Table) -> Vec<Step> {
    let name = table.name.as_str();
    let mut steps: Vec<Step> = (1..).zip(&table.sets).map(|(id, set)| add_set(name, set, id)).collect();
    steps.extend(table.chains.iter().map(|chain| add_chain(table, chain)));
    for chain in &table.chains {
        steps.extend(chain.rules.iter().map(|rule| add_rule(table, chain, rule)));
    }
    steps.extend(table.elements.iter().map(|element| add_element(name, element)));
    steps
}

fn add_set(table: &str, set: &Set, id: u32) -> Step {
    let mut message = request(set.home, nf::NFT_MSG_NEWSET, EXCLUSIVE);
    message.text(nf::NFTA_SET_TABLE, table).text(nf::NFTA_SET_NAME, set.name);
    let mut flags = if set.data.is_empty() { 0 } else { nf::NFT_SET_MAP };
    if set.interval {
        flags |= nf::NFT_SET_INTERVAL;
    }
    if is_product(set) {
        flags |= nf::NFT_SET_CONCAT;
    }
    number(&mut message, nf::NFTA_SET_FLAGS, flags);
    number(&mut message, nf::NFTA_SET_KEY_TYPE, kind(set.key));
    number(&mut message, nf::NFTA_SET_KEY_LEN, length(set.key));
    if !set.data.is_empty() {
        number(&mut message, nf::NFTA_SET_DATA_TYPE, kind(set.data));
        number(&mut message, nf::NFTA_SET_DATA_LEN, length(set.data));
    }
    number(&mut message, nf::NFTA_SET_ID, id);
    if is_product(set) {
        message.nest(nf::NFTA_SET_DESC, |desc| {
            desc.nest(nf::NFTA_SET_DESC_CONCAT, |fields| {
                set.key.iter().for_each(|field| part(fields, *field))
            });
        });
    }
    if set.key == [Field::From] {
        message.put(nf::NFTA_SET_USERDATA, &KEYS_ARE_NAMES);
    }
    Step { what: format!("add the set {}", set.name), message }
}

/// Its ranges are of several fields: an element has both ends, otherwise there is an element for each end.
const fn is_product(set: &Set) -> bool {
    set.interval && set.key.len() > 1
}

fn part(fields: &mut Message, field: Field) {
    fields.nest(nf::NFTA_LIST_ELEM, |one| number(one, nf::NFTA_SET_FIELD_LEN, field.length()));
}

fn kind(fields: &[Field]) -> u32 {
    fields.iter().fold(0, |all, field| all << BITS | field.kind())
}

fn length(fields: &[Field]) -> u32 {
    fields.iter().map(|field| field.padded()).sum()
}

fn add_chain(table: &Table, chain: &Chain) -> Step {
    let mut message = request(table.home, nf::NFT_MSG_NEWCHAIN, EXCLUSIVE);
    message.text(nf::NFTA_CHAIN_TABLE, &table.name).text(nf::NFTA_CHAIN_NAME, chain.name);
    if let Some(Hook { kind, place, priority }) = chain.hook {
        message.nest(nf::NFTA_CHAIN_HOOK, |hook| {
            number(hook, nf::NFTA_HOOK_HOOKNUM, place as u32);
            number(hook, nf::NFTA_HOOK_PRIORITY, priority.cast_unsigned());
        });
        number(&mut message, nf::NFTA_CHAIN_POLICY, nf::NF_ACCEPT.cast_unsigned());
        message.text(nf::NFTA_CHAIN_TYPE, kind);
    }
    Step { what: format!("add the chain {}", chain.name), message }
}

fn add_rule(table: &Table, chain: &Chain, rule: &[Term]) -> Step {
    let mut message = request(table.home, nf::NFT_MSG_NEWRULE, APPEND);
    message.text(nf::NFTA_RULE_TABLE, &table.name).text(nf::NFTA_RULE_CHAIN, chain.name);
    message.nest(nf::NFTA_RULE_EXPRESSIONS, |all| rule.iter().for_each(|one| term(all, one)));
    Step { what: format!("add the rule \"{}\" to {}", rule_text(rule), chain.name), message }
}

/// An element that is not there yet.
pub(super) fn add_element(table: &str, element: &Element) -> Step {
    let what = format!("add {element} to {}", element.set.name);
    Step { what, message: element_message(nf::NFT_MSG_NEWSETELEM, EXCLUSIVE, table, element) }
}

/// An element that is there.
pub(super) fn delete_element(table: &str, element: &Element) -> Step {
    let what = format!("delete {element} from {}", element.set.name);
    Step { what, message: element_message(nf::NFT_MSG_DELSETELEM, 0, table, element) }
}

fn element_message(kind: u16, flags: u16, table: &str, element: &Element) -> Message {
    let mut message = request(element.set.home, kind, flags);
    message.text(nf::NFTA_SET_ELEM_LIST_TABLE, table).text(nf::NFTA_SET_ELEM_LIST_SET, element.set.name);
    message.nest(nf::NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
        list.nest(nf::NFTA_LIST_ELEM, |one| element_parts(one, element));
        if element.set.interval && !is_product(element.set) {
            end_of_range(list, &element.key);
        }
    });
    message
}

fn element_parts(message: &mut Message, element: &Element) {
    let bytes =
        |values: &[Value], end: fn(&Value) -> Vec<u8>| values.iter().flat_map(end).collect::<Vec<u8>>();
    value(message, nf::NFTA_SET_ELEM_KEY, &bytes(&element.key, Value::low));
    if is_product(element.set) {
        value(message, nf::NFTA_SET_ELEM_KEY_END, &bytes(&element.key, Value::high));
    }
    if !element.data.is_empty() {
        value(message, nf::NFTA_SET_ELEM_DATA, &bytes(&element.data, Value::low));
    }
}

/// The first that is no longer in the range; there is none after the last of all.
fn end_of_range(list: &mut Message, key: &[Value]) {
    let mut after: Vec<u8> = key.iter().flat_map(Value::high).collect();
    for byte in after.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte > 0 {
            break;
        }
    }
    if after.iter().any(|byte| *byte > 0) {
        list.nest(nf::NFTA_LIST_ELEM, |one| {
            value(one, nf::NFTA_SET_ELEM_KEY, &after);
            number(one, nf::NFTA_SET_ELEM_FLAGS, nf::NFT_SET_ELEM_INTERVAL_END);
        });
    }
}

fn term(all: &mut Message, term: &Term) {
    match term {
        Term::Family(family) => {
            meta(all, nf::NFT_META_NFPROTO, 0);
            compare(all, nf::NFT_CMP_EQ, &[family.number()]);
        }
        Term::NotFrom(name) => {
            meta(all, nf::NFT_META_IIFNAME, 0);
            compare(all, nf::NFT_CMP_NEQ, &Value::Name(name.clone()).low());
        }
        Term::Grouped(side, group) => {
            let key = match side {
                Side::Source => nf::NFT_META_IIFGROUP,
                Side::Destination => nf::NFT_META_OIFGROUP,
            };
            meta(all, key, 0);
            compare(all, nf::NFT_CMP_EQ, &group.to_ne_bytes());
        }
        Term::In(fields, set) => {
            load_all(all, fields);
            lookup(all, set);
        }
        Term::Within(field, subnet) => {
            load(all, *field, 0);
            within(all, *subnet);
        }
        Term::Port(protocol, side, port) => {
            meta(all, nf::NFT_META_L4PROTO, 0);
            compare(all, nf::NFT_CMP_EQ, &[protocol.number()]);
            payload(all, (nf::NFT_PAYLOAD_TRANSPORT_HEADER, port_offset(*side), 2), 0);
            compare(all, nf::NFT_CMP_EQ, &port.to_be_bytes());
        }
        Term::SetPort(protocol, side, port) => set_port(all, *protocol, *side, *port),
        Term::State(state) => state_bits(all, *state),
        Term::Translated => connection(all, nf::NFT_CT_STATUS, nf::IPS_DST_NAT),
        Term::Untracked => expression(all, "notrack", |_| ()),
        Term::Local => local(all),
        Term::Masquerade => expression(all, "masq", |_| ()),
        Term::Translate(side, family, fields, map) => {
            load_all(all, fields);
            lookup(all, map);
            translate(all, *side, *family, map);
        }
        Term::Copy(family, _, link) => copy(all, *family, *link),
        Term::Verdict(decided) => verdict(all, *decided),
    }
}

fn expression(all: &mut Message, name: &str, fill: impl FnOnce(&mut Message)) {
    all.nest(nf::NFTA_LIST_ELEM, |one| {
        one.text(nf::NFTA_EXPR_NAME, name).nest(nf::NFTA_EXPR_DATA, fill);
    });
}

/// Fields lie in registers one after the other.
fn load_all(all: &mut Message, fields: &[Field]) {
    let mut at = 0;
    for field in fields {
        load(all, *field, at);
        at += field.padded() / 4;
    }
}

fn load(all: &mut Message, field: Field, at: u32) {
    match field {
        Field::From => meta(all, nf::NFT_META_IIFNAME, at),
        Field::To => meta(all, nf::NFT_META_OIFNAME, at),
        Field::Protocol => meta(all, nf::NFT_META_L4PROTO, at),
        Field::Port => payload(all, (nf::NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2), at),
        Field::Source4 => payload(all, (nf::NFT_PAYLOAD_NETWORK_HEADER, 12, 4), at),
        Field::Destination4 => payload(all, (nf::NFT_PAYLOAD_NETWORK_HEADER, 16, 4), at),
        Field::Source6 => payload(all, (nf::NFT_PAYLOAD_NETWORK_HEADER, 8, 16), at),
        Field::Destination6 => payload(all, (nf::NFT_PAYLOAD_NETWORK_HEADER, 24, 16), at),
    }
}

fn meta(all: &mut Message, key: u32, at: u32) {
    expression(all, "meta", |data| {
        number(data, nf::NFTA_META_DREG, nf::register(at));
        number(data, nf::NFTA_META_KEY, key);
    });
}

/// From a header: which, where, how many bytes.
fn payload(all: &mut Message, (base, offset, length): (u32, u32, u32), at: u32) {
    expression(all, "payload", |data| {
        number(data, nf::NFTA_PAYLOAD_DREG, nf::register(at));
        number(data, nf::NFTA_PAYLOAD_BASE, base);
        number(data, nf::NFTA_PAYLOAD_OFFSET, offset);
        number(data, nf::NFTA_PAYLOAD_LEN, length);
    });
}

fn compare(all: &mut Message, operation: u32, wanted: &[u8]) {
    expression(all, "cmp", |data| {
        number(data, nf::NFTA_CMP_SREG, nf::register(0));
        number(data, nf::NFTA_CMP_OP, operation);
        value(data, nf::NFTA_CMP_DATA, wanted);
    });
}

fn mask(all: &mut Message, bits: &[u8]) {
    let length = u32::try_from(bits.len()).unwrap_or_default();
    expression(all, "bitwise", |data| {
        number(data, nf::NFTA_BITWISE_SREG, nf::register(0));
        number(data, nf::NFTA_BITWISE_DREG, nf::register(0));
        number(data, nf::NFTA_BITWISE_LEN, length);
        value(data, nf::NFTA_BITWISE_MASK, bits);
        value(data, nf::NFTA_BITWISE_XOR, &vec![0; bits.len()]);
    });
}

fn within(all: &mut Message, subnet: Address) {
    let (first, last) = (octets(edge(subnet, false)), octets(edge(subnet, true)));
    if first != last {
        let bits: Vec<u8> = first.iter().zip(&last).map(|(first, last)| !(first ^ last)).collect();
        mask(all, &bits);
    }
    compare(all, nf::NFT_CMP_EQ, &first);
}

const fn port_offset(side: Side) -> u32 {
    match side {
        Side::Source => 0,
        Side::Destination => 2,
    }
}

fn set_port(all: &mut Message, protocol: Protocol, side: Side, port: u16) {
    constant(all, nf::register(0), &port.to_be_bytes());
    expression(all, "payload", |data| {
        number(data, nf::NFTA_PAYLOAD_SREG, nf::register(0));
        number(data, nf::NFTA_PAYLOAD_BASE, nf::NFT_PAYLOAD_TRANSPORT_HEADER);
        number(data, nf::NFTA_PAYLOAD_OFFSET, port_offset(side));
        number(data, nf::NFTA_PAYLOAD_LEN, 2);
        if let Some(offset) = checksum_offset(protocol) {
            number(data, nf::NFTA_PAYLOAD_CSUM_TYPE, nf::NFT_PAYLOAD_CSUM_INET);
            number(data, nf::NFTA_PAYLOAD_CSUM_OFFSET, offset);
        }
    });
}

/// Where the sum is that changes with the packet. That of SCTP is of another kind.
const fn checksum_offset(protocol: Protocol) -> Option<u32> {
    match protocol {
        Protocol::Tcp => Some(16),
        Protocol::Udp => Some(6),
        Protocol::Sctp => None,
    }
}

fn state_bits(all: &mut Message, state: State) {
    connection(all, nf::NFT_CT_STATE, state.names().0);
}

fn connection(all: &mut Message, key: u32, bits: u32) {
    expression(all, "ct", |data| {
        number(data, nf::NFTA_CT_DREG, nf::register(0));
        number(data, nf::NFTA_CT_KEY, key);
    });
    mask(all, &bits.to_ne_bytes());
    compare(all, nf::NFT_CMP_NEQ, &[0; 4]);
}

fn local(all: &mut Message) {
    expression(all, "fib", |data| {
        number(data, nf::NFTA_FIB_DREG, nf::register(0));
        number(data, nf::NFTA_FIB_RESULT, nf::NFT_FIB_RESULT_ADDRTYPE);
        number(data, nf::NFTA_FIB_FLAGS, nf::NFTA_FIB_F_DADDR);
    });
    compare(all, nf::NFT_CMP_EQ, &nf::RTN_LOCAL.to_ne_bytes());
}

/// A rule ends here when the set has no such element.
fn lookup(all: &mut Message, set: &Set) {
    expression(all, "lookup", |data| {
        data.text(nf::NFTA_LOOKUP_SET, set.name);
        number(data, nf::NFTA_LOOKUP_SREG, nf::register(0));
        if !set.data.is_empty() {
            number(data, nf::NFTA_LOOKUP_DREG, nf::register(0));
        }
    });
}

fn translate(all: &mut Message, side: Side, family: Family, map: &Set) {
    expression(all, "nat", |data| {
        let kind = if matches!(side, Side::Source) { nf::NFT_NAT_SNAT } else { nf::NFT_NAT_DNAT };
        number(data, nf::NFTA_NAT_TYPE, kind);
        number(data, nf::NFTA_NAT_FAMILY, family.number().into());
        number(data, nf::NFTA_NAT_REG_ADDR_MIN, nf::register(0));
        if let [address, Field::Port] = map.data {
            number(data, nf::NFTA_NAT_REG_PROTO_MIN, nf::register(address.padded() / 4));
        }
    });
}

fn copy(all: &mut Message, family: Family, link: u32) {
    let to = octets(family.nobody());
    let device = nf::register(4);
    constant(all, nf::register(0), &to);
    constant(all, device, &link.to_ne_bytes());
    expression(all, "dup", |data| {
        number(data, nf::NFTA_DUP_SREG_ADDR, nf::register(0));
        number(data, nf::NFTA_DUP_SREG_DEV, device);
    });
}

fn constant(all: &mut Message, register: u32, bytes: &[u8]) {
    expression(all, "immediate", |data| {
        number(data, nf::NFTA_IMMEDIATE_DREG, register);
        value(data, nf::NFTA_IMMEDIATE_DATA, bytes);
    });
}

fn verdict(all: &mut Message, verdict: Verdict) {
    let (code, chain) = match verdict {
        Verdict::Accept => (nf::NF_ACCEPT, None),
        Verdict::Drop => (nf::NF_DROP, None),
        Verdict::Return => (nf::NFT_RETURN, None),
        Verdict::Jump(chain) => (nf::NFT_JUMP, Some(chain)),
        Verdict::Goto(chain) => (nf::NFT_GOTO, Some(chain)),
    };
    expression(all, "immediate", |data| {
        number(data, nf::NFTA_IMMEDIATE_DREG, nf::NFT_REG_VERDICT);
        data.nest(nf::NFTA_IMMEDIATE_DATA, |data| {
            data.nest(nf::NFTA_DATA_VERDICT, |data| {
                number(data, nf::NFTA_VERDICT_CODE, code.cast_unsigned());
                chain.map(|chain| data.text(nf::NFTA_VERDICT_CHAIN, chain));
            });
        });
    });
}

fn value(message: &mut Message, kind: u16, bytes: &[u8]) {
    message.nest(kind, |data| {
        data.put(nf::NFTA_DATA_VALUE, bytes);
    });
}

/// In nftables, numbers of attributes are in the order of the network.
fn number(message: &mut Message, kind: u16, value: u32) {
    message.put(kind, &value.to_be_bytes());
}
