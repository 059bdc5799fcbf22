//! What must not be reached is not.

use std::net::UdpSocket;
use std::time::Duration;

use dhow_net::firewall::{Firewall, Gate, Neighbours, Policy, Protocol, Reach, Rules, Strangers};
use dhow_net::link::GROUP;

use crate::lab::{self, HOST4, HOST6, ask, lab, nft, port, serve, within};
use crate::{BOTH, firewall, on};

#[test]
fn networks_are_apart_and_nobody_outside_reaches_a_container_by_its_own_address() {
    let Some(mut lab) = lab() else { return };
    let mut networks = vec![lab.network(1), lab.network(2), lab.network(3)];
    networks[2].reach = Reach::Internal;
    let (first, neighbour) = (lab.container(1, 2), lab.container(1, 3));
    let (second, hidden, fellow) = (lab.container(2, 2), lab.container(3, 2), lab.container(3, 3));
    for protocol in BOTH {
        for sandbox in [&first, &second, &hidden, &lab.outside] {
            serve(sandbox, protocol, 80, "it");
        }
    }
    let ports = vec![port(Protocol::Tcp, 8080, "10.1.0.2", 80)];
    let firewall = firewall(&lab, Rules { networks, ports, ..Rules::default() });
    for protocol in BOTH {
        let reached = |from, to| ask(from, protocol, to, 80);
        for (one, two, three, out) in [
            ("10.1.0.2", "10.2.0.2", "10.3.0.2", "192.0.2.9"),
            ("fd01::2", "fd02::2", "fd03::2", "2001:db8::9"),
        ] {
            reached(&neighbour, one).unwrap();
            reached(&fellow, three).unwrap();
            reached(&lab.host, one).unwrap();
            reached(&lab.host, three).unwrap();
            let seen = reached(&first, out).unwrap();
            assert_eq!(seen, format!("it {}", if out.contains(':') { HOST6 } else { HOST4 }));
            let closed = [
                (&first, two),
                (&second, one),
                (&lab.outside, one),
                (&lab.outside, two),
                (&hidden, one),
                (&first, three),
                (&lab.outside, three),
                (&hidden, out),
            ];
            lab::nobody_reaches(&closed.map(|(from, to)| (from, protocol, to, 80)));
        }
    }
    assert!(
        ask(&hidden, Protocol::Tcp, "10.3.0.1", 8080).is_err(),
        "an internal network reaches a published port"
    );
    drop(firewall);
}

#[test]
fn apart_from_its_neighbours_a_container_is_reached_by_published_ports_only() {
    let Some(mut lab) = lab() else { return };
    let mut network = lab.network(1);
    network.neighbours = Neighbours::Apart;
    let (server, neighbour) = (lab.container(1, 2), lab.container(1, 3));
    serve(&server, Protocol::Tcp, 80, "server");
    let ports = vec![port(Protocol::Tcp, 8080, "10.1.0.2", 80)];
    let _firewall = firewall(&lab, Rules { networks: vec![network], ports, ..Rules::default() });
    if !within(&lab.host, || lab::can_filter_bridges("1")) {
        return;
    }
    ask(&neighbour, Protocol::Tcp, HOST4, 8080).unwrap();
    ask(&neighbour, Protocol::Tcp, "10.1.0.2", 80).unwrap_err();
    // Elsewhere the bridge must do it.
    within(&lab.host, || lab::can_filter_bridges("0"));
    ask(&neighbour, Protocol::Tcp, "10.1.0.2", 80).unwrap();
    for name in ["veth1.2", "veth1.3"] {
        lab.change(name, &dhow_net::link::Change { isolated: Some(true), ..Default::default() });
    }
    ask(&neighbour, Protocol::Tcp, "10.1.0.2", 80).unwrap_err();
    ask(&neighbour, Protocol::Tcp, HOST4, 8080).unwrap();
}

/// The bridges of these networks take what comes back to 127.0.0.1, as the engine makes them.
fn with_loopback(lab: &mut lab::Lab, networks: &[dhow_net::firewall::Network]) {
    for network in networks {
        lab.change(&network.bridge, &dhow_net::link::Change { loopback: Some(true), ..Default::default() });
        let bridge = lab.host.links().find(&network.bridge).unwrap().unwrap().index;
        lab.host.links().take_loopback6(bridge).unwrap();
    }
}

#[test]
fn a_port_on_the_loopback_address_is_the_hosts_alone() {
    let Some(mut lab) = lab() else { return };
    let networks = vec![lab.network(1)];
    with_loopback(&mut lab, &networks);
    let (server, neighbour) = (lab.container(1, 2), lab.container(1, 3));
    let mut ports = Vec::new();
    for protocol in BOTH {
        serve(&server, protocol, 80, "server");
        serve(&lab.host, protocol, 9000, "the host itself");
        ports.push(on("127.0.0.1", port(protocol, 8080, "10.1.0.2", 80)));
        ports.push(port(protocol, 8081, "10.1.0.2", 80));
    }
    let firewall = firewall(&lab, Rules { networks, ports, ..Rules::default() });
    for protocol in BOTH {
        for number in [8080, 8081] {
            let seen = ask(&lab.host, protocol, "127.0.0.1", number).unwrap();
            assert_eq!(seen, "server 10.1.0.1", "{protocol} {number}");
        }
        ask(&lab.outside, protocol, HOST4, 8080).unwrap_err();
        ask(&neighbour, protocol, "10.1.0.1", 8080).unwrap_err();
    }
    // The host takes loopback addresses from the wire, as some set-ups make it, and both outsiders use them.
    within(&lab.host, || lab::write("ipv4/conf/all/route_localnet", "1"));
    for (sandbox, gateway) in [(&mut lab.outside, HOST4), (&mut { neighbour }, "10.1.0.1")] {
        lab::send_loopback_to(sandbox, gateway);
        let sandbox = &*sandbox;
        for protocol in BOTH {
            lab::nobody_reaches(&[8080, 8081, 9000].map(|number| (sandbox, protocol, "127.0.0.1", number)));
        }
    }
    let listener = within(&lab.host, || UdpSocket::bind("127.0.0.1:9001").unwrap());
    listener.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let send = |word: &str| {
        within(&lab.outside, || {
            UdpSocket::bind("0.0.0.0:0").unwrap().send_to(word.as_bytes(), "127.0.0.1:9001")
        })
    };
    send("with").unwrap();
    firewall.remove().unwrap();
    send("without").unwrap();
    let mut heard = [0; 16];
    let length = listener.recv(&mut heard).unwrap();
    assert_eq!(&heard[..length], b"without", "so they would have come in");
}

#[test]
fn a_port_on_the_loopback_address_of_ipv6_is_the_hosts_alone() {
    let Some(mut lab) = lab() else { return };
    within(&lab.host, || lab::can_filter_bridges("0"));
    let networks = vec![lab.network(1), lab.network(2)];
    with_loopback(&mut lab, &networks);
    let (server, other, neighbour) = (lab.container(1, 2), lab.container(2, 2), lab.container(1, 3));
    let mut ports = Vec::new();
    for protocol in BOTH {
        serve(&server, protocol, 80, "server");
        serve(&other, protocol, 80, "other");
        serve(&lab.host, protocol, 9000, "the host itself");
        ports.push(on("::1", port(protocol, 8080, "fd01::2", 80)));
        ports.push(port(protocol, 8081, "fd02::2", 80));
    }
    let _firewall = firewall(&lab, Rules { networks, ports, ..Rules::default() });
    for protocol in BOTH {
        let seen = |number| ask(&lab.host, protocol, "::1", number).unwrap();
        assert_eq!(seen(8080), "server fd01::1");
        assert_eq!(seen(8081), "other fd02::1");
        assert_eq!(seen(9000), "the host itself ::1");
        lab::nobody_reaches(&[
            (&lab.outside, protocol, HOST6, 8080),
            (&neighbour, protocol, "fd01::1", 8080),
        ]);
    }
    for (mut sandbox, gateway) in [(lab.outside, HOST6), (neighbour, "fd01::1")] {
        lab::send_loopback6_to(&mut sandbox, gateway);
        for protocol in BOTH {
            lab::nobody_reaches(&[8080, 8081, 9000].map(|number| (&sandbox, protocol, "::1", number)));
        }
    }
}

#[test]
fn behind_a_gate_a_published_port_obeys_the_hosts_own_rules() {
    let Some(mut lab) = lab() else { return };
    let mut networks = vec![lab.network(1), lab.network(2), lab.network(3)];
    networks[2].reach = Reach::Internal;
    let (server, neighbour) = (lab.container(1, 2), lab.container(1, 3));
    let (stranger, hidden) = (lab.container(2, 2), lab.container(3, 2));
    let mut ports = Vec::new();
    for protocol in BOTH {
        serve(&server, protocol, 80, "server");
        ports.extend([port(protocol, 8080, "10.1.0.2", 80), port(protocol, 8080, "fd01::2", 80)]);
        ports.extend([
            on(HOST4, port(protocol, 81, "10.1.0.2", 80)),
            on(HOST6, port(protocol, 81, "fd01::2", 80)),
        ]);
    }
    // Some hosts take no packet from a source that they would answer by another link.
    within(&lab.host, || lab::write("ipv4/conf/all/rp_filter", "1"));
    let gate = Gate::open(&mut lab.host, "dhow").unwrap();
    assert_eq!(Gate::open(&mut lab.host, "dhow").unwrap(), gate);
    let policy = Policy { gate: Some(gate), ..Policy::default() };
    let mut firewall = firewall(&lab, Rules { networks, ports, policy });
    let rules = "table inet host { chain input { type filter hook input priority 0; policy drop; \
                 ct state established,related accept; icmpv6 type { 135, 136 } accept; \
                 meta l4proto { tcp, udp } th dport 8080 accept; }; }";
    let Some(done) = nft(&lab.host, &["-f", "-"], rules) else { return };
    assert!(done.status.success(), "{done:?}");
    for (host, outside) in [(HOST4, "192.0.2.9"), (HOST6, "2001:db8::9")] {
        for protocol in BOTH {
            let seen = ask(&lab.outside, protocol, host, 8080).unwrap();
            assert_eq!(seen, format!("server {outside}"), "{protocol}");
            for from in [&lab.host, &neighbour, &server, &stranger] {
                assert!(ask(from, protocol, host, 8080).unwrap().starts_with("server"), "{protocol} {host}");
            }
            lab::nobody_reaches(&[
                (&lab.outside, protocol, host, 81),
                (&neighbour, protocol, host, 81),
                (&hidden, protocol, host, 8080),
                (&lab.outside, protocol, if host == HOST4 { "10.1.0.2" } else { "fd01::2" }, 80),
            ]);
        }
    }
    nft(&lab.host, &["insert rule inet host input th dport 81 accept"], "").unwrap();
    ask(&lab.outside, Protocol::Tcp, HOST4, 81).unwrap();
    ask(&lab.outside, Protocol::Udp, HOST6, 81).unwrap();
    let gone = port(Protocol::Tcp, 8080, "10.1.0.2", 80);
    firewall.publish(&[gone], &[]).unwrap();
    let error = ask(&lab.outside, Protocol::Tcp, HOST4, 8080).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "the host itself answers: {error}");
    let listed = nft(&lab.host, &["list", "ruleset"], "").unwrap();
    println!("{}", String::from_utf8_lossy(&listed.stdout));
    // Without the gate the host is not asked, and no table of it is left.
    let rules = Rules { policy: Policy::default(), ..firewall.rules().clone() };
    firewall.replace(rules).unwrap();
    let left = String::from_utf8(nft(&lab.host, &["list", "tables"], "").unwrap().stdout).unwrap();
    assert_eq!(left, "table inet host\ntable inet dhow\n");
}

#[test]
fn a_host_that_drops_what_it_routes_is_obeyed_and_named() {
    let Some(mut lab) = lab() else { return };
    let networks = vec![lab.network(1)];
    let server = lab.container(1, 2);
    serve(&server, Protocol::Tcp, 80, "server");
    let ports = vec![port(Protocol::Tcp, 8080, "10.1.0.2", 80)];
    let _firewall = firewall(&lab, Rules { networks, ports, ..Rules::default() });
    let obstacles = || within(&lab.host, || Firewall::obstacles("dhow"));
    assert_eq!(obstacles().unwrap(), [""; 0]);
    let rules = "table ip strict { chain routed { type filter hook forward priority 0; policy drop; }; }";
    let Some(done) = nft(&lab.host, &["-f", "-"], rules) else { return };
    assert!(done.status.success(), "{done:?}");
    assert_eq!(obstacles().unwrap(), ["ip strict routed"]);
    ask(&lab.outside, Protocol::Tcp, HOST4, 8080).unwrap_err();
    ask(&lab.host, Protocol::Tcp, HOST4, 8080).unwrap();
    // Without a policy, but with a last rule, as firewalld has it; one with a condition is none.
    let rules = "delete table ip strict
        table inet wall { chain routed { type filter hook forward priority 10; iifname \"lo\" accept; reject with icmpx admin-prohibited; }; }
        table inet mild { chain routed { type filter hook forward priority 10; iifname \"lo\" drop; counter; }; }
        table ip drops { chain routed { type filter hook forward priority 10; counter drop; }; }
        table inet input { chain own { type filter hook input priority 10; policy drop; }; }";
    assert!(nft(&lab.host, &["-f", "-"], rules).unwrap().status.success());
    let mut found = obstacles().unwrap();
    found.sort();
    assert_eq!(found, ["inet wall routed", "ip drops routed"]);
    ask(&lab.outside, Protocol::Tcp, HOST4, 8080).unwrap_err();
}

#[test]
fn what_the_host_routes_for_others_is_dropped_only_when_it_was_no_router() {
    let Some(mut lab) = lab() else { return };
    let networks = vec![lab.network(1)];
    // A bridge of somebody else.
    lab.network(2);
    let (ours, theirs) = (lab.container(1, 2), lab.container(2, 2));
    serve(&theirs, Protocol::Tcp, 80, "theirs");
    serve(&lab.outside, Protocol::Tcp, 80, "outside");
    let mut rules = Rules { networks, ..Rules::default() };
    let mut firewall = firewall(&lab, rules.clone());
    ask(&lab.outside, Protocol::Tcp, "10.2.0.2", 80).unwrap();
    ask(&lab.outside, Protocol::Tcp, "fd02::2", 80).unwrap();
    rules.policy.strangers6 = Strangers::Drop;
    firewall.replace(rules.clone()).unwrap();
    ask(&lab.outside, Protocol::Tcp, "10.2.0.2", 80).unwrap();
    ask(&lab.outside, Protocol::Tcp, "fd02::2", 80).unwrap_err();
    rules.policy = Policy { strangers4: Strangers::Drop, ..Policy::default() };
    firewall.replace(rules.clone()).unwrap();
    ask(&lab.outside, Protocol::Tcp, "10.2.0.2", 80).unwrap_err();
    ask(&lab.outside, Protocol::Tcp, "fd02::2", 80).unwrap();
    rules.policy.strangers6 = Strangers::Drop;
    firewall.replace(rules).unwrap();
    for address in ["10.2.0.2", "fd02::2"] {
        ask(&lab.outside, Protocol::Tcp, address, 80).unwrap_err();
    }
    ask(&theirs, Protocol::Tcp, "192.0.2.9", 80).unwrap_err();
    ask(&ours, Protocol::Tcp, "192.0.2.9", 80).unwrap();
    // Another engine's bridge, which its own rules guard.
    lab.change("br2", &dhow_net::link::Change { group: Some(GROUP), ..Default::default() });
    for address in ["10.2.0.2", "fd02::2"] {
        ask(&lab.outside, Protocol::Tcp, address, 80).unwrap();
    }
    ask(&theirs, Protocol::Tcp, "192.0.2.9", 80).unwrap();
    serve(&ours, Protocol::Tcp, 80, "ours");
    lab::nobody_reaches(&[
        (&lab.outside, Protocol::Tcp, "10.1.0.2", 80),
        (&theirs, Protocol::Tcp, "10.1.0.2", 80),
    ]);
}
