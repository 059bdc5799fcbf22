//! Containers on a link of the host (macvlan), and what they say to a host outside; packets are real.

use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dhow_testkit::Engine;
use dhow_testkit::network::{self, NetworkSpace};
use dhow_testkit::process::{Answer, answer, must};

/// An engine whose host has a link `lan0`, and a host at its other end: 10.50.0.1 and fd50::1.
struct Lan {
    engine: Engine,
    outside: NetworkSpace,
}

impl Lan {
    fn new() -> Result<Self> {
        let engine = Engine::with_busybox(&[])?;
        let lan = Self { engine, outside: network::host()? };
        let outside = lan.outside.path().display().to_string();
        lan.here("ip", &["link", "add", "lan0", "type", "veth", "peer", "name", "far0", "netns", &outside])?;
        lan.here("ip", &["link", "set", "lan0", "up"])?;
        lan.there("ip", &["address", "add", "10.50.0.1/24", "dev", "far0"])?;
        lan.there("ip", &["address", "add", "fd50::1/64", "dev", "far0", "nodad"])?;
        lan.there("ip", &["link", "set", "far0", "up"])?;
        Ok(lan)
    }

    fn here(&self, program: &str, arguments: &[&str]) -> Result<String> {
        must(self.engine.within_network(Path::new(program)).args(arguments))
    }

    fn there(&self, program: &str, arguments: &[&str]) -> Result<String> {
        must(network::command(&self.outside, Path::new(program)).args(arguments))
    }

    fn docker(&self, line: &str) -> Answer {
        self.engine.docker(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Makes the network `lan`.
    fn create(&self, options: &str) -> Answer {
        let addresses = "--subnet 10.50.0.0/24 --gateway 10.50.0.1";
        self.docker(&format!("network create -d macvlan {addresses} {options} lan"))
    }

    /// Whether a container reaches an address.
    fn pings(&self, container: &str, address: &str) -> bool {
        self.docker(&format!("exec {container} ping -c 1 -W 2 {address}")).status == 0
    }

    /// The links of the engine's host, but for its loopback and ours.
    fn links(&self) -> Result<Vec<String>> {
        let told = self.here("ip", &["-o", "link"])?;
        let names = told.lines().filter_map(|line| line.split(": ").nth(1));
        let names = names.map(|name| name.split('@').next().unwrap_or_default().to_owned());
        Ok(names.filter(|name| !matches!(name.as_str(), "lo" | "lan0")).collect())
    }
}

/// Whether the kernel makes links of a kind.
fn knows(engine: &Engine, kind: &str) -> bool {
    let ip = |line: &[&str]| answer(engine.within_network(Path::new("ip")).args(line), b"");
    let made = ip(&["link", "add", "trial0", "type", kind]);
    if made.as_ref().is_ok_and(|made| made.status == 0) {
        ip(&["link", "delete", "trial0"]).ok();
    }
    made.is_ok_and(|made| !made.stderr.contains("Unknown device type"))
}

#[test]
fn containers_are_hosts_beside_the_host() -> Result<()> {
    let mut lan = Lan::new()?;
    lan.create("--ipv6 --subnet fd50::/64 --gateway fd50::1 -o parent=lan0").ok();
    lan.docker("run -d --init --name one --network lan busybox sleep 1000").ok();
    lan.docker("run -d --init --name two --network lan --ip 10.50.0.77 --mac-address 02:00:00:00:00:77 busybox sleep 1000")
        .ok();
    for address in ["10.50.0.1", "fd50::1", "10.50.0.77", "two", "two.lan"] {
        ensure!(lan.pings("one", address), "{address}");
    }
    // The world outside knows it by the address that it asked for, and nothing translates what it says.
    lan.there("busybox", &["ping", "-c", "1", "-W", "2", "10.50.0.77"])?;
    ensure!(lan.there("ip", &["neighbour"])?.contains("02:00:00:00:00:77"));
    let server = network::within(lan.outside.handle().as_fd(), || TcpListener::bind("10.50.0.1:80"))?;
    server.set_nonblocking(true)?;
    // Nobody answers; that it came is what counts.
    let asked = lan.docker("exec one timeout 1 wget -qO- http://10.50.0.1/");
    let (_, from) = server.accept().with_context(|| format!("{asked:?}"))?;
    ensure!(from.ip().to_string() == "10.50.0.2", "{from}");
    let routes = lan.docker("exec one ip route").ok().to_owned();
    ensure!(routes.contains("default via 10.50.0.1 dev eth0"), "{routes}");
    ensure!(lan.docker("exec one cat /etc/resolv.conf").ok().contains("127.0.0.11"));
    ensure!(lan.links()?.is_empty(), "{:?}", lan.links()?);

    lan.engine.kill()?;
    lan.there("busybox", &["ping", "-c", "1", "-W", "2", "10.50.0.77"])?;
    lan.engine.launch()?;
    ensure!(lan.pings("one", "two"), "after the engine was killed");
    // At once again with the same addresses, though the kernel has not come to the old link.
    lan.docker("restart -t 0 two").ok();
    ensure!(lan.pings("one", "10.50.0.77"), "after a restart");
    lan.docker("rm -f one two").ok();
    lan.docker("network rm lan").ok();
    Ok(())
}

#[test]
fn it_comes_and_goes_while_a_container_runs() -> Result<()> {
    let mut lan = Lan::new()?;
    lan.create("-o parent=lan0 -o com.docker.network.driver.mtu=1400").ok();
    lan.docker("run -d --init --name box -p 8080:80 busybox sleep 1000").ok();
    lan.docker("network connect lan box").ok();
    ensure!(lan.pings("box", "10.50.0.1"));
    ensure!(lan.docker("exec box ip link show eth1").ok().contains("mtu 1400"));
    // One that is lost while there is no engine is made again.
    let pid = lan.docker("inspect -f {{.State.Pid}} box").ok().parse()?;
    lan.engine.kill()?;
    network::of_process(pid, || must(Command::new("ip").args(["link", "delete", "eth1"])))??;
    lan.engine.launch()?;
    ensure!(lan.pings("box", "10.50.0.1"), "the next engine makes it");
    lan.docker("network disconnect lan box").ok();
    ensure!(lan.docker("exec box ip link show eth1").status != 0, "it is still there");
    lan.docker("network rm lan").ok();
    ensure!(lan.docker("port box").ok().contains("0.0.0.0:8080"));
    Ok(())
}

#[test]
fn modes_decide_who_talks_to_whom() -> Result<()> {
    let lan = Lan::new()?;
    for (mode, talk) in [("bridge", true), ("private", false)] {
        lan.create(&format!("-o parent=lan0 -o macvlan_mode={mode}")).ok();
        for name in ["one", "two"] {
            lan.docker(&format!("run -d --init --name {name} --network lan busybox sleep 1000")).ok();
        }
        ensure!(lan.pings("one", "10.50.0.1"), "{mode}");
        ensure!(lan.pings("one", "10.50.0.3") == talk, "{mode}");
        lan.docker("rm -f one two").ok();
        lan.docker("network rm lan").ok();
    }
    lan.create("-o parent=lan0 -o macvlan_mode=passthru").ok();
    lan.docker("run -d --init --name one --network lan busybox sleep 1000").ok();
    ensure!(lan.pings("one", "10.50.0.1"), "passthru");
    let second = lan.docker("run --rm --network lan busybox true");
    ensure!(second.status == 125 && second.stderr.contains("parent interface lan0"), "{second:?}");
    lan.docker("restart -t 0 one").ok();
    ensure!(lan.pings("one", "10.50.0.1"), "passthru, after a restart");
    Ok(())
}

#[test]
fn what_has_no_way_out_has_none() -> Result<()> {
    let lan = Lan::new()?;
    lan.create("--internal -o parent=lan0").ok();
    let routes = lan.docker("run --rm --network lan busybox ip route").ok().to_owned();
    ensure!(!routes.contains("default"), "{routes}");
    lan.docker("network rm lan").ok();
    let alone = lan.docker("network create -d macvlan alone");
    if !knows(&lan.engine, "dummy") {
        ensure!(alone.stderr.contains("this kernel has no links of kind dummy"), "{alone:?}");
        ensure!(lan.links()?.is_empty(), "{:?}", lan.links()?);
        return Ok(());
    }
    alone.ok();
    lan.docker("run -d --init --name one --network alone busybox sleep 1000").ok();
    ensure!(lan.docker("run --rm --network alone busybox ping -c 1 -W 2 one").status == 0);
    ensure!(!lan.docker("exec one ip route").ok().contains("default"));
    lan.docker("rm -f one").ok();
    lan.docker("network rm alone").ok();
    ensure!(!lan.links()?.iter().any(|name| name.starts_with("dm-")), "{:?}", lan.links()?);
    Ok(())
}

#[test]
fn a_part_of_a_link_is_made_and_removed() -> Result<()> {
    let lan = Lan::new()?;
    let made = lan.create("-o parent=lan0.10");
    if !knows(&lan.engine, "vlan") {
        ensure!(
            made.stderr.contains("this kernel has no links of kind vlan, which lan0.10 is to be"),
            "{made:?}"
        );
        ensure!(lan.links()?.is_empty(), "{:?}", lan.links()?);
        return Ok(());
    }
    made.ok();
    // The outside has one way to these addresses: by the VLAN.
    lan.there("ip", &["address", "flush", "dev", "far0"])?;
    lan.there("ip", &["link", "add", "link", "far0", "name", "far0.10", "type", "vlan", "id", "10"])?;
    lan.there("ip", &["address", "add", "10.50.0.9/24", "dev", "far0.10"])?;
    lan.there("ip", &["link", "set", "far0.10", "up"])?;
    lan.docker("run --rm --network lan busybox ping -c 1 -W 2 10.50.0.9").ok();
    lan.docker("network create -d macvlan --subnet 10.51.0.0/24 -o parent=lan0.10 second").ok();
    lan.docker("network rm lan").ok();
    ensure!(lan.links()?.contains(&"lan0.10".to_owned()), "another network has it");
    lan.docker("network rm second").ok();
    ensure!(!lan.links()?.contains(&"lan0.10".to_owned()), "nobody has it");
    Ok(())
}

#[test]
fn senseless_parents_and_modes_are_refused_in_dockers_words() -> Result<()> {
    let lan = Lan::new()?;
    for (options, words) in [
        ("-o parent=nope", "invalid subinterface vlan name nope, example formatting is eth0.10"),
        ("-o parent=nope.10", "-o parent interface was not found on the host: nope"),
        ("-o parent=lan0.x", "unable to parse a valid vlan id from: x (ex. eth0.10 for vlan 10)"),
        ("-o parent=lan0.4095", "vlan id must be between 1-4094, received: 4095"),
        ("-o parent=lan0.1.2", "required interface name format is: name.vlan_id"),
        ("-o parent=lo", "loopback interface is not a valid macvlan parent link"),
        ("-o parent=lan0 -o macvlan_mode=x", "requested macvlan mode 'x' is not valid"),
        ("-o parent=lan0 -o com.docker.network.bridge.name=x", "of the macvlan driver is not supported yet"),
    ] {
        let refused = lan.create(options);
        ensure!(refused.status == 1 && refused.stderr.contains(words), "{options}: {refused:?}");
        ensure!(lan.docker("network inspect lan").status == 1, "{options}: something stays");
    }
    lan.create("-o parent=lan0").ok();
    let refused = lan.docker("network create -d macvlan -o parent=lan0 -o macvlan_mode=passthru second");
    ensure!(refused.stderr.contains("cannot use mode passthru, macvlan network"), "{refused:?}");
    lan.docker("network create -d macvlan -o parent=lan0 third").ok();
    ensure!(lan.links()?.is_empty(), "{:?}", lan.links()?);
    Ok(())
}

#[test]
fn ipvlan_is_served_or_refused_by_name() -> Result<()> {
    let lan = Lan::new()?;
    let line = "network create -d ipvlan --subnet 10.50.0.0/24 --gateway 10.50.0.1 -o parent=lan0 lan";
    let made = lan.docker(line);
    if !knows(&lan.engine, "ipvlan") {
        ensure!(made.stderr.contains("this kernel has no links of kind ipvlan"), "{made:?}");
        ensure!(lan.docker("network inspect lan").status == 1, "something stays");
        return Ok(());
    }
    made.ok();
    let refused = lan.docker("network create -d ipvlan -o parent=lan0 second");
    ensure!(refused.stderr.contains("is already using parent interface lan0"), "{refused:?}");
    lan.docker("run -d --init --name one --network lan busybox sleep 1000").ok();
    ensure!(lan.pings("one", "10.50.0.1"), "l2");
    lan.docker("rm -f one").ok();
    lan.docker("network rm lan").ok();
    lan.docker("network create -d ipvlan --subnet 10.60.0.0/24 -o parent=lan0 -o ipvlan_mode=l3 lan").ok();
    let routes = lan.docker("run --rm --network lan busybox ip route").ok().to_owned();
    ensure!(routes.contains("default dev eth0 scope link"), "{routes}");
    Ok(())
}
