//! What flags and daemon.json say of the default network and of new ones; networks that keep settings for others.

use std::path::Path;

use anyhow::{Result, ensure};
use dhow_journeys::docker;
use dhow_testkit::Engine;
use dhow_testkit::process::{answer, must};

fn engine(flags: &[&str]) -> Result<Engine> {
    let engine = Engine::with_busybox(flags)?;
    Ok(engine)
}

fn told(engine: &Engine, line: &str) -> String {
    docker(engine, &format!("run --rm --init busybox {line}")).ok().to_owned()
}

#[test]
fn flags_say_the_addresses_of_the_default_network() -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    let write = |text: &str| std::fs::write(file.path(), text);
    write(
        r#"{"bip": "10.99.0.5/24", "fixed-cidr": "10.99.0.128/25", "mtu": 1400, "default-gateway": "10.99.0.9"}"#,
    )?;
    let mut engine = engine(&["--config-file", &file.path().display().to_string()])?;
    let seen = told(&engine, "ip address show eth0") + &told(&engine, "ip route");
    for words in ["10.99.0.128/24", "mtu 1400", "default via 10.99.0.9"] {
        ensure!(seen.contains(words), "{words}: {seen}");
    }
    ensure!(docker(&engine, "network inspect bridge").ok().contains("\"Gateway\": \"10.99.0.5\""));
    // Others at the next start, while nobody is in it.
    write(r#"{"bip": "10.98.0.1/24", "ipv6": true, "fixed-cidr-v6": "fd98::/64"}"#)?;
    engine.stop()?;
    engine.launch()?;
    let seen = told(&engine, "ip address show eth0");
    ensure!(
        seen.contains("10.98.0.2/24") && seen.contains("fd98::2/64") && seen.contains("mtu 1500"),
        "{seen}"
    );
    let bridges = must(engine.within_network(Path::new("ip")).args(["-4", "address"]))?;
    ensure!(bridges.contains("10.98.0.1/24") && !bridges.contains("10.99.0"), "{bridges}");
    // Those that go on keep what they have.
    docker(&engine, "run -d --init --name stays busybox sleep 1000").ok();
    write(r#"{"bip": "10.97.0.1/24"}"#)?;
    engine.kill()?;
    engine.launch()?;
    ensure!(told(&engine, "ip address show eth0").contains("inet 10.98.0."));
    docker(&engine, "rm -f stays").ok();
    engine.stop()?;
    engine.launch()?;
    let seen = told(&engine, "ip address show eth0");
    ensure!(seen.contains("10.97.0.2/24") && !seen.contains("fd98"), "{seen}");
    Ok(())
}

#[test]
fn there_may_be_no_default_network_or_one_on_a_bridge_of_somebody_else() -> Result<()> {
    let none = engine(&["--bridge", "none"])?;
    docker(&none, "network create own").ok();
    docker(&none, "run --rm --network own busybox true").ok();
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), "{}")?;
    let mut engine = engine(&["--config-file", &file.path().display().to_string()])?;
    engine.stop()?;
    let ip = |line: &str| must(engine.within_network(Path::new("ip")).args(line.split_whitespace()));
    ip("link add theirs type bridge")?;
    ip("address add 10.96.0.7/24 dev theirs")?;
    std::fs::write(file.path(), r#"{"bridge": "theirs"}"#)?;
    engine.launch()?;
    let routes = told(&engine, "ip route");
    ensure!(routes.contains("default via 10.96.0.7"), "{routes}");
    engine.stop()?;
    std::fs::write(file.path(), "{}")?;
    engine.launch()?;
    let ip = |line: &str| must(engine.within_network(Path::new("ip")).args(line.split_whitespace()));
    ensure!(ip("address show theirs")?.contains("10.96.0.7/24"), "theirs is not ours to remove");
    Ok(())
}

#[test]
fn flags_say_who_reaches_whom() -> Result<()> {
    let engine = engine(&["--icc=false", "--ip", "127.0.0.1", "--userland-proxy=false"])?;
    docker(&engine, "run -d --init --name one -p 8080:80 busybox sleep 1000").ok();
    ensure!(docker(&engine, "port one").ok() == "80/tcp -> 127.0.0.1:8080");
    let ping = docker(&engine, "run --rm --init busybox ping -c 1 -W 1 172.17.0.2");
    ensure!(ping.status == 1, "{ping:?}");
    Ok(())
}

#[test]
fn an_engine_that_is_to_make_no_rules_makes_none_and_says_what_that_means() -> Result<()> {
    let engine = engine(&["--iptables=false", "--ip-forward=false"])?;
    docker(&engine, "run -d --init --name one busybox sleep 1000").ok();
    docker(&engine, "run --rm --init busybox ping -c 1 -W 2 172.17.0.2").ok();
    let refused = docker(&engine, "run --rm -p 8080:80 busybox true");
    let words = "this engine makes no firewall rules (iptables is false)";
    ensure!(refused.status == 125 && refused.stderr.contains(words), "{refused:?}");
    let forwards = must(engine.within_network(Path::new("cat")).arg("/proc/sys/net/ipv4/ip_forward"))?;
    ensure!(forwards.trim() == "0", "the host was made a router");
    if let Ok(tables) = answer(engine.within_network(Path::new("nft")).args(["list", "tables"]), b"") {
        ensure!(!tables.stdout.contains("dhow"), "{tables:?}");
    }
    Ok(())
}

/// Whether a bridge takes packets for the host's loopback. Without our rules that would be everybody's (CVE-2020-8558).
fn takes_loopback(engine: &Engine) -> Result<bool> {
    let name = "{{index .Options \"com.docker.network.bridge.name\"}}";
    let bridge = engine.docker(&["network", "inspect", "bridge", "-f", name]).ok().to_owned();
    let switch = format!("/proc/sys/net/ipv4/conf/{bridge}/route_localnet");
    let routes =
        must(engine.within_network(Path::new("ip")).args(["-6", "route", "show", "table", "local"]))?;
    let six = routes.lines().any(|route| route.starts_with("local ::1 ") && route.contains(&bridge));
    Ok(six || engine.in_network(|| std::fs::read_to_string(&switch))?.trim() == "1")
}

#[test]
fn a_bridge_takes_what_is_the_loopbacks_while_a_port_is_published_there() -> Result<()> {
    let mut engine = engine(&["--ipv6", "--fixed-cidr-v6", "fd17::/64"])?;
    let _outside = engine.outside()?;
    docker(&engine, "run -d --init --name none busybox sleep 1000").ok();
    docker(&engine, "run -d --init --name other -p 192.0.2.1:8079:80 busybox sleep 1000").ok();
    ensure!(!takes_loopback(&engine)?, "nothing is published on it");
    for published in ["127.0.0.1:8080:80", "8080:80", "[::1]:8080:80"] {
        docker(&engine, &format!("run -d --init --name one -p {published} busybox sleep 1000")).ok();
        ensure!(takes_loopback(&engine)?, "{published} is");
        docker(&engine, "rm -f one").ok();
        ensure!(!takes_loopback(&engine)?, "{published} is no more");
    }
    docker(&engine, "run -d --init --name one -p 127.0.0.1:8080:80 busybox sleep 1000").ok();
    engine.kill()?;
    engine.launch()?;
    ensure!(takes_loopback(&engine)?, "the next engine publishes the same");
    engine.kill()?;
    engine.launch_with(&["--iptables=false", "--ipv6", "--fixed-cidr-v6", "fd17::/64"])?;
    ensure!(!takes_loopback(&engine)?, "there are no rules any more that keep others away");
    docker(&engine, "exec one true").ok();
    Ok(())
}

#[test]
fn new_networks_have_the_options_that_flags_say() -> Result<()> {
    let engine = engine(&["--default-network-opt", "bridge=com.docker.network.driver.mtu=1300"])?;
    let mtu = "{{index .Options \"com.docker.network.driver.mtu\"}}";
    docker(&engine, "network create usual").ok();
    docker(&engine, "network create -o com.docker.network.driver.mtu=1350 own").ok();
    for (name, wanted) in [("usual", "1300"), ("own", "1350")] {
        ensure!(engine.docker(&["network", "inspect", "-f", mtu, name]).ok() == wanted, "{name}");
    }
    Ok(())
}

#[test]
fn networks_keep_settings_for_others() -> Result<()> {
    let mut engine = engine(&[])?;
    let options =
        "--subnet 10.95.0.0/24 --ip-range 10.95.0.128/25 --label a=b -o com.docker.network.driver.mtu=1450";
    docker(&engine, &format!("network create --config-only {options} kept")).ok();
    docker(&engine, &format!("network create --config-only {options} twice")).ok();
    docker(&engine, "network create --config-from kept user").ok();
    let seen = docker(&engine, "run --rm --network user busybox ip address show eth0").ok().to_owned();
    ensure!(seen.contains("10.95.0.129/24") && seen.contains("mtu 1450"), "{seen}");
    let shown = |engine: &Engine, name: &str, what: &str| {
        docker(engine, &format!("network inspect -f {what} {name}")).ok().to_owned()
    };
    engine.kill()?;
    engine.launch()?;
    ensure!(shown(&engine, "kept", "{{.ConfigOnly}}{{.Driver}}") == "truenull");
    ensure!(shown(&engine, "user", "{{.ConfigFrom.Network}}{{.Labels.a}}") == "keptb");
    for (line, words) in [
        ("network rm kept", "configuration network \"kept\" is in use"),
        ("run --rm --network kept busybox true", "cannot create endpoint on configuration-only network"),
        ("network create --config-from user x", "configuration network \"user\" does not exist"),
        ("network create --config-from kept -o a=b x", "user specified configurations are not supported"),
        (
            "network create --config-from kept --config-only x",
            "cannot depend on another configuration network",
        ),
        (
            "network create --config-only --internal x",
            "configuration network can only contain network specific fields",
        ),
        ("network create --config-from twice x", "Pool overlaps with other one on this address space"),
    ] {
        let refused = docker(&engine, line);
        ensure!(refused.status != 0 && refused.stderr.contains(words), "{line}: {refused:?}");
    }
    docker(&engine, "network prune -f").ok();
    docker(&engine, "network rm kept").ok();
    Ok(())
}

/// The kernel would be busy with each for seconds: looking for others who have it, and for routers.
#[test]
fn ends_of_connections_on_the_host_have_no_addresses() -> Result<()> {
    let engine = engine(&["--ipv6", "--fixed-cidr-v6", "fd17::/64"])?;
    // More at once than what waits is for.
    let many: Vec<String> = (0..8).map(|number| format!("box{number}")).collect();
    std::thread::scope(|scope| {
        let run = |name: &str| {
            docker(&engine, &format!("run -d --init --name {name} busybox sleep 1000")).ok().len()
        };
        let runs: Vec<_> = many.iter().map(|name| scope.spawn(move || run(name))).collect();
        runs.into_iter().for_each(|run| drop(run.join()));
    });
    docker(&engine, "exec box7 ping -c 1 -W 3 fd17::1").ok();
    let ip = |line: &str| must(engine.within_network(Path::new("ip")).args(line.split_whitespace()));
    ensure!(ip("-o link")?.lines().filter(|line| line.contains("veth")).count() >= many.len());
    let addresses = ip("-o address")?;
    ensure!(!addresses.contains("veth"), "{addresses}");
    Ok(())
}

#[test]
fn an_engine_without_a_default_network_gives_containers_their_loopback() -> Result<()> {
    let engine = engine(&["--bridge", "none"])?;
    let shown = docker(&engine, "run --rm -p 8080:80 busybox ip -o address").ok().to_owned();
    ensure!(shown.lines().all(|line| line.contains(": lo ")) && shown.contains("127.0.0.1/8"), "{shown}");
    docker(&engine, "run -d --init --name box busybox sleep 1000").ok();
    let format =
        "{{.NetworkSettings.IPAddress}}{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}";
    ensure!(engine.inspect("box", format) == "bridge");
    docker(&engine, "network create app").ok();
    docker(&engine, "network connect app box").ok();
    ensure!(docker(&engine, "exec box ip -o address").ok().contains("eth"), "it joins others");
    ensure!(docker(&engine, "run --rm --network app busybox ip -o address").ok().contains("eth0"));
    Ok(())
}

#[test]
fn a_firewall_that_drops_what_is_routed_is_told_of() -> Result<()> {
    let engine = engine(&[])?;
    let chain = "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }";
    for line in ["add table ip filter", chain] {
        if answer(engine.within_network(Path::new("nft")).args(line.split_whitespace()), b"").is_err() {
            println!("skipped: there is no nft");
            return Ok(());
        }
    }
    let told = docker(&engine, "info");
    let words = "the chain ip filter FORWARD of the host's firewall drops what is routed";
    ensure!(told.stderr.contains(words) || told.stdout.contains(words), "{told:?}");
    Ok(())
}
