//! What a network does not give: other versions of IP, routes that neighbours tell of, and addresses of those who ended.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use dhow_journeys::engine;
use dhow_testkit::process::must;
use dhow_testkit::{Engine, network, process, until};

/// A switch of IPv6 of a link, as the engine's host has it.
fn of_host(engine: &Engine, link: &str, switch: &str) -> Result<String> {
    let path = format!("/proc/sys/net/ipv6/conf/{link}/{switch}");
    let read = engine.in_network(|| std::fs::read_to_string(&path))?;
    Ok(read.trim().to_owned())
}

/// How many ends of connections of containers the engine's host has; those that wait for one are on no bridge.
fn ends(engine: &Engine) -> Result<usize> {
    let links =
        engine.in_network(|| Command::new("ip").args(["-o", "link", "show", "type", "veth"]).output())?;
    Ok(String::from_utf8(links.stdout)?.lines().filter(|line| line.contains(" master ")).count())
}

#[test]
fn a_network_of_version_4_speaks_no_version_6_and_believes_no_router() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["network", "create", "-o", "com.docker.network.bridge.name=four", "four"]).ok();
    engine.docker(&["network", "create", "--ipv6", "-o", "com.docker.network.bridge.name=both", "both"]).ok();
    engine.docker(&["run", "-d", "--name", "one", "--network", "four", "busybox", "sleep", "600"]).ok();
    let addresses = |link: &str| {
        engine.docker(&["exec", "one", "ip", "-6", "-o", "address", "show", link]).ok().to_owned()
    };
    ensure!(addresses("eth0").is_empty(), "{}", addresses("eth0"));
    ensure!(of_host(&engine, "four", "disable_ipv6")? == "1");
    engine.docker(&["network", "connect", "both", "one"]).ok();
    ensure!(addresses("eth1").contains("scope global"), "{}", addresses("eth1"));
    ensure!(engine.docker(&["exec", "one", "cat", "/proc/sys/net/ipv6/conf/eth1/accept_ra"]).ok() == "0");
    ensure!(of_host(&engine, "both", "disable_ipv6")? == "0");
    for bridge in ["four", "both"] {
        ensure!(of_host(&engine, bridge, "accept_ra")? == "0", "the host believes a container on {bridge}");
    }
    Ok(())
}

#[test]
fn an_address_is_nobodys_else_while_a_guest_of_its_container_stays() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["network", "create", "--subnet", "10.9.0.0/29", "own"]).ok();
    engine.docker(&["run", "-d", "--name", "donor", "--network", "own", "busybox", "sleep", "600"]).ok();
    let host = &[
        "run",
        "-d",
        "--init",
        "--name",
        "guest",
        "--network",
        "container:donor",
        "busybox",
        "sleep",
        "600",
    ];
    engine.docker(host).ok();
    ensure!(ends(&engine)? == 1);
    engine.docker(&["rm", "-f", "donor"]).ok();
    ensure!(ends(&engine)? == 0, "the guest has an address that is free for others");
    engine.docker(&["network", "rm", "own"]).ok();
    Ok(())
}

#[test]
fn who_has_a_network_of_its_own_listens_on_any_port() -> Result<()> {
    let engine = engine()?;
    let ports = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range";
    let told = |flags: &[&str]| {
        engine.docker(&[&["run", "--rm"], flags, &["busybox", "sh", "-c", ports]].concat()).ok().to_owned()
    };
    ensure!(told(&[]) == "0\n0\t2147483647", "{}", told(&[]));
    ensure!(
        told(&["--network", "none", "--sysctl", "net.ipv4.ip_unprivileged_port_start=5"])
            .starts_with("5\n0\t")
    );
    engine.docker(&["run", "--rm", "--user", "1000", "busybox", "httpd", "-p", "80"]).ok();
    Ok(())
}

#[test]
fn an_old_link_is_to_a_container_and_not_to_its_name() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["run", "-d", "--init", "--name", "data", "busybox", "sleep", "600"]).ok();
    let holder = ["run", "-d", "--init", "--name", "web", "--link", "data:db", "busybox", "sleep", "600"];
    engine.docker(&holder).ok();
    let shown = || engine.inspect("web", "{{.HostConfig.Links}}");
    ensure!(shown() == "[/data:/web/db]", "{}", shown());
    engine.docker(&["rename", "data", "other"]).ok();
    engine.docker(&["restart", "-t", "0", "web"]).ok();
    ensure!(shown() == "[/other:/web/db]", "{}", shown());
    engine.docker(&["rm", "-f", "other"]).ok();
    engine.docker(&["restart", "-t", "0", "web"]).ok();
    ensure!(shown() == "[]", "{}", shown());
    Ok(())
}

/// Says once, on eth0, that it is a router (RFC 4861, 4.2): of no prefix, for half an hour.
const ADVERTISE: &str = "import socket, struct
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)
s.setsockopt(41, 18, 255)
s.sendto(struct.pack('>BBHBBHII', 134, 0, 0, 64, 0, 1800, 0, 0), ('ff02::1', 0, 0, socket.if_nametoindex('eth0')))";

/// A host that becomes a router for its containers still believes the router that it lives by.
#[test]
fn the_hosts_own_way_out_stays_when_containers_get_version_6() -> Result<()> {
    let engine = engine()?;
    let outside = engine.outside()?;
    let speak = |link: &str| {
        let on = format!(
            "echo 0 >/proc/sys/net/ipv6/conf/{link}/disable_ipv6; ip link set {link} down; ip link set {link} up"
        );
        ["-c".to_owned(), on]
    };
    must(engine.within_network(Path::new("sh")).args(speak("wire0")))?;
    must(network::command(&outside, Path::new("sh")).args(speak("eth0")))?;
    let way = || -> Result<String> {
        must(engine.within_network(Path::new("ip")).args(["-6", "route", "show", "default", "dev", "wire0"]))
    };
    let advertised = || {
        let told = network::command(&outside, Path::new("python3")).args(["-c", ADVERTISE]).output();
        told.is_ok_and(|told| told.status.success()) && way().is_ok_and(|way| way.contains("proto ra"))
    };
    until("the host believes the router", advertised)?;
    engine.docker(&["network", "create", "--ipv6", "six"]).ok();
    engine.docker(&["run", "--rm", "--network", "six", "busybox", "true"]).ok();
    ensure!(of_host(&engine, "all", "forwarding")? == "1");
    ensure!(way()?.contains("proto ra"), "the way out is gone: {}", way()?);
    must(
        engine.within_network(Path::new("ip")).args(["-6", "route", "flush", "dev", "wire0", "proto", "ra"]),
    )?;
    until("the host still believes the router", advertised)
}

/// A host that routes one version for others goes on doing so, and does not begin with the other.
#[test]
fn a_host_is_a_router_for_others_of_the_version_that_it_was_one_of() -> Result<()> {
    if process::find("nft").is_none() {
        eprintln!("skipped: there is no nft on this machine");
        return Ok(());
    }
    let mut engine = engine()?;
    engine.in_network(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?;
    let rules = |engine: &Engine| -> Result<String> {
        process::must(engine.within_network("nft".as_ref()).args(["list", "ruleset"]))
    };
    engine.docker(&["run", "-d", "--name", "one", "busybox", "sleep", "600"]).ok();
    ensure!(!rules(&engine)?.contains("nfproto ipv6 drop"), "nobody made the host a router of version 6");
    engine.docker(&["network", "create", "--ipv6", "both"]).ok();
    engine.docker(&["run", "-d", "--name", "two", "--network", "both", "busybox", "sleep", "600"]).ok();
    ensure!(of_host(&engine, "all", "forwarding")? == "1");
    ensure!(rules(&engine)?.contains("meta nfproto ipv6 drop"), "{}", rules(&engine)?);
    engine.kill()?;
    engine.launch()?;
    ensure!(rules(&engine)?.contains("meta nfproto ipv6 drop"), "the next engine knows");
    Ok(())
}
