//! More containers on one network than a bridge of Linux has ports: packets go between the first and the last.

use std::collections::BTreeMap;
use std::thread;

use dhow_model::network::{Driver, Published};
use dhow_model::ports::{NetworkSpace, Networks as _, Publication, ShouldBe};
use dhow_net::HostNetworks;
use dhow_net::sandbox::Sandbox;

use super::{BRIDGE, address, engine, host, network, plan, reaches, serve, within};

/// Containers: 500 are put on one bridge, and a bridge of Linux has 1,023 ports.
const MANY: u16 = 1100;

/// The first and the last containers have namespaces of their own. All are the engine's, in which links say nothing by IPv6:
/// those of 1,100 would fill the kernel's queues with a million packets.
fn fill(networks: &HostNetworks, talk: bool) -> BTreeMap<u16, NetworkSpace> {
    // One with no links in it.
    let space = || networks.space(Driver::Macvlan, false).unwrap();
    let filler = space();
    let mut own = BTreeMap::new();
    for number in 1..=MANY {
        if matches!(number, 1 | 2 | 600) || number > MANY - 2 {
            let space = space();
            networks.connect(&space, &plan(number, "eth0", talk)).unwrap();
            own.insert(number, space);
        } else {
            networks.connect(&filler, &plan(number, &format!("eth{number}"), talk)).unwrap();
        }
    }
    own.insert(0, filler);
    own
}

fn published(number: u16, host_port: u16) -> Publication {
    let port = Published {
        protocol: "udp".to_owned(),
        host: "0.0.0.0".parse().unwrap(),
        host_port,
        port: 80,
        count: 1,
    };
    Publication { bridge: BRIDGE.to_owned(), ipv4: Some(address(number)), ipv6: None, ports: vec![port] }
}

/// The hardware address that somebody finds an address at.
fn neighbour(namespace: impl std::os::fd::AsFd + Sync, address: &str) -> Option<String> {
    reaches(&namespace, address.parse().unwrap(), 80);
    let known = within(namespace, || std::fs::read_to_string("/proc/thread-self/net/arp").unwrap());
    let line = known.lines().find(|line| line.starts_with(address))?;
    line.split_whitespace().nth(3).map(str::to_owned)
}

/// Every way that packets go, with and without a host that filters what bridges switch.
fn talks(host: &Sandbox, spaces: &BTreeMap<u16, NetworkSpace>, talk: bool, filtered: bool) {
    let gateway = "10.9.0.1".parse().unwrap();
    thread::scope(|scope| {
        for (from, to) in [(1, MANY), (MANY, 1), (MANY - 1, MANY), (2, 1), (600, 1), (600, MANY)] {
            let from = &spaces[&from];
            scope.spawn(move || assert_eq!(reaches(from.handle(), address(to), 80), talk, "to {to}"));
        }
    });
    for number in [1, MANY] {
        assert!(reaches(host, address(number), 80), "the host reaches {number}");
        assert!(reaches(spaces[&number].handle(), gateway, 80), "{number} reaches the host");
        for port in [8001, 8002] {
            // Where the host filters what bridges switch, they switch what was translated, too: not between isolated
            // ports, and not back to the annex that it came from.
            if filtered && (!talk || (number, port) == (MANY, 8002)) {
                continue;
            }
            assert!(reaches(spaces[&number].handle(), gateway, port), "{number} reaches the port {port}");
        }
    }
}

fn filter_bridges(host: &Sandbox, filtered: bool) -> bool {
    let value = if filtered { "1" } else { "0" };
    within(host, || std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", value)).is_ok()
}

fn try_all(talk: bool) {
    let (Some(mut host), state) = (host(), tempfile::tempdir().unwrap()) else { return };
    let networks = engine(state.path());
    let network = network(talk);
    let spaces = within(&host, || {
        networks.set_up(&network).unwrap();
        let spaces = fill(&networks, talk);
        networks.publish(&published(1, 8001)).unwrap();
        networks.publish(&published(MANY, 8002)).unwrap();
        spaces
    });
    serve(&host);
    [1, 600, MANY].iter().for_each(|number| serve(spaces[number].handle()));
    let [first, last] = [1, MANY].map(|number| neighbour(spaces[&number].handle(), "10.9.0.1"));
    assert_eq!(first, last, "the host is met on the first bridge, past no rule");
    for filtered in [true, false] {
        if !filter_bridges(&host, filtered) {
            println!("this kernel shows the firewall nothing of what bridges switch");
        }
        talks(&host, &spaces, talk, filtered);
    }
    // The next engine knows what is ours, and finds room where there is some.
    drop(networks);
    let networks = engine(state.path());
    let used = vec![network.clone()];
    let interfaces = (1..=MANY).map(|number| format!("veth{number}")).collect();
    let publications = vec![published(1, 8001), published(MANY, 8002)];
    let should_be = ShouldBe { known: used.clone(), used, interfaces, published: publications };
    within(&host, || {
        assert_eq!(networks.restore(&should_be).unwrap(), Vec::<String>::new());
        networks.connect(&spaces[&0], &plan(MANY + 1, "another", talk)).unwrap();
    });
    talks(&host, &spaces, talk, false);
    // The bridge is made anew with all that hangs on it.
    let bridge = host.links().find(BRIDGE).unwrap().unwrap().index;
    host.links().remove(bridge).unwrap();
    within(&host, || {
        networks.set_up(&network).unwrap();
        networks.attach(&network, &should_be.interfaces).unwrap();
    });
    talks(&host, &spaces, talk, false);
    // Somebody removes an annex that others hang on: who comes next finds it, and it is made anew with all that was on it.
    let is_first = |name: &str| name.starts_with("dx01");
    let annex = host.links().all().unwrap().into_iter().find(|link| is_first(&link.name)).unwrap();
    host.links().remove(annex.index).unwrap();
    within(&host, || {
        networks.connect(&spaces[&0], &plan(MANY + 2, "third", talk)).unwrap_err();
        networks.set_up(&network).unwrap();
        networks.attach(&network, &should_be.interfaces).unwrap();
        networks.connect(&spaces[&0], &plan(MANY + 3, "fourth", talk)).unwrap();
    });
    talks(&host, &spaces, talk, false);
    // What is left of a network that nobody is in is swept by the next engine.
    drop(networks);
    let networks = engine(state.path());
    let unused = ShouldBe { known: vec![network.clone()], ..ShouldBe::default() };
    within(&host, || networks.restore(&unused).unwrap());
    let left: Vec<_> = host.links().all().unwrap().into_iter().map(|link| link.name).collect();
    assert!(!left.iter().any(|name| ["dx", "du", "dd"].contains(&&name[..2])), "{left:?}");
    drop(spaces);
    within(&host, || networks.take_down(&network).unwrap());
    let left = host.links().all().unwrap().into_iter().map(|link| link.name);
    assert_eq!(left.filter(|name| name != "lo" && !name.starts_with("veth")).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn more_containers_than_a_bridge_has_ports_talk() {
    try_all(true);
}

#[test]
fn more_containers_than_a_bridge_has_ports_are_apart() {
    try_all(false);
}
