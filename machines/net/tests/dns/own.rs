//! Names of containers.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::Command;

use dhow_net::sandbox::Sandbox;
use domain::base::Rtype;
use domain::base::iana::Rcode;

use crate::client::{ask, ask_by_stream, ask_for, exchange, question};
use crate::lab::{nft, within};
use crate::{Engine, alone};

fn engine() -> Option<(Engine, Sandbox)> {
    let (host, container) = (alone()?, alone()?);
    let engine = Engine::new(&host);
    engine.known.add("web", &["10.1.0.2", "10.1.0.3", "fd01::2"]);
    engine.known.add("four", &["10.1.0.4"]);
    engine.open(1, &container);
    Some((engine, container))
}

#[test]
fn containers_are_found_by_name_and_address() {
    let Some((_engine, container)) = engine() else { return };
    let found = ask(&container, "web", Rtype::A);
    assert_eq!((found.code, found.cut), (Rcode::NOERROR, false));
    assert_eq!(
        found.addresses(),
        ["10.1.0.2", "10.1.0.3"].map(|text| text.parse::<std::net::IpAddr>().unwrap())
    );
    assert_eq!(ask(&container, "WeB.", Rtype::AAAA).records, ["fd01::2"]);
    assert_eq!(ask_by_stream(&container, "four", Rtype::A).records, ["10.1.0.4"]);
    assert_eq!(ask(&container, "4.0.1.10.in-addr.arpa", Rtype::PTR).records, ["four.net1"]);
    let six = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.d.f.ip6.arpa";
    assert_eq!(ask(&container, six, Rtype::PTR).records, ["web.net1"]);
}

#[test]
fn what_a_known_name_has_not_is_not_looked_for_elsewhere() {
    let Some((_engine, container)) = engine() else { return };
    for kind in [Rtype::AAAA, Rtype::MX, Rtype::TXT, Rtype::HTTPS] {
        let told = ask(&container, "four", kind);
        assert_eq!((told.code, told.records.len()), (Rcode::NOERROR, 0), "{kind}");
    }
    // And an unknown one is, where there is somebody to ask.
    assert_eq!(ask(&container, "unknown", Rtype::A).code, Rcode::SERVFAIL);
}

#[test]
fn addresses_come_in_another_order_each_time() {
    let Some((_engine, container)) = engine() else { return };
    let first = |_| ask(&container, "web", Rtype::A).records.swap_remove(0);
    let all: std::collections::BTreeSet<String> = (0..64).map(first).collect();
    assert_eq!(all.len(), 2, "always the same is first");
}

#[test]
fn large_answers_are_cut_to_what_the_program_takes() {
    let Some((engine, container)) = engine() else { return };
    let many: Vec<String> =
        (0..500).map(|number| format!("10.2.{}.{}", number / 250, number % 250)).collect();
    engine.known.add("many", &many.iter().map(String::as_str).collect::<Vec<_>>());
    let plain = ask(&container, "many", Rtype::A);
    assert!(plain.cut && plain.bytes <= 512 && plain.records.len() == 30, "{plain:?}");
    let some = ask_for(&container, "many", Rtype::A, 1232);
    assert!(some.cut && some.bytes <= 1232 && some.records.len() > 70, "{some:?}");
    let all = ask_for(&container, "many", Rtype::A, 65_000);
    assert!(!all.cut && all.records.len() == 500);
    let all = ask_by_stream(&container, "many", Rtype::A);
    assert!(!all.cut && all.records.len() == 500);
}

#[test]
fn a_container_can_be_a_name_server_itself() {
    let Some((_engine, container)) = engine() else { return };
    let (_datagrams, _streams) = within(&container, || {
        (UdpSocket::bind("0.0.0.0:53").unwrap(), TcpListener::bind("0.0.0.0:53").unwrap())
    });
    assert_eq!(ask(&container, "four", Rtype::A).records, ["10.1.0.4"]);
    assert_eq!(ask_by_stream(&container, "four", Rtype::A).records, ["10.1.0.4"]);
}

#[test]
fn a_program_that_keeps_its_socket_is_answered_by_the_next_engine() {
    let (Some(host), Some(container)) = (alone(), alone()) else { return };
    let talk = within(&container, || UdpSocket::bind("0.0.0.0:0").unwrap());
    talk.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    talk.connect("127.0.0.11:53").unwrap();
    for _ in 0..3 {
        let engine = Engine::new(&host);
        engine.known.add("web", &["10.1.0.2"]);
        let id = engine.open(1, &container);
        // Again, as after a restart that came too early.
        engine.open(1, &container);
        talk.send(&question("web", Rtype::A, None)).unwrap();
        let mut answer = [0; 512];
        assert!(talk.recv(&mut answer).unwrap() > 30);
        engine.server.close(&id);
    }
}

/// What the kernel has of the table, with its numbers or without.
fn table(container: &Sandbox, numbers: bool) -> Option<String> {
    let numbers: &[&str] = if numbers { &["-a"] } else { &[] };
    let listed = nft(container, &[numbers, &["list", "table", "ip", "dhow-names"]].concat(), "")?;
    Some(String::from_utf8_lossy(&listed.stdout).into_owned())
}

/// An engine that was waited for beside 1,100 containers for half a minute: a transaction for each, in vain.
#[test]
fn a_table_that_is_right_is_left_alone_and_any_other_is_put_right() {
    let (Some(host), Some(container)) = (alone(), alone()) else { return };
    let serve = || {
        let engine = Engine::new(&host);
        engine.known.add("web", &["10.1.0.2"]);
        engine.open(1, &container);
        assert_eq!(ask(&container, "web", Rtype::A).records, ["10.1.0.2"]);
    };
    serve();
    let (Some(first), Some(numbered)) = (table(&container, false), table(&container, true)) else { return };
    serve();
    assert_eq!(table(&container, true).unwrap(), numbered);
    // What was tried and refused would leave a gap in the numbers.
    let last = numbered.rsplit("# handle ").next().unwrap().trim_end_matches(['}', '\n', '\t']);
    let next = format!("# handle {}", last.parse::<u32>().unwrap() + 1);
    nft(&container, &["add", "rule", "ip", "dhow-names", "answers", "drop"], "").unwrap();
    assert!(table(&container, true).unwrap().contains(&format!("drop {next}")), "{numbered}");
    serve();
    assert_eq!(table(&container, false).unwrap(), first);
    for wrong in [
        "delete table ip dhow-names",
        "flush chain ip dhow-names questions",
        "flush table ip dhow-names",
        "add chain ip dhow-names more { type filter hook output priority 0; policy drop; }",
        "chain ip dhow-names questions { policy drop; }",
        "insert rule ip dhow-names questions udp dport 53 drop",
        "add set ip dhow-names more { type ipv4_addr; }; delete table ip dhow-names; add table ip dhow-names",
    ] {
        let done = nft(&container, &["-f", "-"], wrong).unwrap();
        assert!(done.status.success(), "{wrong}: {done:?}");
        serve();
        assert_eq!(table(&container, false).unwrap(), first, "{wrong}");
    }
}

#[test]
fn the_containers_own_tracking_of_connections_goes_on() {
    let Some((_engine, container)) = engine() else { return };
    let rules = "table ip own {
        chain in { type filter hook input priority 0; policy drop; ct state established,related accept; \
            udp dport { 6, 53 } accept; tcp dport { 6, 53 } accept; }
        chain out { type filter hook output priority 0; policy accept; ct state invalid drop; }
    }";
    let Some(done) = nft(&container, &["-f", "-"], rules) else { return };
    assert!(done.status.success(), "{done:?}");
    assert_eq!(ask(&container, "four", Rtype::A).records, ["10.1.0.4"]);
    assert_eq!(ask_by_stream(&container, "four", Rtype::A).records, ["10.1.0.4"]);
}

#[test]
fn nonsense_is_told_so_or_not_answered() {
    let Some((_engine, container)) = engine() else { return };
    let mut twice = question("four", Rtype::A, None);
    twice[5] = 2;
    assert_eq!(exchange(&container, &twice).unwrap().code, Rcode::FORMERR);
    let mut update = question("four", Rtype::A, None);
    update[2] = 5 << 3;
    assert_eq!(exchange(&container, &update).unwrap().code, Rcode::NOTIMP);
    within(&container, || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect("127.0.0.11:53").unwrap();
        let mut answer = question("four", Rtype::A, None);
        answer[2] |= 0x80;
        for packet in [&[][..], b"x", &[0; 11], &[0xff; 5000], &answer] {
            socket.send(packet).unwrap();
        }
        // What was asked after these is answered, and they were not.
        socket.send(&question("four", Rtype::A, None)).unwrap();
        let mut buffer = [0; 512];
        assert_eq!(socket.recv(&mut buffer).unwrap(), 12 + 10 + 16);
    });
}

#[test]
fn a_closed_container_leaves_nothing() {
    let Some((engine, mut container)) = engine() else { return };
    let id = engine.open(1, &container);
    // A link between the container and another namespace goes when the container's namespace does.
    let mut other = alone().unwrap();
    let namespace = other.as_fd().try_clone_to_owned().unwrap();
    let pair = dhow_net::link::Pair {
        name: "in",
        master: None,
        peer: "out",
        namespace: namespace.as_fd(),
        mac: None,
        mtu: None,
    };
    container.links().add_pair(&pair).unwrap();
    drop(container);
    assert!(other.links().find("out").unwrap().is_some());
    engine.server.close(&id);
    let gone = (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        other.links().find("out").unwrap().is_none()
    });
    assert!(gone, "the namespace of a closed container is still there");
}

#[test]
fn real_clients_understand_it() {
    let Some((_engine, container)) = engine() else { return };
    let run = |program: &str, arguments: &[&str]| {
        within(&container, || match Command::new(program).args(arguments).output() {
            Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
            Err(error) => {
                println!("skipped: {program} cannot be run: {error}");
                None
            }
        })
    };
    if let Some(told) = run("dig", &["@127.0.0.11", "four", "A"]) {
        assert!(told.contains("four.\t\t\t600\tIN\tA\t10.1.0.4") && !told.contains("WARNING"), "{told}");
    }
    if let Some(told) = run("dig", &["@127.0.0.11", "+tcp", "+short", "-x", "fd01::2"]) {
        assert_eq!(told, "web.net1.\n");
    }
    if let Some(told) = run("busybox", &["nslookup", "four", "127.0.0.11"]) {
        assert!(told.contains("Address: 10.1.0.4") || told.contains("Address 1: 10.1.0.4"), "{told}");
    }
}
