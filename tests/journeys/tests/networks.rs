//! Containers that talk to the world and to each other, with the stock command line; packets are real.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dhow_journeys::engine;
use dhow_testkit::{Engine, network, process};

/// Answers every connection to port 80 with its name, and who asked.
const SERVE: &str = "mkdir -p /www/cgi-bin; printf '#!/bin/sh\necho; hostname; echo $REMOTE_ADDR' > /www/cgi-bin/who; \
                     chmod +x /www/cgi-bin/who; httpd -f -p 80 -h /www";

/// A server that runs; answers when it can be reached.
fn server(engine: &Engine, flags: &[&str]) -> String {
    let run = [&["run", "-d"][..], flags, &["busybox", "sh", "-c", SERVE]].concat();
    let id = engine.docker(&run).ok().to_owned();
    wait_for(engine, &id);
    id
}

fn wait_for(engine: &Engine, name: &str) {
    let ready = "for i in $(seq 300); do wget -qO /dev/null http://127.0.0.1/cgi-bin/who && exit; sleep 0.03; done; exit 1";
    engine.docker(&["exec", name, "sh", "-c", ready]).ok();
}

/// What a program in a container of its own says; it has to succeed.
fn told(engine: &Engine, flags: &[&str], script: &str) -> String {
    inside(engine, flags, script).ok().to_owned()
}

/// What a host at this address gets.
fn fetch(engine: &Engine, address: &str) -> Result<String> {
    engine.in_network(|| -> Result<String> {
        let address = address.parse()?;
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /cgi-bin/who HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        answer.split_once("\r\n\r\n").or_else(|| answer.split_once("\n\n")).context("no body")?;
        Ok(answer.lines().rev().take(2).collect::<Vec<_>>().join(" "))
    })
}

fn inside(engine: &Engine, flags: &[&str], script: &str) -> dhow_testkit::process::Answer {
    // With an init, for the first process of a container obeys no signal that it did not ask for.
    engine.docker(&[&["run", "--rm", "--init"][..], flags, &["busybox", "sh", "-c", script]].concat())
}

#[test]
fn a_published_port_is_reached_from_everywhere_and_the_client_is_known() -> Result<()> {
    let mut engine = engine()?;
    server(&engine, &["--name", "web", "-h", "web", "-p", "8080:80", "-p", "127.0.0.1:9000:80"]);
    ensure!(engine.docker(&["port", "web", "80/tcp"]).ok().contains("0.0.0.0:8080"));
    for address in ["127.0.0.1:8080", "172.17.0.1:8080", "127.0.0.1:9000"] {
        let told = fetch(&engine, address)?;
        ensure!(told.ends_with(" web"), "{address}: {told}");
    }
    ensure!(fetch(&engine, "172.17.0.1:9000").is_err(), "what is published on 127.0.0.1 is open elsewhere");
    let who = "timeout 5 wget -qO- http://172.17.0.1:8080/cgi-bin/who";
    ensure!(inside(&engine, &[], who).ok().starts_with("web"));
    ensure!(engine.docker(&["exec", "web", "sh", "-c", who]).ok().starts_with("web"), "its own port");
    // A network of its own is kept apart, and goes by the published port like everybody.
    engine.docker(&["network", "create", "apart"]).ok();
    let direct = "timeout 1 wget -qO- http://172.17.0.2/cgi-bin/who";
    ensure!(inside(&engine, &["--network", "apart"], direct).status != 0, "networks are not kept apart");
    ensure!(inside(&engine, &["--network", "apart"], who).ok().starts_with("web"));
    // Nothing is lost with the engine, and the next one knows it all.
    engine.kill()?;
    ensure!(fetch(&engine, "127.0.0.1:8080")?.ends_with(" web"), "without an engine");
    engine.launch()?;
    ensure!(fetch(&engine, "127.0.0.1:8080")?.ends_with(" web"), "with the next engine");
    let taken = inside(&engine, &["-p", "8080:80"], "true");
    ensure!(taken.stderr.contains("Bind for 0.0.0.0:8080 failed: port is already allocated"), "{taken:?}");
    engine.docker(&["restart", "-t", "0", "web"]).ok();
    wait_for(&engine, "web");
    ensure!(fetch(&engine, "127.0.0.1:8080")?.ends_with(" web"), "after a restart");
    engine.docker(&["rm", "-f", "web"]).ok();
    ensure!(fetch(&engine, "127.0.0.1:8080").is_err(), "it is gone");
    Ok(())
}

#[test]
fn a_port_that_the_host_uses_is_refused_in_dockers_words() -> Result<()> {
    let engine = engine()?;
    let taken = engine.in_network(|| std::net::TcpListener::bind("127.0.0.1:7070"))?;
    let refused = inside(&engine, &["-p", "7070:80"], "true");
    let words = "failed to bind host port 0.0.0.0:7070/tcp: address already in use";
    ensure!(refused.status == 125 && refused.stderr.contains(words), "{refused:?}");
    inside(&engine, &["-p", "7070-7071:80"], "true").ok();
    drop(taken);
    inside(&engine, &["-p", "7070:80"], "true").ok();
    let refused = inside(&engine, &["-p", "192.0.2.7:7070:80"], "true");
    ensure!(refused.stderr.contains("cannot assign requested address"), "{refused:?}");
    Ok(())
}

#[test]
fn datagrams_and_ranges_are_published_too() -> Result<()> {
    let engine = engine()?;
    let flags = ["-p", "53:5353/udp", "-p", "9000-9999:9000-9999"];
    engine
        .docker(&[&["run", "-d", "--name", "echo"][..], &flags, &["busybox", "sleep", "1000"]].concat())
        .ok();
    let pid = engine.inspect("echo", "{{.State.Pid}}").parse()?;
    let server = network::of_process(pid, || UdpSocket::bind("0.0.0.0:5353"))??;
    let client = engine.in_network(|| UdpSocket::bind("0.0.0.0:0"))?;
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    }
    client.send_to(b"ping", "127.0.0.1:53")?;
    let mut heard = [0; 16];
    let (length, from) = server.recv_from(&mut heard)?;
    ensure!(&heard[..length] == b"ping");
    server.send_to(b"pong", from)?;
    let (length, from) = client.recv_from(&mut heard)?;
    ensure!(&heard[..length] == b"pong" && from == "127.0.0.1:53".parse()?, "{from}");
    let listed = engine.docker(&["ps", "--format", "{{.Ports}}"]);
    ensure!(listed.ok().contains("0.0.0.0:9000-9999->9000-9999/tcp"), "{listed:?}");
    Ok(())
}

#[test]
fn names_are_known_in_networks_of_users() -> Result<()> {
    let mut engine = engine()?;
    engine.docker(&["network", "create", "app"]).ok();
    server(&engine, &["--name", "db", "--network", "app", "--network-alias", "data", "-h", "db"]);
    let ask = |engine: &Engine, name: &str| {
        inside(engine, &["--network", "app"], &format!("timeout 5 wget -qO- http://{name}/cgi-bin/who"))
    };
    for name in ["db", "data", "DB.app"] {
        ensure!(ask(&engine, name).ok().starts_with("db"), "{name}");
    }
    ensure!(
        inside(&engine, &[], "timeout 1 wget -qO- http://db/").status != 0,
        "the default network has no names"
    );
    engine.docker(&["rename", "db", "store"]).ok();
    ensure!(ask(&engine, "store").ok().starts_with("db"));
    // One that comes later, from the default network, is told as well.
    engine.docker(&["run", "-d", "--name", "late", "busybox", "sleep", "1000"]).ok();
    engine.docker(&["network", "connect", "--alias", "new", "app", "late"]).ok();
    let from_late = ["exec", "late", "timeout", "5", "wget", "-qO-", "http://data/cgi-bin/who"];
    ensure!(engine.docker(&from_late).ok().starts_with("db"));
    ensure!(engine.docker(&["exec", "late", "cat", "/etc/hosts"]).ok().matches("172.").count() == 2);
    engine.kill()?;
    engine.launch()?;
    ensure!(engine.docker(&from_late).ok().starts_with("db"), "after a restart of the engine");
    engine.docker(&["network", "disconnect", "app", "late"]).ok();
    ensure!(engine.docker(&from_late).status != 0, "it is no longer in the network");
    Ok(())
}

#[test]
fn a_container_has_the_addresses_that_it_asked_for() -> Result<()> {
    let engine = engine()?;
    let create =
        ["network", "create", "--subnet", "10.77.0.0/24", "--subnet", "fd00:77::/64", "--ipv6", "fixed"];
    engine.docker(&create).ok();
    let flags = [
        "--network",
        "fixed",
        "--ip",
        "10.77.0.9",
        "--ip6",
        "fd00:77::9",
        "--mac-address",
        "02:00:00:00:00:09",
    ];
    let told = told(&engine, &flags, "ip addr show eth0; ip route; ip -6 route; cat /etc/hosts");
    for words in [
        "10.77.0.9/24",
        "fd00:77::9/64",
        "02:00:00:00:00:09",
        "default via 10.77.0.1",
        "default via fd00:77::1",
    ] {
        ensure!(told.contains(words), "{words}: {told}");
    }
    for (flags, words) in [
        (
            &["--network", "fixed", "--ip", "10.78.0.9"][..],
            "no configured subnet contains IP address 10.78.0.9",
        ),
        (&["--network", "fixed", "--ip", "10.77.0.1"], "Address already in use"),
        (&["--network", "nope"], "network nope not found"),
    ] {
        let refused = inside(&engine, flags, "true");
        ensure!(refused.status == 125 && refused.stderr.contains(words), "{flags:?}: {refused:?}");
    }
    Ok(())
}

#[test]
fn links_are_lines_on_the_default_network_and_names_elsewhere() -> Result<()> {
    let engine = engine()?;
    server(&engine, &["--name", "db", "-h", "db", "-e", "KEY=value", "--expose", "80"]);
    let told = told(
        &engine,
        &["--link", "db:data"],
        "timeout 5 wget -qO- http://data/cgi-bin/who; cat /etc/hosts; env",
    );
    for words in ["db\n", "172.17.0.2\tdata db db", "DATA_ENV_KEY=value", "DATA_PORT_80_TCP_ADDR=172.17.0.2"]
    {
        ensure!(told.contains(words), "{words}: {told}");
    }
    engine.docker(&["network", "create", "app"]).ok();
    engine.docker(&["network", "connect", "app", "db"]).ok();
    let flags = ["--network", "app", "--link", "db:data"];
    ensure!(inside(&engine, &flags, "timeout 5 wget -qO- http://data/cgi-bin/who").ok().starts_with("db"));
    engine.docker(&["stop", "-t", "0", "db"]).ok();
    let refused = inside(&engine, &["--link", "db:data"], "true");
    ensure!(refused.stderr.contains("Cannot link to a non running container: /db AS /"), "{refused:?}");
    Ok(())
}

/// The name of the bridge of the default network.
fn bridge(engine: &Engine) -> String {
    let name = "{{index .Options \"com.docker.network.bridge.name\"}}";
    engine.docker(&["network", "inspect", "bridge", "-f", name]).ok().to_owned()
}

#[test]
fn a_bridge_that_somebody_removed_is_made_again() -> Result<()> {
    let mut engine = engine()?;
    server(&engine, &["--name", "web", "-h", "web", "-p", "8080:80"]);
    let remove = |engine: &Engine| {
        let name = bridge(engine);
        let mut ip = engine.within_network(std::path::Path::new("ip"));
        dhow_testkit::process::must(ip.args(["link", "delete", &name]))
    };
    remove(&engine)?;
    let who = "timeout 5 wget -qO- http://172.17.0.2/cgi-bin/who";
    ensure!(inside(&engine, &[], who).ok().starts_with("web"), "the next start makes it");
    ensure!(fetch(&engine, "127.0.0.1:8080")?.ends_with(" web"));
    remove(&engine)?;
    engine.stop()?;
    engine.launch()?;
    ensure!(fetch(&engine, "127.0.0.1:8080")?.ends_with(" web"), "the next engine makes it");
    Ok(())
}

#[test]
fn senseless_networks_are_refused_when_they_are_made() -> Result<()> {
    let engine = engine()?;
    for (flags, words) in [
        (&["--subnet", "127.0.0.0/8"][..], "containers cannot have such addresses"),
        (&["--subnet", "10.9.1.0/32"], "no room for a gateway and a container"),
        (&["--subnet", "10.1.2.3/24"], "invalid subnet 10.1.2.3/24: it should be 10.1.2.0/24"),
        (&["--subnet", "10.1.2.0/24", "--gateway", "10.1.2.255"], "is no address of a host"),
        (&["-o", "com.docker.network.driver.mtu=abc"], "parsing \"abc\": invalid syntax"),
        (&["-o", "com.docker.network.bridge.enable_icc=maybe"], "parsing \"maybe\": invalid syntax"),
        (&["-o", &format!("com.docker.network.bridge.name={}", bridge(&engine))], "used by another network"),
    ] {
        let refused = engine.docker(&[&["network", "create"][..], flags, &["x"]].concat());
        ensure!(refused.status != 0 && refused.stderr.contains(words), "{flags:?}: {refused:?}");
    }
    // Of two that are not there Docker misses the container.
    for line in
        [["network", "disconnect", "none-such", "nobody"], ["network", "disconnect", "bridge", "nobody"]]
    {
        let refused = engine.docker(&line);
        ensure!(refused.stderr.contains("No such container: nobody"), "{refused:?}");
    }
    let refused = engine.docker(&["volume", "create", "-d", "nope", "v"]);
    ensure!(refused.stderr.contains("error looking up volume plugin nope"), "{refused:?}");
    Ok(())
}

#[test]
fn ports_change_while_it_runs() -> Result<()> {
    let mut engine = engine()?;
    let id = server(&engine, &["--name", "web", "-h", "web", "-p", "8080:80", "-p", "80"]);
    let listed = engine.docker(&["port", "web"]).ok().to_owned();
    let update = |engine: &Engine, bindings: serde_json::Value| -> Result<u16> {
        let path = format!("/containers/{id}/update");
        Ok(engine.connect()?.request("POST", &path, &serde_json::json!({"PortBindings": bindings}))?.status)
    };
    let port = |host: &str| serde_json::json!({"HostPort": host});
    ensure!(update(&engine, serde_json::json!({"80/tcp": [port("8081"), port("")]}))? == 200);
    ensure!(fetch(&engine, "127.0.0.1:8080").is_err() && fetch(&engine, "127.0.0.1:8081")?.ends_with(" web"));
    let now = engine.docker(&["port", "web"]).ok().to_owned();
    let random = |text: &str| {
        text.split(':').filter_map(|port| port.trim().split('\n').next()?.parse::<u16>().ok()).max()
    };
    ensure!(random(&listed) == random(&now), "a port that stays keeps its number: {listed} {now}");
    let _taken = engine.in_network(|| std::net::TcpListener::bind("0.0.0.0:7070"))?;
    ensure!(update(&engine, serde_json::json!({"80/tcp": [port("7070")]}))? == 500);
    ensure!(fetch(&engine, "127.0.0.1:8081")?.ends_with(" web"), "a refusal changes nothing");
    engine.kill()?;
    engine.launch()?;
    ensure!(fetch(&engine, "127.0.0.1:8081")?.ends_with(" web"));
    Ok(())
}

#[test]
fn an_internal_network_leads_nowhere() -> Result<()> {
    let engine = engine()?;
    server(&engine, &["--name", "web", "-p", "8080:80"]);
    engine.docker(&["network", "create", "--internal", "cell"]).ok();
    server(&engine, &["--name", "inner", "-h", "inner", "--network", "cell"]);
    let told =
        told(&engine, &["--network", "cell"], "timeout 5 wget -qO- http://inner/cgi-bin/who; ip route");
    ensure!(told.starts_with("inner") && !told.contains("default"), "{told}");
    for address in ["172.17.0.2", "172.17.0.1:8080"] {
        let script = format!("timeout 1 wget -qO- http://{address}/cgi-bin/who");
        ensure!(inside(&engine, &["--network", "cell"], &script).status != 0, "{address} is reached");
    }
    Ok(())
}

#[test]
fn networks_are_refused_and_removed_in_dockers_words() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["network", "create", "--subnet", "10.77.0.0/16", "one"]).ok();
    let host = "ip link add lan0 type dummy 2>/dev/null || ip link add lan0 type veth peer lan1; \
                ip addr add 10.66.5.1/24 dev lan0; ip addr add fd00:66::1/64 dev lan0";
    process::must(engine.within_network(Path::new("sh")).args(["-c", host]))?;
    for (arguments, words) in [
        (
            &["create", "--subnet", "10.66.0.0/16", "two"][..],
            "10.66.0.0/16 overlaps with the host's own address 10.66.5.1 of lan0",
        ),
        (
            &["create", "--ipv6", "--subnet", "fd00:66::/48", "two"],
            "the host's own address fd00:66::1 of lan0",
        ),
        (&["create", "one"][..], "network with name one already exists"),
        (&["create", "host"], "operation is not permitted on predefined host network"),
        (
            &["create", "--subnet", "10.77.1.0/24", "two"],
            "Pool overlaps with other one on this address space",
        ),
        (&["create", "--subnet", "10.0.0.0/33", "two"], "invalid CIDR address: 10.0.0.0/33"),
        (&["create", "-d", "nope", "two"], "plugin \"nope\" not found"),
        (&["rm", "host"], "host is a pre-defined network and cannot be removed"),
        (&["rm", "nope"], "network nope not found"),
        (&["connect", "nope", "nope"], "No such container: nope"),
    ] {
        let refused = engine.docker(&[&["network"][..], arguments].concat());
        ensure!(refused.status != 0 && refused.stderr.contains(words), "{arguments:?}: {refused:?}");
    }
    engine.docker(&["run", "-d", "--name", "in", "--network", "one", "busybox", "sleep", "1000"]).ok();
    let refused = engine.docker(&["network", "rm", "one"]);
    ensure!(refused.stderr.contains("network one has active endpoints (name:\"in\""), "{refused:?}");
    engine.docker(&["rm", "-f", "in"]).ok();
    engine.docker(&["network", "rm", "one"]).ok();
    let links = engine.in_network(|| Command::new("ip").args(["-o", "link"]).output())?;
    let links = String::from_utf8(links.stdout)?;
    // Ends that wait for containers are on no bridge.
    ensure!(!links.contains("br-") && !links.contains(" master "), "{links}");
    Ok(())
}

#[test]
fn a_container_that_shares_a_network_is_where_the_other_is() -> Result<()> {
    let engine = engine()?;
    server(&engine, &["--name", "web", "-h", "web"]);
    let told = told(
        &engine,
        &["--network", "container:web"],
        "timeout 5 wget -qO- http://127.0.0.1/cgi-bin/who; cat /etc/hosts",
    );
    ensure!(told.starts_with("web") && told.contains("172.17.0."), "{told}");
    Ok(())
}
