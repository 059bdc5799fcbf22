//! What is published is reached, by whom it should be and for as long as it should.

use std::net::UdpSocket;
use std::time::Duration;

use dhow_net::firewall::{Access, Face, Network, Policy, Port, Protocol, Rules, Source, text};

use crate::lab::{self, HOST4, HOST6, ask, ask_for, lab, port, serve, within};
use crate::{BOTH, firewall, on};

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
fn containers_are_reached_by_their_own_addresses_where_that_is_wanted() {
    let Some(mut lab) = lab() else { return };
    let mut networks = vec![lab.network(1), lab.network(2)];
    let face = |access| Face { source: Source::Kept, access };
    (networks[0].four, networks[0].six) = (face(Access::Published), face(Access::Published));
    (networks[1].four, networks[1].six) = (face(Access::Open), face(Access::Open));
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

/// Two ports of the host lead to one of the container, which is reached by its own address until both are gone.
fn is_reached_directly_while_it_is_published(lab: &lab::Lab, rules: Rules) {
    let mut firewall = firewall(lab, rules);
    let both = [port(Protocol::Tcp, 8080, "10.1.0.2", 80), port(Protocol::Tcp, 9090, "10.1.0.2", 80)];
    firewall.publish(&[], &both).unwrap();
    for (host, number) in [("10.1.0.2", 80), (HOST4, 8080), (HOST4, 9090)] {
        let answer = ask(&lab.outside, Protocol::Tcp, host, number).unwrap();
        assert!(answer.starts_with("published"), "{host} {number}: {answer}");
    }
    firewall.publish(&both[..1], &[]).unwrap();
    ask(&lab.outside, Protocol::Tcp, "10.1.0.2", 80).unwrap();
    lab::nobody_reaches(&[(&lab.outside, Protocol::Tcp, "10.1.0.2", 81)]);
    firewall.publish(&both[1..], &[]).unwrap();
    lab::nobody_reaches(&[(&lab.outside, Protocol::Tcp, "10.1.0.2", 80)]);
    firewall.remove().unwrap();
}

#[test]
fn whom_a_network_or_everybody_trusts_reaches_containers_by_their_own_addresses() {
    let Some(mut lab) = lab() else { return };
    let closed = lab.network(1);
    let server = lab.container(1, 2);
    serve(&server, Protocol::Tcp, 80, "published");
    serve(&server, Protocol::Tcp, 81, "not published");
    let trusting = Network { trusted: vec!["lo".to_owned(), "wire0".to_owned()], ..closed.clone() };
    is_reached_directly_while_it_is_published(&lab, Rules { networks: vec![trusting], ..Rules::default() });
    let policy = Policy { direct: true, ..Policy::default() };
    is_reached_directly_while_it_is_published(
        &lab,
        Rules { networks: vec![closed.clone()], policy, ..Rules::default() },
    );
    let one = vec![port(Protocol::Tcp, 8080, "10.1.0.2", 80)];
    let _firewall = firewall(&lab, Rules { networks: vec![closed], ports: one, ..Rules::default() });
    ask(&lab.outside, Protocol::Tcp, HOST4, 8080).unwrap();
    lab::nobody_reaches(&[(&lab.outside, Protocol::Tcp, "10.1.0.2", 80)]);
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
fn ports_come_and_go_while_others_are_talked_to() {
    let Some(mut lab) = lab() else { return };
    let networks = vec![lab.network(1)];
    let server = lab.container(1, 2);
    serve(&server, Protocol::Tcp, 80, "server");
    serve(&server, Protocol::Udp, 80, "server");
    let ports = vec![port(Protocol::Tcp, 8080, "10.1.0.2", 80), port(Protocol::Udp, 8080, "10.1.0.2", 80)];
    let rules = Rules { networks, ports, ..Rules::default() };
    let mut firewall = firewall(&lab, rules.clone());
    // A machine with much to do may answer late; what is lost is not answered at all.
    let patience = Duration::from_secs(60);
    std::thread::scope(|scope| {
        let talking = scope.spawn(|| {
            for _ in 0..200 {
                ask_for(patience, &lab.outside, Protocol::Tcp, (HOST4, 8080)).unwrap();
                ask_for(patience, &lab.outside, Protocol::Udp, (HOST4, 8080)).unwrap();
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
