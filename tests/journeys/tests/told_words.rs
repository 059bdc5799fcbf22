//! What a container is told of its own names, and what a client is told of networks: to the letter, as Docker has it.

use anyhow::{Result, ensure};
use dhow_journeys::{docker, engine};
use dhow_testkit::Engine;
use serde_json::{Value, json};

/// Whether the domain is said in the one setting or in the other, the first part alone is a name too.
#[test]
fn a_container_knows_its_long_and_its_short_name() -> Result<()> {
    let engine = engine()?;
    for (flags, line) in [
        ("-h h1.dom.example", "h1.dom.example h1"),
        ("-h h1 --domainname dom.example", "h1.dom.example h1"),
        ("-h h1.dom --domainname example", "h1.dom.example h1"),
        ("-h h1", "h1"),
    ] {
        let told = docker(&engine, &format!("run --rm {flags} busybox tail -n 1 /etc/hosts"));
        ensure!(told.ok().split_once('\t').is_some_and(|(_, names)| names == line), "{flags}: {told:?}");
    }
    let told = docker(&engine, "run --rm --network none -h h1 busybox cat /etc/hosts");
    ensure!(!told.ok().contains("h1"), "it has no address by that name: {told:?}");
    Ok(())
}

#[test]
fn networks_are_told_as_docker_tells_them() -> Result<()> {
    let engine = engine()?;
    let refused = docker(&engine, "network create default");
    let words = "operation is not permitted on predefined default network";
    ensure!(refused.status == 1 && refused.stderr.contains(words), "{refused:?}");
    docker(&engine, "network create --subnet 10.66.0.0/24 front").ok();
    docker(&engine, "network create confront").ok();
    ensure!(docker(&engine, "network ls -q --filter name=^f --format {{.Name}}").ok() == "front");
    let refused = docker(&engine, "network ls --filter type=foo");
    ensure!(refused.stderr.contains("invalid filter: 'type'='foo'"), "{refused:?}");
    let refused = docker(&engine, "run --rm --network front --ip 10.67.0.5 busybox true");
    let words = "invalid endpoint settings:\nno configured subnet contains IP address 10.67.0.5";
    ensure!(refused.status == 125 && refused.stderr.contains(words), "{refused:?}");
    let options = engine.docker(&["network", "inspect", "-f", "{{json .IPAM.Options}}", "front"]);
    ensure!(options.ok() == "{}", "{options:?}");
    Ok(())
}

#[test]
fn requests_about_networks_say_something() -> Result<()> {
    let mut engine = engine()?;
    let ask = |engine: &Engine, method: &str, path: &str, body: Value| -> Result<(u16, Value)> {
        let answer = engine.connect()?.request(method, path, &body)?;
        Ok((answer.status, answer.json()?))
    };
    let (status, told) = ask(&engine, "GET", "/networks/bridge?verbose=foo", Value::Null)?;
    ensure!(status == 400 && told["message"] == "invalid value for verbose: foo", "{status} {told}");
    ensure!(ask(&engine, "GET", "/networks/bridge?verbose=true", Value::Null)?.0 == 200);
    let (status, told) = ask(&engine, "POST", "/networks/bridge/connect", json!({"Container": ""}))?;
    ensure!(status == 400 && told["message"] == "invalid name or ID supplied: \"\"", "{status} {told}");
    for (given, shown) in
        [(Value::Null, Value::Null), (json!({}), json!({})), (json!({"a": "b"}), json!({"a": "b"}))]
    {
        let body = json!({"Name": "app", "IPAM": {"Options": given}});
        ask(&engine, "POST", "/networks/create", body)?;
        ensure!(ask(&engine, "GET", "/networks/app", Value::Null)?.1["IPAM"]["Options"] == shown, "{given}");
        docker(&engine, "network rm app").ok();
    }
    let options = |engine: &Engine| {
        Ok::<_, anyhow::Error>(ask(engine, "GET", "/networks/bridge", Value::Null)?.1["Options"].take())
    };
    let before = options(&engine)?;
    for (name, value) in [
        ("bridge.default_bridge", "true"),
        ("bridge.enable_icc", "true"),
        ("bridge.enable_ip_masquerade", "true"),
        ("bridge.host_binding_ipv4", "0.0.0.0"),
        ("driver.mtu", "1500"),
    ] {
        ensure!(before[format!("com.docker.network.{name}")] == value, "{name}: {before}");
    }
    engine.kill()?;
    engine.launch()?;
    ensure!(options(&engine)? == before, "another engine");
    Ok(())
}
