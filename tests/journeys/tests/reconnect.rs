//! Ports and networks of a container that change by `dhow update`; packets are real.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, ensure};
use dhow_journeys::engine;
use dhow_testkit::{Engine, process::Answer};

/// Answers every connection to ports 80 and 81 with the number of the port.
const SERVE: &str = "for port in 80 81; do mkdir -p /www/$port; echo port $port > /www/$port/index.html; \
                     httpd -p $port -h /www/$port; done; sleep 1000";

fn server(engine: &Engine, flags: &[&str]) {
    engine.docker(&[&["run", "-d", "--init"][..], flags, &["busybox", "sh", "-c", SERVE]].concat()).ok();
    wait_for(engine, "web");
}

fn wait_for(engine: &Engine, name: &str) {
    let ready =
        "for i in $(seq 300); do wget -qO /dev/null http://127.0.0.1:81/ && exit; sleep 0.03; done; exit 1";
    engine.docker(&["exec", name, "sh", "-c", ready]).ok();
}

/// What a host at this port gets.
fn fetch(engine: &Engine, port: u16) -> Result<String> {
    engine.in_network(|| -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.lines().last().unwrap_or_default().to_owned())
    })
}

fn update(engine: &Engine, flags: &[&str]) -> Answer {
    engine.dhow(&[&["update"][..], flags, &["web"]].concat())
}

fn networks(engine: &Engine) -> String {
    let format = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    engine.inspect("web", format).trim().to_owned()
}

#[test]
fn ports_are_published_and_taken_back_while_it_runs() -> Result<()> {
    let mut engine = engine()?;
    server(&engine, &["--name", "web", "-p", "8080:80"]);
    update(&engine, &["--publish-add", "8081:81", "--publish-add", "9000-9001:80-81"]).ok();
    for (port, told) in [(8080, "port 80"), (8081, "port 81"), (9000, "port 80"), (9001, "port 81")] {
        ensure!(fetch(&engine, port)? == told, "{port}");
    }
    update(&engine, &["--publish-rm", "8080:80", "--publish-rm", "81", "--publish-add", "127.0.0.1:7000:81"])
        .ok();
    for gone in [8080, 8081, 9001] {
        ensure!(fetch(&engine, gone).is_err(), "{gone} is still published");
    }
    let listed = engine.docker(&["port", "web"]).ok().to_owned();
    ensure!(listed == "80/tcp -> 0.0.0.0:9000\n81/tcp -> 127.0.0.1:7000", "{listed}");
    // It is kept: by the engine that comes next, and by a restart of the container.
    engine.kill()?;
    engine.launch()?;
    engine.docker(&["restart", "-t", "0", "web"]).ok();
    wait_for(&engine, "web");
    ensure!(
        fetch(&engine, 9000)? == "port 80"
            && fetch(&engine, 7000)? == "port 81"
            && fetch(&engine, 8080).is_err()
    );
    Ok(())
}

#[test]
fn a_container_that_rests_is_changed_for_its_next_start() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["network", "create", "--subnet", "10.77.0.0/24", "app"]).ok();
    engine.docker(&["create", "--init", "--name", "web", "-p", "8080:80", "busybox", "sh", "-c", SERVE]).ok();
    let added = "name=app,ip=10.77.0.9";
    update(&engine, &["--publish-rm", "80", "--publish-add", "8081:81", "--network-add", added]).ok();
    update(&engine, &["--network-rm", "bridge"]).ok();
    ensure!(networks(&engine) == "app");
    engine.docker(&["start", "web"]).ok();
    wait_for(&engine, "web");
    ensure!(fetch(&engine, 8081)? == "port 81" && fetch(&engine, 8080).is_err());
    let told = engine.docker(&["exec", "web", "ip", "-4", "-o", "address"]).ok().to_owned();
    ensure!(told.contains("10.77.0.9/24"), "{told}");
    Ok(())
}

#[test]
fn a_container_moves_from_one_network_to_another() -> Result<()> {
    let mut engine = engine()?;
    engine.docker(&["network", "create", "--subnet", "10.77.0.0/24", "app"]).ok();
    engine
        .docker(&["run", "-d", "--init", "--name", "client", "--network", "app", "busybox", "sleep", "1000"])
        .ok();
    server(&engine, &["--name", "web", "-p", "8080:80"]);
    update(&engine, &["--network-add", "name=app,alias=site,ip=10.77.0.9", "--network-rm", "bridge"]).ok();
    ensure!(networks(&engine) == "app");
    let ask = ["exec", "client", "timeout", "5", "wget", "-qO-", "http://site/"];
    ensure!(engine.docker(&ask).ok() == "port 80");
    ensure!(fetch(&engine, 8080)? == "port 80", "what is published comes along");
    // Anew with another address.
    update(&engine, &["--network-rm", "app", "--network-add", "name=app,ip=10.77.0.10"]).ok();
    let told = engine.docker(&["exec", "web", "ip", "-4", "-o", "address"]).ok().to_owned();
    ensure!(told.contains("10.77.0.10/24") && !told.contains("10.77.0.9/"), "{told}");
    ensure!(fetch(&engine, 8080)? == "port 80");
    engine.kill()?;
    engine.launch()?;
    engine.docker(&["restart", "-t", "0", "web"]).ok();
    wait_for(&engine, "web");
    ensure!(networks(&engine) == "app" && fetch(&engine, 8080)? == "port 80");
    Ok(())
}

#[test]
fn what_cannot_be_is_refused_and_all_is_as_it_was() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["network", "create", "--subnet", "10.77.0.0/24", "app"]).ok();
    server(&engine, &["--rm", "--name", "web", "-p", "8080:80", "-p", "81"]);
    let _taken = engine.in_network(|| std::net::TcpListener::bind("0.0.0.0:7070"))?;
    let state = || {
        let ports = engine.docker(&["port", "web"]).ok().to_owned();
        let bindings = engine.docker(&["inspect", "-f", "{{json .HostConfig.PortBindings}}", "web"]);
        let addresses = engine.docker(&["exec", "web", "ip", "-4", "-o", "address"]).ok().to_owned();
        format!("{ports} {} {} {addresses}", bindings.ok(), networks(&engine))
    };
    let before = state();
    for (flags, words) in [
        (&["--publish-rm", "8081:80"][..], "port 80/tcp is not published at port 8081 of the host"),
        (&["--publish-rm", "53/udp"], "port 53/udp is not published"),
        (&["--publish-add", "x"], "invalid containerPort: x"),
        (&["--publish-add", "7070:81"], "address already in use"),
        (&["--publish-add", "8080:81"], "port is already allocated"),
        (&["--network-add", "nowhere"], "network nowhere not found"),
        (&["--network-rm", "app"], "is not connected to network app"),
        (&["--network-add", "bridge"], "already exists in network bridge"),
        (&["--network-add", "name=app,ip=10.78.0.9"], "10.78.0.9"),
        // The first steps are undone.
        (&["--network-add", "app", "--publish-add", "7070:81"], "address already in use"),
        (&["--network-add", "app", "--publish-rm", "81", "--restart", "always"], "AutoRemove is enabled"),
        (&["--publish-add", "9000:81", "--network-rm", "app"], "is not connected to network app"),
    ] {
        let refused = update(&engine, flags);
        ensure!(refused.status == 1 && refused.stderr.contains(words), "{flags:?}: {refused:?}");
        ensure!(state() == before, "{flags:?} left something: {} {before}", state());
    }
    ensure!(fetch(&engine, 8080)? == "port 80");
    Ok(())
}

/// A container that was stopped while its network was removed is taken out of it by name, as with Docker, and
/// starts in another.
#[test]
fn a_stopped_container_leaves_a_network_that_was_removed() -> Result<()> {
    let engine = engine()?;
    for (number, leave) in
        [&["network", "disconnect", "gone", "web"][..], &["update", "--network-rm", "gone", "web"]]
            .into_iter()
            .enumerate()
    {
        engine.docker(&["network", "create", "gone"]).ok();
        engine.docker(&["create", "--name", "web", "--network", "gone", "busybox", "sleep", "1000"]).ok();
        engine.docker(&["network", "rm", "gone"]).ok();
        let refused = engine.docker(&["start", "web"]);
        ensure!(refused.stderr.contains("network gone not found"), "{refused:?}");
        engine.dhow(leave).ok();
        engine.docker(&["network", "connect", "bridge", "web"]).ok();
        engine.docker(&["start", "web"]).ok();
        ensure!(networks(&engine) == "bridge", "{number}: {}", networks(&engine));
        let refused = engine.docker(&["network", "disconnect", "gone", "web"]);
        ensure!(refused.stderr.contains("network gone not found"), "{refused:?}");
        engine.docker(&["rm", "-f", "web"]).ok();
    }
    Ok(())
}
