//! The firewall, by packets.

#![allow(clippy::unwrap_used, missing_docs)]

mod lab;

use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dhow_net::firewall::{
    Access, Firewall, Gate, Keeper, Neighbours, Ownership, Policy, Port, Protocol, Reach, Rules, Source,
    Strangers, text,
};
use lab::{HOST4, HOST6, ask, lab, nft, port, serve, within};

const BOTH: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

fn firewall(lab: &lab::Lab, rules: Rules) -> Firewall {
    within(&lab.host, || {
        let mut firewall = Firewall::open("dhow", Ownership::Exclusive).unwrap();
        firewall.replace(rules).unwrap();
        firewall
    })
}

fn on(host: &str, mut port: Port) -> Port {
    port.host = Some(host.parse::<IpAddr>().unwrap());
    port
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    // Where there is `br_netfilter`, the firewall sees what bridges switch.
    for filtered in ["0", "1"] {
        let Some(lab) = lab() else { return };
        if within(&lab.host, || lab::can_filter_bridges(filtered)) {
            reach_from_everywhere(lab);
        }
    }
}

fn reach_from_everywhere(mut lab: lab::Lab) {
    let networks = vec![lab.network(1), lab.network(2)];
    let (server, neighbour) = (lab.container(1, 2), lab.container(1, 3));
    let stranger = lab.container(2, 2);
    let mut ports = Vec::new();
    for protocol in BOTH {
        serve(&server, protocol, 80, "server");
        ports.extend([port(protocol, 8080, "10.1.0.2", 80), port(protocol, 8080, "fd01::2", 80)]);
        ports.extend([
            on(HOST4, port(protocol, 81, "10.1.0.2", 80)),
            on(HOST6, port(protocol, 81, "fd01::2", 80)),
        ]);
    }
    let _firewall = firewall(&lab, Rules { networks, ports, ..Rules::default() });
    for (host, outside, (bridge, foreign)) in
        [(HOST4, "192.0.2.9", ("10.1.0.1", "10.2.0.1")), (HOST6, "2001:db8::9", ("fd01::1", "fd02::1"))]
    {
        for (protocol, number) in BOTH.into_iter().flat_map(|protocol| [(protocol, 8080), (protocol, 81)]) {
            let answer = |from| ask(from, protocol, host, number).unwrap_or_else(|error| format!("{error}"));
            let case = format!("{protocol} {host} {number}");
            assert_eq!(answer(&lab.outside), format!("server {outside}"), "from outside by {case}");
            assert_eq!(answer(&lab.host), format!("server {host}"), "from the host by {case}");
            assert_eq!(answer(&neighbour), format!("server {bridge}"), "from a neighbour by {case}");
            assert_eq!(answer(&server), format!("server {bridge}"), "from itself by {case}");
            let seen = answer(&stranger);
            assert!(seen.starts_with("server"), "from another network ({foreign}) by {case}: {seen}");
        }
    }
}

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

/// All that can be wanted, in one value.
fn everything() -> Rules {
    let network = |number: u8, source| dhow_net::firewall::Network {
        bridge: format!("br{number}"),
        subnets: vec![
            lab::address(&format!("10.{number}.0.1"), 16),
            lab::address(&format!("fd0{number}::1"), 64),
        ],
        reach: Reach::Outside,
        neighbours: Neighbours::Talk,
        source,
        access: Access::Closed,
    };
    let mut networks: Vec<_> = (1..=4).map(|number| network(number, Source::Masquerade)).collect();
    networks[1].source = Source::Given("192.0.2.7".parse().unwrap());
    networks[2].reach = Reach::Internal;
    networks[3].neighbours = Neighbours::Apart;
    networks[3].access = Access::Open;
    let range = |mut port: Port, count| {
        port.count = count;
        port
    };
    let ports = vec![
        port(Protocol::Tcp, 8080, "10.1.0.2", 80),
        port(Protocol::Tcp, 8080, "fd01::2", 80),
        on("127.0.0.1", port(Protocol::Udp, 53, "10.1.0.2", 53)),
        on(HOST6, port(Protocol::Sctp, 9, "fd01::2", 9)),
        range(port(Protocol::Udp, 10_000, "10.1.0.2", 10_000), 1000),
        range(on(HOST6, port(Protocol::Tcp, 10_000, "fd01::2", 10_000)), 1000),
        range(port(Protocol::Tcp, 30_000, "10.2.0.2", 30_010), 3),
    ];
    Rules { networks, ports, policy: Policy { strangers: Strangers::Drop, gate: None } }
}

#[test]
fn what_is_read_and_what_the_kernel_has_are_the_same() {
    let (Some(ours), Some(theirs)) = (lab(), lab()) else { return };
    let _firewall = firewall(&ours, everything());
    let Some(read) = nft(&theirs.host, &["-f", "-"], &text("dhow", &everything())) else { return };
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let list = |lab: &lab::Lab| {
        let listed = nft(&lab.host, &["list", "table", "inet", "dhow"], "").unwrap();
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        let lines = String::from_utf8(listed.stdout).unwrap();
        // That it is ours is not said in the text.
        lines
            .lines()
            .skip(1)
            .skip_while(|line| line.is_empty() || line.contains("flags owner"))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    let (had, wanted) = (list(&ours), list(&theirs));
    assert!(had == wanted, "the kernel has\n{had}\nand nft made\n{wanted}");
}

#[test]
fn the_whole_table_reads_so() {
    let shown = text("dhow", &everything());
    let wanted = include_str!("firewall.nft");
    assert!(shown == wanted, "{shown}");
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
fn containers_are_reached_by_their_own_addresses_where_that_is_wanted() {
    let Some(mut lab) = lab() else { return };
    let mut networks = vec![lab.network(1), lab.network(2)];
    networks[0].access = Access::Published;
    networks[1].access = Access::Open;
    for network in &mut networks {
        network.source = Source::Kept;
    }
    let (routed, open) = (lab.container(1, 2), lab.container(2, 2));
    let mut ports = Vec::new();
    for protocol in BOTH {
        for (number, name) in [(80, "published"), (81, "not published")] {
            serve(&routed, protocol, number, name);
            serve(&open, protocol, number, name);
        }
        ports.extend([port(protocol, 8080, "10.1.0.2", 80), port(protocol, 8080, "fd01::2", 80)]);
    }
    serve(&lab.outside, Protocol::Tcp, 80, "outside");
    let mut firewall = firewall(&lab, Rules { networks, ports: ports.clone(), ..Rules::default() });
    for protocol in BOTH {
        for (host, one, two) in [(HOST4, "10.1.0.2", "10.2.0.2"), (HOST6, "fd01::2", "fd02::2")] {
            assert!(ask(&lab.outside, protocol, one, 80).unwrap().starts_with("published"));
            assert!(ask(&lab.outside, protocol, two, 81).unwrap().starts_with("not published"));
            lab::nobody_reaches(&[(&lab.outside, protocol, one, 81), (&lab.outside, protocol, host, 8080)]);
        }
    }
    assert_eq!(ask(&routed, Protocol::Tcp, "192.0.2.9", 80).unwrap(), "outside 10.1.0.2");
    firewall.publish(&ports, &[]).unwrap();
    ask(&lab.outside, Protocol::Tcp, "10.1.0.2", 80).unwrap_err();
    let nowhere = Port { bridge: "br7".to_owned(), ..ports[0].clone() };
    let error = firewall.publish(&[], &[nowhere]).unwrap_err();
    assert!(error.to_string().ends_with("there is no network br7"), "{error}");
}

#[test]
fn sctp_is_published_too() {
    let Some(mut lab) = lab() else { return };
    let networks = vec![lab.network(1)];
    let server = lab.container(1, 2);
    let ports = vec![on(HOST4, port(Protocol::Sctp, 5000, "10.1.0.2", 6000))];
    let _firewall = firewall(&lab, Rules { networks, ports, ..Rules::default() });
    // Kernels seldom have SCTP, but all firewalls know it: its first packet is made and read by hand.
    let inbox = within(&server, lab::raw_sctp);
    let outbox = within(&lab.outside, lab::raw_sctp);
    lab::send_raw(&outbox, HOST4, &lab::sctp_init(4000, 5000));
    let packet = lab::receive_raw(&inbox).unwrap();
    assert_eq!(packet[12..20], [192, 0, 2, 9, 10, 1, 0, 2], "from whom and to whom");
    assert_eq!(packet[20..], lab::sctp_init(4000, 6000), "the port and the checksum are the container's");
}

#[test]
fn a_range_is_one_element_and_may_be_shifted() {
    let Some(mut lab) = lab() else { return };
    let networks = vec![lab.network(1)];
    let server = lab.container(1, 2);
    let mut same = port(Protocol::Tcp, 10_000, "10.1.0.2", 10_000);
    same.count = 1000;
    let mut shifted = on(HOST4, port(Protocol::Udp, 20_000, "10.1.0.2", 30_000));
    shifted.count = 10;
    let mut six = on(HOST6, port(Protocol::Tcp, 10_000, "fd01::2", 10_000));
    six.count = 1000;
    serve(&server, Protocol::Tcp, 10_999, "last");
    serve(&server, Protocol::Udp, 30_009, "shifted");
    let rules = Rules { networks, ports: vec![same, shifted, six], ..Rules::default() };
    assert_eq!(text("dhow", &rules).matches("10000-10999").count(), 2);
    let _firewall = firewall(&lab, rules);
    assert!(ask(&lab.outside, Protocol::Tcp, HOST4, 10_999).unwrap().starts_with("last"));
    assert!(ask(&lab.outside, Protocol::Tcp, HOST6, 10_999).unwrap().starts_with("last"));
    assert!(ask(&lab.outside, Protocol::Udp, HOST4, 20_009).unwrap().starts_with("shifted"));
    ask(&lab.outside, Protocol::Udp, HOST4, 20_010).unwrap_err();
    ask(&lab.outside, Protocol::Tcp, HOST4, 11_000).unwrap_err();
}

#[test]
fn a_client_that_goes_on_asking_reaches_whom_the_port_leads_to_now() {
    let Some(mut lab) = lab() else { return };
    let networks = vec![lab.network(1)];
    let (first, second) = (lab.container(1, 2), lab.container(1, 3));
    serve(&first, Protocol::Udp, 80, "first");
    serve(&second, Protocol::Udp, 80, "second");
    let mut firewall = firewall(&lab, Rules { networks, ..Rules::default() });
    let client = within(&lab.outside, || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        socket.connect((HOST4, 53)).unwrap();
        socket
    });
    let said = || lab::talk(&client).map(|said| said.split(' ').next().unwrap_or_default().to_owned());
    said().unwrap_err();
    let (one, two) = (port(Protocol::Udp, 53, "10.1.0.2", 80), port(Protocol::Udp, 53, "10.1.0.3", 80));
    firewall.publish(&[], std::slice::from_ref(&one)).unwrap();
    assert_eq!(said().unwrap(), "first");
    firewall.publish(std::slice::from_ref(&one), std::slice::from_ref(&two)).unwrap();
    assert_eq!(said().unwrap(), "second");
    firewall.remove_network("br1").unwrap();
    said().unwrap_err();
    assert_eq!(firewall.rules(), &Rules::default());
}

#[test]
fn a_port_is_published_once_and_what_is_refused_is_named() {
    let Some(mut lab) = lab() else { return };
    let networks = vec![lab.network(1)];
    let mut firewall = firewall(&lab, Rules { networks, ..Rules::default() });
    let one = port(Protocol::Tcp, 8080, "10.1.0.2", 80);
    let other = port(Protocol::Tcp, 8080, "10.1.0.3", 80);
    firewall.publish(&[], std::slice::from_ref(&one)).unwrap();
    let before = firewall.rules().clone();
    let error = firewall.publish(&[], &[port(Protocol::Tcp, 8081, "10.1.0.3", 81), other]).unwrap_err();
    assert!(error.to_string().starts_with("cannot add tcp . 8080 : 10.1.0.3 . 80 to any4: "), "{error}");
    assert_eq!(firewall.rules(), &before);
    // Nothing of it was done.
    firewall.publish(&[], &[port(Protocol::Tcp, 8081, "10.1.0.4", 81)]).unwrap();
    let error =
        firewall.publish(&[on("::1", one)], &[on("::1", port(Protocol::Tcp, 1, "10.1.0.2", 1))]).unwrap_err();
    assert!(error.to_string().contains("two families"), "{error}");
}

#[test]
fn a_table_is_nobody_elses() {
    let Some(mut lab) = lab() else { return };
    let networks = vec![lab.network(1)];
    let server = lab.container(1, 2);
    serve(&server, Protocol::Tcp, 80, "server");
    let rules =
        Rules { networks, ports: vec![port(Protocol::Tcp, 8080, "10.1.0.2", 80)], ..Rules::default() };
    let first = firewall(&lab, rules.clone());
    let Some(flushed) = nft(&lab.host, &["flush", "ruleset"], "") else { return };
    println!("nft flush ruleset: {flushed:?}");
    if ask(&lab.outside, Protocol::Tcp, HOST4, 8080).is_err() {
        println!("skipped: this kernel knows no tables that outlive their owner");
        return;
    }
    let mut second = within(&lab.host, || Firewall::open("dhow", Ownership::Exclusive).unwrap());
    let error = second.replace(rules.clone()).unwrap_err();
    assert_eq!(error.to_string(), "another engine has the table inet dhow");
    drop(first);
    // The first is gone, and its rules are not.
    ask(&lab.outside, Protocol::Tcp, HOST4, 8080).unwrap();
    second.replace(rules).unwrap();
    ask(&lab.outside, Protocol::Tcp, HOST4, 8080).unwrap();
    second.remove().unwrap();
    ask(&lab.outside, Protocol::Tcp, HOST4, 8080).unwrap_err();
}

#[test]
fn what_somebody_flushes_is_put_back() {
    let Some(mut lab) = lab() else { return };
    let networks = vec![lab.network(1)];
    let server = lab.container(1, 2);
    serve(&server, Protocol::Tcp, 80, "server");
    let rules =
        Rules { networks, ports: vec![port(Protocol::Tcp, 8080, "10.1.0.2", 80)], ..Rules::default() };
    let (_keeper, firewall) = within(&lab.host, || {
        let firewall = Arc::new(Mutex::new(Firewall::open("dhow", Ownership::Shared).unwrap()));
        firewall.lock().unwrap().replace(rules).unwrap();
        (Keeper::start(Arc::clone(&firewall)).unwrap(), firewall)
    });
    for damage in [
        "flush ruleset",
        "delete table inet dhow",
        "flush chain inet dhow published",
        "delete element inet dhow any4 { tcp . 8080 }",
        "add table inet other; flush ruleset; add table inet other",
    ] {
        let Some(done) = nft(&lab.host, &[damage], "") else { return };
        assert!(done.status.success(), "{done:?}");
        let begun = Instant::now();
        let back = (0..20).any(|_| ask(&lab.outside, Protocol::Tcp, HOST4, 8080).is_ok());
        println!("{damage}: back after {:?}", begun.elapsed());
        assert!(back, "{damage}");
    }
    let more = port(Protocol::Tcp, 8081, "10.1.0.2", 80);
    firewall.lock().unwrap().publish(&[], &[more]).unwrap();
    ask(&lab.outside, Protocol::Tcp, HOST4, 8081).unwrap();
}

#[test]
fn a_thousand_ports_are_published_and_one_more() {
    let Some(mut lab) = lab() else { return };
    let networks = vec![lab.network(1)];
    let server = lab.container(1, 2);
    serve(&server, Protocol::Tcp, 80, "server");
    for many in [1000_u16, 10_000] {
        let ports = |first: u16| {
            (0..many).map(|number| port(Protocol::Tcp, first + number, "10.1.0.2", 80)).collect()
        };
        let begun = Instant::now();
        let mut firewall =
            firewall(&lab, Rules { networks: networks.clone(), ports: ports(20_000), ..Rules::default() });
        let all = begun.elapsed();
        let more = [port(Protocol::Tcp, 1, "10.1.0.2", 80)];
        let mut times: Vec<Duration> = (0..50)
            .map(|_| {
                let begun = Instant::now();
                firewall.publish(&[], &more).unwrap();
                let time = begun.elapsed();
                firewall.publish(&more, &[]).unwrap();
                time
            })
            .collect();
        times.sort();
        println!("{many} ports: {all:?}; one more: {:?} (least {:?})", times[25], times[0]);
        assert!(ask(&lab.outside, Protocol::Tcp, HOST4, 20_000 + many - 1).is_ok());
        firewall.remove().unwrap();
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
fn ports_come_and_go_while_others_are_talked_to() {
    let Some(mut lab) = lab() else { return };
    let networks = vec![lab.network(1)];
    let server = lab.container(1, 2);
    serve(&server, Protocol::Tcp, 80, "server");
    serve(&server, Protocol::Udp, 80, "server");
    let ports = vec![port(Protocol::Tcp, 8080, "10.1.0.2", 80), port(Protocol::Udp, 8080, "10.1.0.2", 80)];
    let rules = Rules { networks, ports, ..Rules::default() };
    let mut firewall = firewall(&lab, rules.clone());
    std::thread::scope(|scope| {
        let talking = scope.spawn(|| {
            for _ in 0..200 {
                ask(&lab.outside, Protocol::Tcp, HOST4, 8080).unwrap();
                ask(&lab.outside, Protocol::Udp, HOST4, 8080).unwrap();
            }
        });
        let mut changes = 0;
        while !talking.is_finished() {
            let other = [port(Protocol::Udp, 9000 + changes % 100, "10.1.0.3", 80)];
            firewall.publish(&[], &other).unwrap();
            firewall.publish(&other, &[]).unwrap();
            firewall.replace(rules.clone()).unwrap();
            changes += 1;
        }
        println!("{changes} changes of each kind");
        talking.join().unwrap();
    });
}

#[test]
fn a_host_that_drops_what_it_routes_is_obeyed_and_named() {
    let Some(mut lab) = lab() else { return };
    let networks = vec![lab.network(1)];
    let server = lab.container(1, 2);
    serve(&server, Protocol::Tcp, 80, "server");
    let ports = vec![port(Protocol::Tcp, 8080, "10.1.0.2", 80)];
    let mut firewall = firewall(&lab, Rules { networks, ports, ..Rules::default() });
    assert_eq!(firewall.obstacles().unwrap(), [""; 0]);
    let rules = "table ip strict { chain routed { type filter hook forward priority 0; policy drop; }; }";
    let Some(done) = nft(&lab.host, &["-f", "-"], rules) else { return };
    assert!(done.status.success(), "{done:?}");
    assert_eq!(firewall.obstacles().unwrap(), ["ip strict routed"]);
    ask(&lab.outside, Protocol::Tcp, HOST4, 8080).unwrap_err();
    ask(&lab.host, Protocol::Tcp, HOST4, 8080).unwrap();
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
    rules.policy.strangers = Strangers::Drop;
    firewall.replace(rules).unwrap();
    ask(&lab.outside, Protocol::Tcp, "10.2.0.2", 80).unwrap_err();
    ask(&ours, Protocol::Tcp, "192.0.2.9", 80).unwrap();
}

#[test]
fn a_thousand_networks_and_ranges_are_made_and_one_more() {
    let Some(mut lab) = lab() else { return };
    let first = lab.network(1);
    let network = |number: u16| {
        let [high, low] = number.to_be_bytes();
        let subnets = [format!("10.{}.{low}.1", 100 + high), format!("fd00:{number:x}::1")];
        dhow_net::firewall::Network {
            bridge: format!("many{number}"),
            subnets: vec![lab::address(&subnets[0], 24), lab::address(&subnets[1], 64)],
            ..first.clone()
        }
    };
    let range = |number: u16| Port {
        count: 20,
        ..port(Protocol::Tcp, 1000 + number * 20, "10.1.0.2", 1000 + number * 20)
    };
    let networks = (0..1000).map(network).chain([first.clone()]).collect();
    let ports = (0..1000).map(range).collect();
    let begun = Instant::now();
    let mut firewall = firewall(&lab, Rules { networks, ports, ..Rules::default() });
    println!("1000 networks of two subnets and 1000 ranges: {:?}", begun.elapsed());
    let middle = |mut change: Box<dyn FnMut() + '_>| {
        let mut times: Vec<Duration> = (0..21)
            .map(|_| {
                let begun = Instant::now();
                change();
                begun.elapsed()
            })
            .collect();
        times.sort();
        times[10]
    };
    let more = [range(1001)];
    let time = middle(Box::new(|| {
        firewall.publish(&[], &more).unwrap();
        firewall.publish(&more, &[]).unwrap();
    }));
    println!("one more range, and gone: {time:?}");
    let time = middle(Box::new(|| {
        firewall.add_network(network(1001)).unwrap();
        firewall.remove_network("many1001").unwrap();
    }));
    println!("one more network, and gone: {time:?}");
    let server = lab.container(1, 2);
    serve(&server, Protocol::Tcp, 1000 + 999 * 20 + 19, "server");
    assert!(ask(&lab.outside, Protocol::Tcp, HOST4, 1000 + 999 * 20 + 19).is_ok());
}
