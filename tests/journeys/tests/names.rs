//! Names inside containers, asked for by busybox' nslookup.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dhow_journeys::engine;
use dhow_testkit::{Engine, network};

/// A container that does nothing, and its address in a network.
fn idle(engine: &Engine, name: &str, network: &str, flags: &[&str]) -> String {
    let run = [&["run", "-d", "--init", "--name", name, "--network", network], flags];
    engine.docker(&[&run.concat()[..], &["busybox", "sleep", "1000"]].concat()).ok();
    let format = format!("{{{{.NetworkSettings.Networks.{network}.IPAddress}}}}");
    engine.inspect(name, &format)
}

/// What a program in a container is told; the address of the server itself left out.
fn lookup(engine: &Engine, container: &str, name: &str) -> String {
    let said = engine.docker(&["exec", container, "nslookup", name]);
    let all = format!("{}\n{}", said.stdout, said.stderr);
    let answers = all.lines().skip_while(|line| !line.trim().is_empty());
    answers.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

fn pid(engine: &Engine, name: &str) -> Result<u32> {
    Ok(engine.inspect(name, "{{.State.Pid}}").parse()?)
}

#[test]
fn containers_that_share_an_alias_are_all_found_and_addresses_have_names() -> Result<()> {
    let mut engine = engine()?;
    engine.docker(&["network", "create", "app"]).ok();
    idle(&engine, "client", "app", &[]);
    let alias = ["--network-alias", "pool"];
    let mut all: Vec<String> =
        ["one", "two", "three"].iter().map(|name| idle(&engine, name, "app", &alias)).collect();
    let missing = |engine: &Engine, all: &[String]| -> Vec<String> {
        let told = lookup(engine, "client", "pool");
        all.iter().filter(|address| !told.contains(&format!("Address: {address}"))).cloned().collect()
    };
    ensure!(missing(&engine, &all).is_empty(), "{all:?}: {}", lookup(&engine, "client", "pool"));
    let told = lookup(&engine, "client", &all[0]);
    ensure!(told.contains("name = one.app"), "{told}");
    ensure!(lookup(&engine, "client", "ONE.app").contains(&all[0]), "names are told apart by their case");
    engine.docker(&["rm", "-f", "three"]).ok();
    let gone = all.pop();
    ensure!(missing(&engine, &gone.into_iter().collect::<Vec<_>>()).len() == 1, "one that is gone is found");
    // The next engine knows them as well.
    engine.kill()?;
    engine.launch()?;
    ensure!(missing(&engine, &all).is_empty(), "{all:?}: {}", lookup(&engine, "client", "pool"));
    Ok(())
}

#[test]
fn nothing_is_asked_outside_of_an_internal_network() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["network", "create", "--internal", "inner"]).ok();
    let address = idle(&engine, "db", "inner", &[]);
    ensure!(lookup(&engine, "db", "db").contains(&address));
    let told = lookup(&engine, "db", "www.example.com");
    ensure!(told.contains("SERVFAIL"), "{told}");
    Ok(())
}

/// One that is given to a container may be a container, and one can be a name server itself.
#[test]
fn a_container_is_the_name_server_of_another() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["network", "create", "app"]).ok();
    let address = idle(&engine, "server", "app", &[]);
    let socket = network::of_process(pid(&engine, "server")?, || UdpSocket::bind("0.0.0.0:53"))??;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    idle(&engine, "client", "app", &["--dns", &address]);
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut packet) {
            let _ = socket.send_to(&answer(&packet[..length]), peer);
        }
    });
    let told = lookup(&engine, "client", "www.example.com");
    ensure!(told.contains("Address: 203.0.113.9"), "{told}");
    ensure!(lookup(&engine, "client", "server").contains(&address), "its own names are not its own");
    let file = engine.docker(&["exec", "client", "cat", "/etc/resolv.conf"]);
    let first = file.stdout.lines().find(|line| line.starts_with("nameserver")).context("no server")?;
    ensure!(first == "nameserver 127.0.0.11", "{first}");
    Ok(())
}

/// The question, and 203.0.113.9 for whoever asks for an address of version 4.
fn answer(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2] |= 0x80;
    let wants_address = question.ends_with(&[0, 1, 0, 1]);
    if wants_address {
        answer[7] = 1;
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 203, 0, 113, 9]);
    }
    answer
}
