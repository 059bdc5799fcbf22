//! Every version of the Engine API from 1.24 to 1.56: the same life of a container in each, and what an
//! answer has in some of them only.

use anyhow::Result;
use dhow_conformance::engine;
use dhow_testkit::Engine;
use dhow_testkit::http::Response;
use serde_json::{Value, json};

const VERSIONS: std::ops::RangeInclusive<u32> = 24..=56;

fn ask(engine: &Engine, minor: u32, method: &str, path: &str, body: &Value) -> Result<Response> {
    engine.connect()?.request(method, &format!("/v1.{minor}{path}"), body)
}

#[test]
fn a_container_lives_in_every_version() -> Result<()> {
    let engine = engine()?;
    for minor in VERSIONS {
        let call = |method: &str, path: &str, body: &Value, status: u16| -> Result<Value> {
            let response = ask(&engine, minor, method, path, body)?;
            let text = String::from_utf8_lossy(&response.body);
            assert_eq!(response.status, status, "1.{minor} {method} {path}: {text}");
            Ok(serde_json::from_slice(&response.body).unwrap_or_default())
        };
        let body = json!({
            "Image": "busybox", "Cmd": ["sh", "-c", "echo word; exit 3"],
            "HostConfig": {"NetworkMode": "none", "Annotations": {"a": "b"}},
        });
        let id =
            call("POST", "/containers/create", &body, 201)?["Id"].as_str().unwrap_or_default().to_owned();
        call("POST", &format!("/containers/{id}/start"), &Value::Null, 204)?;
        let ended = call("POST", &format!("/containers/{id}/wait"), &Value::Null, 200)?;
        assert_eq!(ended["StatusCode"], 3, "1.{minor}");
        let shown = call("GET", &format!("/containers/{id}/json"), &Value::Null, 200)?;
        assert_eq!(shown["State"]["ExitCode"], 3, "1.{minor}");
        assert_eq!(shown["HostConfig"].get("Annotations").is_some(), minor >= 43, "1.{minor}");
        let listed = call("GET", "/containers/json?all=1", &Value::Null, 200)?;
        assert_eq!(listed[0]["Id"], id, "1.{minor}");
        assert_eq!(listed[0]["HostConfig"].get("Annotations").is_some(), minor >= 46, "1.{minor}");
        for path in ["/info", "/version", "/images/json", "/system/df", "/volumes", "/networks"] {
            call("GET", path, &Value::Null, 200)?;
        }
        call("DELETE", &format!("/containers/{id}"), &Value::Null, 204)?;
    }
    Ok(())
}

#[test]
fn what_an_answer_has_depends_on_the_version() -> Result<()> {
    let engine = engine()?;
    let body = json!({"Image": "busybox", "HostConfig": {"NetworkMode": "none"}});
    let created = ask(&engine, 44, "POST", "/containers/create?name=one", &body)?;
    assert_eq!(created.status, 201);
    // The member is there from the first version to the last.
    for (path, member, first, last) in [
        ("/containers/one/json", "/GraphDriver", 24, 51),
        ("/containers/one/json", "/Storage", 52, 56),
        ("/containers/one/json", "/HostConfig/KernelMemory", 24, 41),
        ("/containers/one/json", "/NetworkSettings/IPAddress", 24, 51),
        ("/containers/one/json", "/NetworkSettings/Networks/none/GwPriority", 48, 56),
        ("/containers/json?all=1", "/0/Health", 52, 56),
        ("/images/json", "/0/VirtualSize", 24, 43),
        ("/images/busybox/json", "/VirtualSize", 24, 43),
        ("/images/busybox/json", "/Container", 24, 44),
        // Beyond Docker's last: docker-compose 1.29 reads it in every version.
        ("/images/busybox/json", "/ContainerConfig", 24, 56),
        ("/images/busybox/json", "/Config/Hostname", 24, 49),
        ("/images/busybox/json", "/DockerVersion", 24, 51),
    ] {
        for minor in VERSIONS {
            let shown = ask(&engine, minor, "GET", path, &Value::Null)?.json()?;
            let expected = (first..=last).contains(&minor);
            assert_eq!(shown.pointer(member).is_some(), expected, "1.{minor} {path} {member}: {shown}");
        }
    }
    Ok(())
}

#[test]
fn what_a_request_means_depends_on_the_version() -> Result<()> {
    let engine = engine()?;
    let create = |minor: u32, host_config: Value| {
        let body = json!({"Image": "busybox", "HostConfig": host_config});
        ask(&engine, minor, "POST", "/containers/create", &body)
    };
    let volume = json!({"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/x", "VolumeOptions": {"NoCopy": true}}]});
    for (minor, status) in [(41, 201), (42, 400), (56, 400)] {
        assert_eq!(create(minor, volume.clone())?.status, status, "1.{minor}");
    }
    let subpath = json!({"Mounts": [{"Type": "volume", "Source": "vol", "Target": "/x", "VolumeOptions": {"Subpath": "a"}}]});
    assert_eq!(create(44, subpath)?.status, 400);
    let shared = create(39, json!({}))?.json()?;
    let shown = ask(
        &engine,
        39,
        "GET",
        &format!("/containers/{}/json", shared["Id"].as_str().unwrap_or("")),
        &Value::Null,
    )?;
    assert_eq!(shown.json()?["HostConfig"]["IpcMode"], "shareable");
    // 1.30 brought conditions: an older client's word is none.
    let id = shared["Id"].as_str().unwrap_or("").to_owned();
    for (minor, status) in [(29, 200), (30, 400)] {
        let path = format!("/containers/{id}/wait?condition=bogus");
        assert_eq!(ask(&engine, minor, "POST", &path, &Value::Null)?.status, status, "1.{minor}");
    }
    Ok(())
}
