//! The table in the kernel: what it says, who may change it, what a change costs.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use dhow_net::firewall::{
    Access, Face, Firewall, Keeper, Neighbours, Ownership, Policy, Port, Protocol, Reach, Rules, Source,
    Strangers, text,
};

use crate::lab::{self, HOST4, HOST6, ask, lab, nft, port, serve, within};
use crate::{firewall, on};

/// All that can be wanted, in one value.
fn everything() -> Rules {
    let network = |number: u8| dhow_net::firewall::Network {
        bridge: format!("br{number}"),
        subnets: vec![
            lab::address(&format!("10.{number}.0.1"), 16),
            lab::address(&format!("fd0{number}::1"), 64),
        ],
        reach: Reach::Outside,
        neighbours: Neighbours::Talk,
        four: Face::default(),
        six: Face::default(),
        trusted: Vec::new(),
        annex: false,
    };
    let mut networks: Vec<_> = (1..=4).map(network).collect();
    networks[1].trusted = vec!["wg0".to_owned()];
    networks[1].four.source = Source::Given("192.0.2.7".parse().unwrap());
    networks[2].reach = Reach::Internal;
    networks[3].neighbours = Neighbours::Apart;
    networks[3].four.access = Access::Open;
    networks[3].six.access = Access::Open;
    let annex =
        dhow_net::firewall::Network { bridge: "annex1".to_owned(), annex: true, ..networks[0].clone() };
    networks.push(annex);
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
    Rules {
        networks,
        ports,
        policy: Policy { strangers4: Strangers::Drop, strangers6: Strangers::Drop, ..Policy::default() },
    }
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
    let wanted = include_str!("table.nft");
    assert!(shown == wanted, "{shown}");
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
        // A refusal takes no time, and on a busy machine the keeper has to wait for its turn.
        let back = (0..1000).any(|_| {
            let back = ask(&lab.outside, Protocol::Tcp, HOST4, 8080).is_ok();
            if !back {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            back
        });
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
