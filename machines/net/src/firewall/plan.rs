//! From what is wanted to a table: chains that never change, and elements of sets for what there is.
//!
//! A packet that the host routes passes `forward`; the first packet of a connection passes one of the chains
//! that translate its destination before, and `leave`, which translates its source, after:
//!
//! ```text
//! from outside ── martians ── arrive ──┐                          ┌── forward ── inward ──┐
//!                                      ├── published ── (route) ──┤        └─ neighbours ─┼── leave ──
//! from the host itself ────── depart ──┘                          └───────────────────────┘
//! ```
//!
//! Whatever number of containers there is, the chains are the same, and a network or a published range is a
//! few elements. Nobody else's packet meets more than a look into a set of names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::language::{
    Chain, Element, Family, Field, Hook, Place, Set, Side, State, Table, Term, Value, Verdict,
};
use super::rules::{Neighbours, Network, Policy, Port, Reach, Rules, Source, Strangers};
use crate::link::Address;

const ACCEPT: Term = Term::Verdict(Verdict::Accept);
const DROP: Term = Term::Verdict(Verdict::Drop);
const RETURN: Term = Term::Verdict(Verdict::Return);
/// `NF_IP_PRI_RAW`, `…_NAT_DST`, `…_FILTER`, `…_NAT_SRC`.
const RAW: i32 = -300;
const BEFORE_ROUTE: i32 = -100;
const FILTER: i32 = 0;
const AFTER_ROUTE: i32 = 100;

const ADDRESSED4: &[Field] = &[Field::Destination4, Field::Protocol, Field::Port];
const ADDRESSED6: &[Field] = &[Field::Destination6, Field::Protocol, Field::Port];
const ANY: &[Field] = &[Field::Protocol, Field::Port];
const SUBNET4: &[Field] = &[Field::From, Field::Source4];
const SUBNET6: &[Field] = &[Field::From, Field::Source6];
const INTO4: &[Field] = &[Field::To, Field::Source4];
const INTO6: &[Field] = &[Field::To, Field::Source6];
const WAY: &[Field] = &[Field::From, Field::To];

static BRIDGES: Set = names("bridges");
static INTERNAL: Set = names("internal");
static APART: Set = names("apart");
/// From a bridge to itself.
static LOOPS: Set = Set { name: "loops", key: WAY, data: &[], interval: false };
/// By address, for where the host filters what bridges switch, nothing says at the end by which one it came.
static INSIDE4: Set = Set { name: "inside4", key: INTO4, data: &[], interval: true };
static INSIDE6: Set = Set { name: "inside6", key: INTO6, data: &[], interval: true };
static MASQUERADED4: Set = Set { name: "masqueraded4", key: SUBNET4, data: &[], interval: true };
static MASQUERADED6: Set = Set { name: "masqueraded6", key: SUBNET6, data: &[], interval: true };
static GIVEN4: Set = Set { name: "given4", key: SUBNET4, data: &[Field::Source4], interval: true };
static GIVEN6: Set = Set { name: "given6", key: SUBNET6, data: &[Field::Source6], interval: true };
static PORTS4: Set = ports("ports4", ADDRESSED4, &[Field::Destination4, Field::Port]);
static PORTS6: Set = ports("ports6", ADDRESSED6, &[Field::Destination6, Field::Port]);
static ANY4: Set = ports("any4", ANY, &[Field::Destination4, Field::Port]);
static ANY6: Set = ports("any6", ANY, &[Field::Destination6, Field::Port]);
/// Ranges that keep their ports: one element, however long.
static RANGES4: Set = ranges("ranges4", ADDRESSED4, &[Field::Destination4]);
static RANGES6: Set = ranges("ranges6", ADDRESSED6, &[Field::Destination6]);
static ANY_RANGES4: Set = ranges("any_ranges4", ANY, &[Field::Destination4]);
static ANY_RANGES6: Set = ranges("any_ranges6", ANY, &[Field::Destination6]);

static ALL: [&Set; 18] = [
    &BRIDGES,
    &INTERNAL,
    &APART,
    &LOOPS,
    &INSIDE4,
    &INSIDE6,
    &MASQUERADED4,
    &MASQUERADED6,
    &GIVEN4,
    &GIVEN6,
    &PORTS4,
    &PORTS6,
    &ANY4,
    &ANY6,
    &RANGES4,
    &RANGES6,
    &ANY_RANGES4,
    &ANY_RANGES6,
];

const fn names(name: &'static str) -> Set {
    Set { name, key: &[Field::From], data: &[], interval: false }
}

const fn ports(name: &'static str, key: &'static [Field], data: &'static [Field]) -> Set {
    Set { name, key, data, interval: false }
}

const fn ranges(name: &'static str, key: &'static [Field], data: &'static [Field]) -> Set {
    Set { name, key, data, interval: true }
}

/// The whole table.
pub(super) fn table(name: &str, rules: &Rules) -> Table {
    let networks = rules.networks.iter().flat_map(network_elements);
    let elements = networks.chain(rules.ports.iter().flat_map(port_elements)).collect();
    let sets = ALL.iter().map(|set| **set).collect();
    Table { name: name.to_owned(), sets, chains: chains(rules.policy), elements }
}

fn chains(policy: Policy) -> Vec<Chain> {
    vec![
        Chain { name: "published", hook: None, rules: published() },
        Chain { name: "neighbours", hook: None, rules: neighbours() },
        Chain { name: "inward", hook: None, rules: inward() },
        hooked("martians", "filter", Place::Prerouting, RAW, martians()),
        hooked("arrive", "nat", Place::Prerouting, BEFORE_ROUTE, arrive()),
        hooked("depart", "nat", Place::Output, BEFORE_ROUTE, depart()),
        hooked("forward", "filter", Place::Forward, FILTER, forward(policy.strangers)),
        hooked("leave", "nat", Place::Postrouting, AFTER_ROUTE, leave()),
    ]
}

fn hooked(
    name: &'static str,
    kind: &'static str,
    place: Place,
    priority: i32,
    rules: Vec<Vec<Term>>,
) -> Chain {
    Chain { name, hook: Some(Hook { kind, place, priority }), rules }
}

/// Addresses of the loopback interface never come by another one. The kernel says so too, but not of bridges
/// with `route_localnet`, which ports on 127.0.0.1 need: without this, containers reached what the host offers
/// itself, and whoever is on the host's own wire reached what is published on 127.0.0.1 (CVE-2020-8558).
fn martians() -> Vec<Vec<Term>> {
    [Field::Destination4, Field::Source4]
        .map(|field| {
            vec![Term::NotFrom("lo"), Term::Family(Family::Four), Term::Within(field, loopback4()), DROP]
        })
        .into()
}

fn arrive() -> Vec<Vec<Term>> {
    vec![
        vec![Term::Family(Family::Four), Term::Within(Field::Destination4, loopback4()), RETURN],
        vec![Term::Local, jump("published")],
    ]
}

fn depart() -> Vec<Vec<Term>> {
    vec![vec![Term::Local, jump("published")]]
}

/// The published port that has the address goes before one of any address.
fn published() -> Vec<Vec<Term>> {
    let four = [(ADDRESSED4, &PORTS4), (ADDRESSED4, &RANGES4), (ANY, &ANY4), (ANY, &ANY_RANGES4)];
    let six = [(ADDRESSED6, &PORTS6), (ADDRESSED6, &RANGES6), (ANY, &ANY6), (ANY, &ANY_RANGES6)];
    let rule = |family, (fields, map)| {
        vec![Term::Family(family), Term::Translate(Side::Destination, family, fields, map)]
    };
    let four = four.into_iter().map(|entry| rule(Family::Four, entry));
    four.chain(six.into_iter().map(|entry| rule(Family::Six, entry))).collect()
}

/// An internal network is cut off before anything is let through, were it an established connection.
fn forward(strangers: Strangers) -> Vec<Vec<Term>> {
    let mut rules = vec![
        vec![Term::In(WAY, &LOOPS), Term::Verdict(Verdict::Goto("neighbours"))],
        vec![Term::In(&[Field::From], &INTERNAL), DROP],
        vec![Term::In(&[Field::To], &INTERNAL), DROP],
        vec![Term::In(&[Field::To], &BRIDGES), Term::Verdict(Verdict::Goto("inward"))],
        // What belongs to no connection would leave with the container's address, untranslated.
        vec![Term::In(&[Field::From], &BRIDGES), Term::State(State::Invalid), DROP],
    ];
    if strangers == Strangers::Drop {
        rules.push(vec![Term::In(&[Field::From], &BRIDGES), ACCEPT]);
        rules.push(vec![DROP]);
    }
    rules
}

/// From outside, or from another network of ours, to a container.
fn inward() -> Vec<Vec<Term>> {
    vec![vec![Term::State(State::Known), ACCEPT], vec![Term::Translated, ACCEPT], vec![DROP]]
}

/// From a network to itself: by a published port, or where the host filters what bridges switch.
fn neighbours() -> Vec<Vec<Term>> {
    vec![vec![Term::Translated, ACCEPT], vec![Term::In(&[Field::From], &APART), DROP]]
}

/// The answer to what came by a published port from the same network must come back through the host, and so
/// must that to what the host sent from an address of its loopback interface.
fn leave() -> Vec<Vec<Term>> {
    let ours = || Term::In(&[Field::To], &BRIDGES);
    vec![
        vec![Term::Translated, Term::Family(Family::Four), Term::In(INTO4, &INSIDE4), Term::Masquerade],
        vec![Term::Translated, Term::Family(Family::Six), Term::In(INTO6, &INSIDE6), Term::Masquerade],
        vec![Term::In(WAY, &LOOPS), RETURN],
        vec![Term::Family(Family::Four), Term::Translate(Side::Source, Family::Four, SUBNET4, &GIVEN4)],
        vec![Term::Family(Family::Six), Term::Translate(Side::Source, Family::Six, SUBNET6, &GIVEN6)],
        vec![Term::Family(Family::Four), Term::In(SUBNET4, &MASQUERADED4), Term::Masquerade],
        vec![Term::Family(Family::Six), Term::In(SUBNET6, &MASQUERADED6), Term::Masquerade],
        vec![Term::Family(Family::Four), ours(), Term::Within(Field::Source4, loopback4()), Term::Masquerade],
        vec![Term::Family(Family::Six), ours(), Term::Within(Field::Source6, loopback6()), Term::Masquerade],
    ]
}

const fn jump(chain: &'static str) -> Term {
    Term::Verdict(Verdict::Jump(chain))
}

const fn loopback4() -> Address {
    Address { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 }
}

const fn loopback6() -> Address {
    Address { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 }
}

/// What a network adds.
pub(super) fn network_elements(network: &Network) -> Vec<Element> {
    let name = || Value::Name(network.bridge.clone());
    let element = |set, key| Element { set, key, data: Vec::new() };
    let mut elements = vec![element(&LOOPS, vec![name(), name()])];
    elements.extend(network.subnets.iter().map(|subnet| {
        let set = if subnet.address.is_ipv4() { &INSIDE4 } else { &INSIDE6 };
        element(set, vec![name(), Value::Subnet(*subnet)])
    }));
    if network.neighbours == Neighbours::Apart {
        elements.push(element(&APART, vec![name()]));
    }
    match network.reach {
        Reach::Internal => elements.push(element(&INTERNAL, vec![name()])),
        Reach::Outside => {
            elements.extend(network.subnets.iter().filter_map(|subnet| source(network, *subnet)))
        }
    }
    elements.push(element(&BRIDGES, vec![name()]));
    elements
}

fn source(network: &Network, subnet: Address) -> Option<Element> {
    let key = vec![Value::Name(network.bridge.clone()), Value::Subnet(subnet)];
    let four = subnet.address.is_ipv4();
    match network.source {
        Source::Kept => None,
        Source::Given(address) if address.is_ipv4() == four => {
            let set = if four { &GIVEN4 } else { &GIVEN6 };
            Some(Element { set, key, data: vec![Value::Address(address)] })
        }
        Source::Masquerade | Source::Given(_) => {
            let set = if four { &MASQUERADED4 } else { &MASQUERADED6 };
            Some(Element { set, key, data: Vec::new() })
        }
    }
}

/// What a published range adds: one element, unless the container's ports are others than the host's.
pub(super) fn port_elements(port: &Port) -> Vec<Element> {
    let four = port.container.is_ipv4();
    let key = |first, last| {
        let address = port.host.map(Value::Address);
        address.into_iter().chain([Value::Protocol(port.protocol), Value::Ports(first, last)]).collect()
    };
    let container = || Value::Address(port.container);
    if port.count > 1 && port.first == port.inside {
        let set = match (port.host.is_some(), four) {
            (true, true) => &RANGES4,
            (true, false) => &RANGES6,
            (false, true) => &ANY_RANGES4,
            (false, false) => &ANY_RANGES6,
        };
        return vec![Element { set, key: key(port.first, port.last()), data: vec![container()] }];
    }
    let set = match (port.host.is_some(), four) {
        (true, true) => &PORTS4,
        (true, false) => &PORTS6,
        (false, true) => &ANY4,
        (false, false) => &ANY6,
    };
    let each = (port.first..=port.last()).zip(port.inside..);
    each.map(|(outer, inner)| {
        let data = vec![container(), Value::Ports(inner, inner)];
        Element { set, key: key(outer, outer), data }
    })
    .collect()
}
