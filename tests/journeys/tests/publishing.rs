//! Published ports and the host's own firewall; packets are real, from a machine outside.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dhow_testkit::{Engine, network, process, until};

/// A firewall as a host may have: nothing comes in but what is said here.
const HOST_RULES: &str = "table inet host { chain input { type filter hook input priority 0; policy drop; \
                          ct state established,related accept; iif lo accept; tcp dport 8081 accept; }; }";

/// What all bridges of all engines are in.
const GROUP: &str = "1684565879";

/// A policy that there is none of.
const WRONG: &[&str] = &["daemon", "--validate", "--publish-policy", "closed"];

/// An engine with a container that answers at the host's ports 8080 and 8081.
fn engine(flags: &[&str]) -> Result<Engine> {
    let engine = Engine::with_busybox(flags)?;
    serve(&engine, &["-p", "8080:80", "-p", "8081:80"])?;
    Ok(engine)
}

fn serve(engine: &Engine, ports: &[&str]) -> Result<()> {
    engine.docker(&[&["run", "-d", "--name", "web"][..], ports, &["busybox", "sleep", "1000"]].concat()).ok();
    let pid = engine.inspect("web", "{{.State.Pid}}").parse()?;
    let listener = network::of_process(pid, || TcpListener::bind("0.0.0.0:80"))??;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = (&stream).write_all(b"hello").and_then(|()| stream.shutdown(Shutdown::Both));
        }
    });
    Ok(())
}

fn is_open(outside: &network::NetworkSpace, port: u16) -> bool {
    network::within(outside.handle().as_fd(), || {
        let address = format!("{}:{port}", network::HOST).parse().expect("an address");
        let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(1500)) else {
            return false;
        };
        let mut heard = String::new();
        stream.read_to_string(&mut heard).is_ok() && heard == "hello"
    })
}

/// False, and it is told, where there is no `nft` to be the host's firewall with.
fn nft(engine: &Engine, arguments: &[&str]) -> Result<bool> {
    if process::find("nft").is_none() {
        eprintln!("skipped: there is no nft on this machine");
        return Ok(false);
    }
    let done = engine.within_network("nft".as_ref()).args(arguments).output()?;
    ensure!(done.status.success(), "{arguments:?}: {done:?}");
    Ok(true)
}

#[test]
fn published_ports_obey_the_hosts_rules_where_the_engine_is_told_to() -> Result<()> {
    let mut engine = engine(&["--publish-policy", "host-rules"])?;
    let outside = engine.outside()?;
    ensure!(is_open(&outside, 8080) && is_open(&outside, 8081), "a host without rules lets all in");
    if !nft(&engine, &[HOST_RULES])? {
        return Ok(());
    }
    ensure!(is_open(&outside, 8081) && !is_open(&outside, 8080));
    engine.kill()?;
    ensure!(is_open(&outside, 8081) && !is_open(&outside, 8080), "without an engine");
    engine.launch()?;
    ensure!(is_open(&outside, 8081) && !is_open(&outside, 8080), "with the next engine");
    // Whoever reloads the host's firewall takes ours with it only for a moment.
    nft(&engine, &["flush", "ruleset"])?;
    nft(&engine, &[HOST_RULES])?;
    until("the rules are back", || is_open(&outside, 8081))?;
    ensure!(!is_open(&outside, 8080), "after a flush");
    nft(&engine, &["insert rule inet host input tcp dport 8080 accept"])?;
    ensure!(is_open(&outside, 8080));
    Ok(())
}

#[test]
fn published_ports_are_open_unless_the_engine_is_told() -> Result<()> {
    let engine = engine(&[])?;
    let outside = engine.outside()?;
    if !nft(&engine, &[HOST_RULES])? {
        return Ok(());
    }
    ensure!(is_open(&outside, 8080) && is_open(&outside, 8081));
    nft(&engine, &["flush", "ruleset"])?;
    until("the rules are back", || is_open(&outside, 8080))?;
    Ok(())
}

/// The first makes the host a router for its own containers alone; the second's were strangers to it, and cut off in silence.
#[test]
fn two_engines_of_a_host_that_was_no_router_are_both_reached() -> Result<()> {
    let one = engine(&[])?;
    let mut two = Engine::start_beside(&one)?;
    two.import_busybox()?;
    serve(&two, &["-p", "9080:80"])?;
    let ranges = ["-p", "8101-8102:8101-8102", "-p", "127.0.0.1:8100:80"];
    one.docker(&[&["run", "-d", "--init"][..], &ranges, &["busybox", "sleep", "1000"]].concat()).ok();
    let outside = one.outside()?;
    let reach_all = || {
        ensure!(is_open(&outside, 8080) && is_open(&outside, 9080), "from outside");
        for engine in [&one, &two] {
            engine.docker(&["exec", "web", "ping", "-c", "1", "-W", "5", "192.0.2.9"]).ok();
        }
        Ok(())
    };
    reach_all()?;
    for (engine, made) in [(&one, 1), (&two, 0)] {
        let told = std::fs::read_to_string(engine.log())?;
        ensure!(told.matches("the host is a router of IPv4 now").count() == made, "{told}");
    }
    // An engine that knew no groups has left it so.
    let grouped =
        || process::must(one.within_network("ip".as_ref()).args(["-o", "link", "show", "group", GROUP]));
    let bridges =
        |listed: &str| listed.lines().filter_map(|line| Some(line.split(": ").nth(1)?.to_owned())).collect();
    let before: Vec<String> = bridges(&grouped()?);
    ensure!(before.len() == 2, "{before:?}");
    for bridge in &before {
        process::must(one.within_network("ip".as_ref()).args(["link", "set", "dev", bridge, "group", "0"]))?;
    }
    // Nor do they publish the same ports.
    for taken in ["8080", "127.0.0.1:8081", "8101", "192.0.2.1:8102"] {
        let port = format!("{taken}:80");
        let refused = two.docker(&["run", "--rm", "-p", &port, "busybox", "true"]);
        ensure!(
            refused.status == 125 && refused.stderr.contains("port is already allocated"),
            "{taken}: {refused:?}"
        );
    }
    for free in ["8080:80/udp", "8103:80", "8080-8082:80", "192.0.2.1:8100:80"] {
        two.docker(&["run", "--rm", "-p", free, "busybox", "true"]).ok();
    }
    ensure!(!is_open(&outside, 9080), "to a bridge of nobody");
    two.kill()?;
    two.launch()?;
    ensure!(bridges(&grouped()?).len() == 1 && is_open(&outside, 9080), "with the next engine");
    Ok(())
}

#[test]
fn the_policy_changes_with_the_next_engine() -> Result<()> {
    let mut engine = engine(&[])?;
    let file = engine.scratch().join("daemon.json");
    let outside = engine.outside()?;
    if !nft(&engine, &[HOST_RULES])? {
        return Ok(());
    }
    for (policy, open) in [("host-rules", false), ("open", true)] {
        std::fs::write(&file, format!(r#"{{"publish-policy": "{policy}"}}"#))?;
        engine.kill()?;
        engine.launch_with(&["--config-file", &file.to_string_lossy()])?;
        ensure!(is_open(&outside, 8080) == open && is_open(&outside, 8081), "{policy}");
    }
    let binary = engine.binary().to_owned();
    let refused = process::answer(std::process::Command::new(binary).args(WRONG), b"")?;
    ensure!(refused.status != 0 && refused.stderr.contains("neither open nor host-rules"), "{refused:?}");
    Ok(())
}

#[test]
fn ports_of_sctp_are_published_where_the_kernel_speaks_it() -> Result<()> {
    let engine = Engine::with_busybox(&[])?;
    let any = || network::sctp("0.0.0.0:0".parse()?);
    if any()?.is_none() {
        eprintln!("skipped: this kernel speaks no SCTP");
        return Ok(());
    }
    let run = ["run", "-d", "--name", "web", "-p", "8080:80/sctp", "busybox", "sleep", "1000"];
    engine.docker(&run).ok();
    let pid = engine.inspect("web", "{{.State.Pid}}").parse()?;
    let server = network::of_process(pid, || network::sctp("0.0.0.0:80".parse()?))??.context("a server")?;
    network::serve_sctp(server, b"hello")?;
    let outside = network::outside(engine.network())?;
    let address = format!("{}:8080", network::HOST).parse()?;
    let heard = network::within(outside.handle().as_fd(), || {
        network::ask_sctp(&any()?.context("a client")?, address)
    })?;
    ensure!(heard == b"hello", "{heard:?}");
    // The host itself, by the same address.
    let heard = engine.in_network(|| network::ask_sctp(&any()?.context("a client")?, address))?;
    ensure!(heard == b"hello", "{heard:?}");
    let taken = engine.docker(&["run", "--rm", "-p", "8080:81/sctp", "busybox", "true"]);
    ensure!(taken.stderr.contains("port is already allocated"), "{taken:?}");
    Ok(())
}
