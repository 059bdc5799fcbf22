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

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::gate::Gate;
use super::language::{
    Chain, Element, Family, Field, Home, Hook, Place, Set, Side, State, Table, Term, Value, Verdict,
};
use super::rules::{Access, Face, Neighbours, Network, Policy, Port, Reach, Rules, Source, Strangers};
use crate::link::{Address, GROUP};

const ACCEPT: Term = Term::Verdict(Verdict::Accept);
const DROP: Term = Term::Verdict(Verdict::Drop);
const RETURN: Term = Term::Verdict(Verdict::Return);
/// `NF_IP_PRI_RAW`, `…_NAT_DST`, `…_FILTER`, `…_NAT_SRC`.
const RAW: i32 = -300;
const BEFORE_ROUTE: i32 = -100;
const FILTER: i32 = 0;
const AFTER_ROUTE: i32 = 100;
/// After everybody else's chain; the connection is only remembered after this (`…_CONNTRACK_CONFIRM`).
const LAST: i32 = i32::MAX - 1;

const ADDRESSED4: &[Field] = &[Field::Destination4, Field::Protocol, Field::Port];
const ADDRESSED6: &[Field] = &[Field::Destination6, Field::Protocol, Field::Port];
const TRUSTING4: &[Field] = &[Field::From, Field::Destination4, Field::Protocol, Field::Port];
const TRUSTING6: &[Field] = &[Field::From, Field::Destination6, Field::Protocol, Field::Port];
const ANY: &[Field] = &[Field::Protocol, Field::Port];
// Subnets alone, without the bridge: networks do not overlap, and a set of ranges of one field is a tree. One of
// several fields is copied for every change: ten milliseconds beside a thousand networks.
const SUBNET4: &[Field] = &[Field::Source4];
const SUBNET6: &[Field] = &[Field::Source6];
const WAY: &[Field] = &[Field::From, Field::To];

static BRIDGES: Set = names("bridges");
const INTERNAL: Set = names("internal");
static INTERNAL_BOTH: Set = INTERNAL;
/// Whose containers are reached by their own addresses, wholly, and at which ports.
static OPEN4: Set = names("open4");
static OPEN6: Set = names("open6");
static DIRECT4: Set = ranges("direct4", ADDRESSED4, &[]);
static DIRECT6: Set = ranges("direct6", ADDRESSED6, &[]);
/// The same for those who come by one link.
static TRUSTED4: Set = ranges("trusted4", TRUSTING4, &[]);
static TRUSTED6: Set = ranges("trusted6", TRUSTING6, &[]);
static APART: Set = names("apart");
/// From a bridge to itself.
static LOOPS: Set = Set { home: Home::Both, name: "loops", key: WAY, data: &[], interval: false };
/// All subnets: where the host filters what bridges switch, nothing says at the end by which bridge a packet came.
static INSIDE4: Set = Set { home: Home::Both, name: "inside4", key: SUBNET4, data: &[], interval: true };
static INSIDE6: Set = Set { home: Home::Both, name: "inside6", key: SUBNET6, data: &[], interval: true };
static MASQUERADED4: Set =
    Set { home: Home::Both, name: "masqueraded4", key: SUBNET4, data: &[], interval: true };
static MASQUERADED6: Set =
    Set { home: Home::Both, name: "masqueraded6", key: SUBNET6, data: &[], interval: true };
static GIVEN4: Set =
    Set { home: Home::Both, name: "given4", key: SUBNET4, data: &[Field::Source4], interval: true };
static GIVEN6: Set =
    Set { home: Home::Both, name: "given6", key: SUBNET6, data: &[Field::Source6], interval: true };
static PORTS4: Set = ports("ports4", ADDRESSED4, &[Field::Destination4, Field::Port]);
static PORTS6: Set = ports("ports6", ADDRESSED6, &[Field::Destination6, Field::Port]);
static ANY4: Set = ports("any4", ANY, &[Field::Destination4, Field::Port]);
static ANY6: Set = ports("any6", ANY, &[Field::Destination6, Field::Port]);
/// Ranges that keep their ports: one element, however long.
static RANGES4: Set = ranges("ranges4", ADDRESSED4, &[Field::Destination4]);
static RANGES6: Set = ranges("ranges6", ADDRESSED6, &[Field::Destination6]);
static ANY_RANGES4: Set = ranges("any_ranges4", ANY, &[Field::Destination4]);
static ANY_RANGES6: Set = ranges("any_ranges6", ANY, &[Field::Destination6]);

/// In which a published port is, by addresses of the host.
pub(super) static PUBLISHED: [&Set; 8] =
    [&PORTS4, &PORTS6, &ANY4, &ANY6, &RANGES4, &RANGES6, &ANY_RANGES4, &ANY_RANGES6];

static DOORS4: Set = doors("doors", Home::Four, ADDRESSED4);
static DOORS6: Set = doors("doors", Home::Six, ADDRESSED6);
static ANY_DOORS4: Set = doors("any_doors", Home::Four, ANY);
static ANY_DOORS6: Set = doors("any_doors", Home::Six, ANY);
static INTERNAL4: Set = Set { home: Home::Four, ..INTERNAL };
static INTERNAL6: Set = Set { home: Home::Six, ..INTERNAL };

/// Further bridges of networks.
static ANNEXES: Set = names("annexes");

static ALL: [&Set; 25] = [
    &BRIDGES,
    &ANNEXES,
    &INTERNAL_BOTH,
    &APART,
    &OPEN4,
    &OPEN6,
    &DIRECT4,
    &DIRECT6,
    &TRUSTED4,
    &TRUSTED6,
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
    Set { home: Home::Both, name, key: &[Field::From], data: &[], interval: false }
}

const fn ports(name: &'static str, key: &'static [Field], data: &'static [Field]) -> Set {
    Set { home: Home::Both, name, key, data, interval: false }
}

const fn ranges(name: &'static str, key: &'static [Field], data: &'static [Field]) -> Set {
    Set { home: Home::Both, name, key, data, interval: true }
}

const fn doors(name: &'static str, home: Home, key: &'static [Field]) -> Set {
    Set { home, name, key, data: &[], interval: true }
}

/// All tables: one, and one more of each family when there is a gate.
pub(super) fn tables(name: &str, rules: &Rules) -> Vec<Table> {
    let policy = &rules.policy;
    let mut elements: Vec<Element> =
        rules.networks.iter().flat_map(|network| network_elements(network, policy)).collect();
    elements.extend(ports_elements(&rules.ports, &[], rules));
    let mut table = |home, sets: &[&Set], chains| {
        let own = |element: &mut Element| element.set.home == home;
        let elements = elements.extract_if(.., own).collect();
        let sets = sets.iter().map(|set| **set).collect();
        Table { home, name: name.to_owned(), sets, chains, elements }
    };
    let mut tables = vec![table(Home::Both, &ALL, chains(policy))];
    if let Some(gate) = &policy.gate {
        tables.push(table(Home::Four, &[&INTERNAL4, &DOORS4, &ANY_DOORS4], gate_chains(gate, Family::Four)));
        tables.push(table(Home::Six, &[&INTERNAL6, &DOORS6, &ANY_DOORS6], gate_chains(gate, Family::Six)));
    }
    tables
}

/// What the host's own rules let in, after all of them: see [`Gate`].
fn gate_chains(gate: &Gate, family: Family) -> Vec<Chain> {
    let (internal, addressed, any) = match family {
        Family::Four => (&INTERNAL4, (ADDRESSED4, &DOORS4), &ANY_DOORS4),
        Family::Six => (&INTERNAL6, (ADDRESSED6, &DOORS6), &ANY_DOORS6),
    };
    let knock = |fields, set| {
        let once = Term::NotFrom(gate.back.clone());
        vec![once, Term::In(fields, set), Term::Verdict(Verdict::Goto("knock"))]
    };
    let admit = vec![
        // By the gate it would come as if from outside.
        vec![Term::In(&[Field::From], internal), RETURN],
        knock(addressed.0, addressed.1),
        knock(ANY, any),
    ];
    let copy = Term::Copy(family, gate.out.clone(), gate.index);
    vec![
        Chain { name: "knock", hook: None, rules: vec![vec![copy], vec![DROP]] },
        hooked("admit", "filter", Place::Input, LAST, admit),
    ]
}

fn chains(policy: &Policy) -> Vec<Chain> {
    vec![
        Chain { name: "published", hook: None, rules: published() },
        Chain { name: "neighbours", hook: None, rules: neighbours() },
        Chain { name: "inward", hook: None, rules: inward() },
        hooked("martians", "filter", Place::Prerouting, RAW, martians()),
        hooked("arrive", "nat", Place::Prerouting, BEFORE_ROUTE, arrive(policy.gate.as_ref())),
        hooked("depart", "nat", Place::Output, BEFORE_ROUTE, depart()),
        hooked("forward", "filter", Place::Forward, FILTER, forward(policy.strangers4, policy.strangers6)),
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
///
/// What an annex switches is met once more on the first bridge. To be known twice, a packet would be translated twice.
fn martians() -> Vec<Vec<Term>> {
    let foreign = [Field::Destination4, Field::Source4].map(|field| {
        vec![
            Term::NotFrom("lo".to_owned()),
            Term::Family(Family::Four),
            Term::Within(field, loopback4()),
            DROP,
        ]
    });
    let unseen = vec![Term::In(&[Field::From], &ANNEXES), Term::Untracked];
    foreign.into_iter().chain([unseen]).collect()
}

fn arrive(gate: Option<&Gate>) -> Vec<Vec<Term>> {
    let mut rules =
        vec![vec![Term::Family(Family::Four), Term::Within(Field::Destination4, loopback4()), RETURN]];
    rules.extend(gate.map(|gate| vec![Term::NotFrom(gate.back.clone()), RETURN]));
    rules.push(vec![Term::Local, jump("published")]);
    rules
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
fn forward(four: Strangers, six: Strangers) -> Vec<Vec<Term>> {
    let mut rules = vec![
        vec![Term::In(WAY, &LOOPS), Term::Verdict(Verdict::Goto("neighbours"))],
        // An annex switches, and never routes.
        vec![Term::In(&[Field::From], &ANNEXES), DROP],
        vec![Term::In(&[Field::From], &INTERNAL_BOTH), DROP],
        vec![Term::In(&[Field::To], &INTERNAL_BOTH), DROP],
        vec![Term::In(&[Field::To], &BRIDGES), Term::Verdict(Verdict::Goto("inward"))],
        // What belongs to no connection would leave with the container's address, untranslated.
        vec![Term::In(&[Field::From], &BRIDGES), Term::State(State::Invalid), DROP],
    ];
    let drops: &[Vec<Term>] = match (four, six) {
        (Strangers::Pass, Strangers::Pass) => return rules,
        (Strangers::Drop, Strangers::Drop) => &[vec![DROP]],
        (Strangers::Drop, Strangers::Pass) => &[vec![Term::Family(Family::Four), DROP]],
        (Strangers::Pass, Strangers::Drop) => &[vec![Term::Family(Family::Six), DROP]],
    };
    rules.push(vec![Term::In(&[Field::From], &BRIDGES), ACCEPT]);
    // Those of other engines of this host are no strangers: their own rules guard them.
    rules.extend([Side::Source, Side::Destination].map(|side| vec![Term::Grouped(side, GROUP), ACCEPT]));
    rules.extend_from_slice(drops);
    rules
}

/// From outside, or from another network of ours, to a container.
fn inward() -> Vec<Vec<Term>> {
    vec![
        vec![Term::State(State::Known), ACCEPT],
        vec![Term::Translated, ACCEPT],
        vec![Term::Family(Family::Four), Term::In(&[Field::To], &OPEN4), ACCEPT],
        vec![Term::Family(Family::Six), Term::In(&[Field::To], &OPEN6), ACCEPT],
        vec![Term::Family(Family::Four), Term::In(ADDRESSED4, &DIRECT4), ACCEPT],
        vec![Term::Family(Family::Six), Term::In(ADDRESSED6, &DIRECT6), ACCEPT],
        vec![Term::Family(Family::Four), Term::In(TRUSTING4, &TRUSTED4), ACCEPT],
        vec![Term::Family(Family::Six), Term::In(TRUSTING6, &TRUSTED6), ACCEPT],
        vec![DROP],
    ]
}

/// From a network to itself: by a published port, or where the host filters what bridges switch.
fn neighbours() -> Vec<Vec<Term>> {
    vec![vec![Term::Translated, ACCEPT], vec![Term::In(&[Field::From], &APART), DROP]]
}

/// The answer to what came by a published port from the same network must come back through the host, and so
/// must that to what the host sent from an address of its loopback interface.
fn leave() -> Vec<Vec<Term>> {
    let to = || Term::In(&[Field::To], &BRIDGES);
    let from = || Term::In(&[Field::From], &BRIDGES);
    vec![
        vec![
            Term::Translated,
            to(),
            Term::Family(Family::Four),
            Term::In(SUBNET4, &INSIDE4),
            Term::Masquerade,
        ],
        vec![
            Term::Translated,
            to(),
            Term::Family(Family::Six),
            Term::In(SUBNET6, &INSIDE6),
            Term::Masquerade,
        ],
        vec![Term::In(WAY, &LOOPS), RETURN],
        vec![
            from(),
            Term::Family(Family::Four),
            Term::Translate(Side::Source, Family::Four, SUBNET4, &GIVEN4),
        ],
        vec![from(), Term::Family(Family::Six), Term::Translate(Side::Source, Family::Six, SUBNET6, &GIVEN6)],
        vec![from(), Term::Family(Family::Four), Term::In(SUBNET4, &MASQUERADED4), Term::Masquerade],
        vec![from(), Term::Family(Family::Six), Term::In(SUBNET6, &MASQUERADED6), Term::Masquerade],
        vec![Term::Family(Family::Four), to(), Term::Within(Field::Source4, loopback4()), Term::Masquerade],
        vec![Term::Family(Family::Six), to(), Term::Within(Field::Source6, loopback6()), Term::Masquerade],
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
pub(super) fn network_elements(network: &Network, policy: &Policy) -> Vec<Element> {
    let name = || Value::Name(network.bridge.clone());
    let element = |set, key| Element { set, key, data: Vec::new() };
    let mut elements = vec![element(&LOOPS, vec![name(), name()])];
    if network.annex {
        elements.extend([element(&ANNEXES, vec![name()]), element(&BRIDGES, vec![name()])]);
        return elements;
    }
    elements.extend(network.subnets.iter().map(|subnet| {
        let set = if subnet.address.is_ipv4() { &INSIDE4 } else { &INSIDE6 };
        element(set, vec![Value::Subnet(*subnet)])
    }));
    let open = [(&network.four, &OPEN4), (&network.six, &OPEN6)].into_iter();
    let open = open.filter(|(face, _)| face.access == Access::Open);
    elements.extend(open.map(|(_, set)| element(set, vec![name()])));
    if network.neighbours == Neighbours::Apart {
        elements.push(element(&APART, vec![name()]));
    }
    match network.reach {
        Reach::Internal => {
            elements.push(element(&INTERNAL_BOTH, vec![name()]));
            let gates = [&INTERNAL4, &INTERNAL6].into_iter().filter(|_| policy.gate.is_some());
            elements.extend(gates.map(|set| element(set, vec![name()])));
        }
        Reach::Outside => {
            let face = |subnet: &Address| network.face(subnet.address.is_ipv4());
            elements.extend(network.subnets.iter().filter_map(|subnet| source(face(subnet), *subnet)))
        }
    }
    elements.push(element(&BRIDGES, vec![name()]));
    elements
}

fn source(face: &Face, subnet: Address) -> Option<Element> {
    let key = vec![Value::Subnet(subnet)];
    let four = subnet.address.is_ipv4();
    match face.source {
        Source::Kept => None,
        Source::Given(address) => {
            let set = if four { &GIVEN4 } else { &GIVEN6 };
            Some(Element { set, key, data: vec![Value::Address(address)] })
        }
        Source::Masquerade => {
            let set = if four { &MASQUERADED4 } else { &MASQUERADED6 };
            Some(Element { set, key, data: Vec::new() })
        }
    }
}

/// What published ranges add beside others of theirs. Where a container is reached by its own address, several ports of
/// the host may lead to one of its: that is there once.
pub(super) fn ports_elements<'a>(
    ports: impl IntoIterator<Item = &'a Port>,
    beside: &[&Port],
    rules: &Rules,
) -> Vec<Element> {
    let name = |element: &Element| format!("{element} {}", element.set.name);
    let shared = |element: &Element| {
        [&DIRECT4, &DIRECT6, &TRUSTED4, &TRUSTED6].iter().any(|set| set.name == element.set.name)
    };
    let beside = beside.iter().flat_map(|port| port_elements(port, rules)).filter(|element| shared(element));
    let mut there: BTreeSet<String> = beside.map(|element| name(&element)).collect();
    let all = ports.into_iter().flat_map(|port| port_elements(port, rules));
    all.filter(|element| !shared(element) || there.insert(name(element))).collect()
}

/// What a published range adds: one element, unless the container's ports are others than the host's, or lead to it
/// by its own address.
fn port_elements(port: &Port, rules: &Rules) -> Vec<Element> {
    let network = rules.network(&port.bridge);
    let access = network.map(|network| network.face(port.container.is_ipv4()).access);
    if access == Some(Access::Published) {
        return direct_elements(port);
    }
    let mut elements = map_elements(port);
    if rules.policy.direct {
        elements.extend(direct_elements(port));
    }
    let trusted = network.iter().flat_map(|network| &network.trusted);
    elements.extend(trusted.flat_map(|link| trusted_elements(port, link)));
    if rules.policy.gate.is_some() {
        let set = match (port.host.is_some(), port.container.is_ipv4()) {
            (true, true) => &DOORS4,
            (true, false) => &DOORS6,
            (false, true) => &ANY_DOORS4,
            (false, false) => &ANY_DOORS6,
        };
        elements.push(Element { set, key: port_key(port, port.first, port.last()), data: Vec::new() });
    }
    elements
}

/// One a port: ranges of two publications might overlap in part.
fn direct_elements(port: &Port) -> Vec<Element> {
    let set = if port.container.is_ipv4() { &DIRECT4 } else { &DIRECT6 };
    let inside = (port.first..=port.last()).zip(port.inside..).map(|(_, inside)| inside);
    let key = |inside| {
        vec![Value::Address(port.container), Value::Protocol(port.protocol), Value::Ports(inside, inside)]
    };
    inside.map(|inside| Element { set, key: key(inside), data: vec![] }).collect()
}

fn trusted_elements(port: &Port, link: &str) -> Vec<Element> {
    let set = if port.container.is_ipv4() { &TRUSTED4 } else { &TRUSTED6 };
    let mut elements = direct_elements(port);
    for element in &mut elements {
        element.set = set;
        element.key.insert(0, Value::Name(link.to_owned()));
    }
    elements
}

fn port_key(port: &Port, first: u16, last: u16) -> Vec<Value> {
    let address = port.host.map(Value::Address);
    address.into_iter().chain([Value::Protocol(port.protocol), Value::Ports(first, last)]).collect()
}

fn map_elements(port: &Port) -> Vec<Element> {
    let four = port.container.is_ipv4();
    let container = || Value::Address(port.container);
    if port.count > 1 && port.first == port.inside {
        let set = match (port.host.is_some(), four) {
            (true, true) => &RANGES4,
            (true, false) => &RANGES6,
            (false, true) => &ANY_RANGES4,
            (false, false) => &ANY_RANGES6,
        };
        return vec![Element { set, key: port_key(port, port.first, port.last()), data: vec![container()] }];
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
        Element { set, key: port_key(port, outer, outer), data }
    })
    .collect()
}
