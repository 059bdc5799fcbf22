//! The Engine API on the wire: what the command lines do not show, and SDKs rely on.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::Result;
use dhow_journeys::engine;
use dhow_testkit::Engine;
use serde_json::{Value, json};

fn create(engine: &Engine, body: &Value) -> Result<String> {
    let response = engine.connect()?.request("POST", "/v1.44/containers/create", body)?;
    assert_eq!(response.status, 201, "{}", String::from_utf8_lossy(&response.body));
    Ok(response.json()?["Id"].as_str().unwrap_or_default().to_owned())
}

/// Sends bytes, shuts the writing side once `input` is sent, and reads to the end.
fn raw(engine: &Engine, request: &str, input: &[u8]) -> Result<Vec<u8>> {
    let mut socket = UnixStream::connect(engine.socket())?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    socket.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    socket.write_all(input)?;
    socket.shutdown(Shutdown::Write)?;
    socket.read_to_end(&mut answer)?;
    Ok(answer)
}

#[test]
fn versions_are_negotiated_in_dockers_words() -> Result<()> {
    let engine = Engine::start()?;
    let mut connection = engine.connect()?;
    let ping = connection.request("GET", "/_ping", &Value::Null)?;
    assert_eq!((ping.status, ping.body.as_slice()), (200, &b"OK"[..]));
    assert_eq!((ping.header("api-version"), ping.header("ostype")), (Some("1.56"), Some("linux")));
    for (path, status, words) in [
        ("/v1.24/version", 200, "1.56"),
        ("/version", 200, "1.24"),
        ("/v1.99/info", 400, "client version 1.99 is too new. Maximum supported API version is 1.56"),
        ("/v1.23/info", 400, "client version 1.23 is too old. Minimum supported API version is 1.24"),
        ("/v1.41/no/such/page", 404, "page not found"),
        ("/v1.41/swarm", 503, "This node is not a swarm manager."),
    ] {
        let response = connection.request("GET", path, &Value::Null)?;
        let text = String::from_utf8_lossy(&response.body);
        assert!(response.status == status && text.contains(words), "{path}: {} {text}", response.status);
    }
    Ok(())
}

#[test]
fn a_field_that_is_not_served_is_refused_by_name() -> Result<()> {
    let engine = engine()?;
    for (body, refused, field) in [
        (json!({"Image": "busybox", "HostConfig": {"Cgroup": "container:x"}}), 501, "HostConfig.Cgroup"),
        (json!({"Image": "busybox", "HostConfig": {"IOMaximumIOps": 2}}), 400, "QoS maximum IOPs"),
    ] {
        let response = engine.connect()?.request("POST", "/containers/create", &body)?;
        let text = String::from_utf8_lossy(&response.body);
        assert!(response.status == refused && text.contains(field), "{} {text}", response.status);
    }
    Ok(())
}

#[test]
fn standard_input_goes_through_a_hijack_with_and_without_upgrade() -> Result<()> {
    let engine = engine()?;
    for (upgrade, status) in [
        ("Connection: Upgrade\r\nUpgrade: tcp\r\n", "HTTP/1.1 101 UPGRADED\r\n"),
        ("", "HTTP/1.1 200 OK\r\n"),
    ] {
        let body = json!({"Image": "busybox", "Cmd": ["cat"], "OpenStdin": true, "StdinOnce": true});
        let id = create(&engine, &body)?;
        engine.connect()?.request("POST", &format!("/containers/{id}/start"), &Value::Null)?;
        let request = format!(
            "POST /v1.44/containers/{id}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\n{upgrade}\r\n"
        );
        let answer = raw(&engine, &request, b"through and back")?;
        assert!(answer.starts_with(status.as_bytes()), "{}", String::from_utf8_lossy(&answer));
        assert!(answer.ends_with(b"\x01\0\0\0\0\0\0\x10through and back"), "{answer:?}");
    }
    Ok(())
}

/// A connection that is closed while the client still writes is reset, and the answer with it.
#[test]
fn an_upload_to_nowhere_gets_its_answer() -> Result<()> {
    let engine = Engine::start()?;
    let path = "/containers/nobody/archive?path=/";
    let response = engine.connect()?.request_bytes("PUT", path, "application/x-tar", &vec![0; 1 << 20])?;
    assert_eq!(
        (response.status, response.json()?["message"].as_str()),
        (404, Some("No such container: nobody"))
    );
    Ok(())
}

#[test]
fn a_client_that_goes_away_does_not_stop_the_start_that_it_asked_for() -> Result<()> {
    let engine = engine()?;
    let id = create(&engine, &json!({"Image": "busybox", "Cmd": ["sleep", "60"]}))?;
    let mut socket = UnixStream::connect(engine.socket())?;
    socket.write_all(format!("POST /containers/{id}/start HTTP/1.1\r\nHost: d\r\n\r\n").as_bytes())?;
    drop(socket);
    // The container's turn is held by that start: whoever comes next finds it done, or not begun.
    let answer = engine.connect()?.request("POST", &format!("/containers/{id}/start"), &Value::Null)?;
    assert!(matches!(answer.status, 204 | 304), "{}", answer.status);
    let shown = engine.connect()?.request("GET", &format!("/containers/{id}/json"), &Value::Null)?.json()?;
    assert_eq!(shown["State"]["Status"], "running");
    Ok(())
}

/// Sends a request, shuts the writing side behind it, and reads the answer to its end.
fn half_closed(socket: &mut (impl Read + Write), shut: impl Fn(), request: &str) -> Result<String> {
    socket.write_all(request.as_bytes())?;
    shut();
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn who_shuts_the_writing_side_behind_a_request_is_answered() -> Result<()> {
    let engine = Engine::with_busybox(&["-H", "tcp://127.0.0.1:2375", "--tls=false"])?;
    let id =
        create(&engine, &json!({"Image": "busybox", "Cmd": ["sh", "-c", "sleep 2; echo said; exit 7"]}))?;
    engine.connect()?.request("POST", &format!("/containers/{id}/start"), &Value::Null)?;
    let local = |request: &str| -> Result<String> {
        let mut socket = UnixStream::connect(engine.socket())?;
        let other = socket.try_clone()?;
        half_closed(&mut socket, || drop(other.shutdown(Shutdown::Write)), request)
    };
    for (request, words) in [
        ("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n".to_owned(), "OK"),
        // Longer than it takes until a client is looked after.
        (format!("POST /containers/{id}/wait HTTP/1.1\r\nHost: d\r\n\r\n"), "\"StatusCode\":7"),
        (format!("GET /containers/{id}/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n"), "said"),
        ("POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"Name".to_owned(), ""),
    ] {
        let answer = local(&request)?;
        let answered = answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(words);
        assert!(answered != words.is_empty(), "{request}: {answer}");
    }
    let remote = engine.in_network(|| -> Result<String> {
        let mut socket = std::net::TcpStream::connect("127.0.0.1:2375")?;
        let other = socket.try_clone()?;
        let request = format!("POST /containers/{id}/restart?t=0 HTTP/1.1\r\nHost: d\r\n\r\n");
        half_closed(&mut socket, || drop(other.shutdown(Shutdown::Write)), &request)
    })?;
    assert!(remote.starts_with("HTTP/1.1 204 No Content\r\n"), "{remote}");
    Ok(())
}

#[test]
fn a_client_that_is_gone_is_noticed_although_nothing_is_written_to_it() -> Result<()> {
    let engine = engine()?;
    let id = create(&engine, &json!({"Image": "busybox", "Cmd": ["sleep", "1000"]}))?;
    engine.connect()?.request("POST", &format!("/containers/{id}/start"), &Value::Null)?;
    let sockets = || -> Result<usize> {
        let directory = format!("/proc/{}/fd", engine.pid().unwrap_or_default());
        let names =
            std::fs::read_dir(directory)?.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        Ok(names.filter(|name| name.to_string_lossy().starts_with("socket:")).count())
    };
    let before = sockets()?;
    let clients = ["events", &format!("containers/{id}/logs?follow=1&stdout=1")].map(|path| {
        let mut socket = UnixStream::connect(engine.socket())?;
        socket.write_all(format!("GET /{path} HTTP/1.1\r\nHost: d\r\n\r\n").as_bytes())?;
        socket.shutdown(Shutdown::Write)?;
        socket.read_exact(&mut [0])?;
        anyhow::Ok(socket)
    });
    let clients = clients.into_iter().collect::<Result<Vec<_>>>()?;
    assert!(sockets()? > before);
    drop(clients);
    dhow_testkit::until("the engine let go of them", || sockets().is_ok_and(|now| now <= before))
}

#[test]
fn answers_have_the_shape_of_the_version_asked_for() -> Result<()> {
    let engine = engine()?;
    let id = create(&engine, &json!({"Image": "busybox", "Cmd": ["true"]}))?;
    let get =
        |path: String| -> Result<Value> { engine.connect()?.request("GET", &path, &Value::Null)?.json() };
    let (old, new) =
        (get(format!("/v1.41/containers/{id}/json"))?, get(format!("/v1.56/containers/{id}/json"))?);
    assert!(
        old["NetworkSettings"].get("IPAddress").is_some() && old["HostConfig"].get("KernelMemory").is_some()
    );
    assert!(
        new["NetworkSettings"].get("IPAddress").is_none() && new["HostConfig"].get("KernelMemory").is_none()
    );
    assert!(old.get("GraphDriver").is_some() && old.get("Storage").is_none());
    assert!(new.get("GraphDriver").is_none() && new.get("Storage").is_some());
    let (old, new) = (get("/v1.43/images/busybox/json".into())?, get("/v1.56/images/busybox/json".into())?);
    assert!(old.get("VirtualSize").is_some() && old.get("Container").is_some());
    assert!(new.get("VirtualSize").is_none() && new.get("Container").is_none());
    Ok(())
}

/// What is asked for wrongly is told before what is not there.
#[test]
fn logs_without_a_stream_are_refused_whatever_they_are_of() -> Result<()> {
    let engine = engine()?;
    let refused = engine.connect()?.request("GET", "/containers/nobody/logs", &Value::Null)?;
    let said = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(
        refused.status == 400 && said.contains("must specify at least one of 'stdout' or 'stderr'"),
        "{said}"
    );
    let missing = engine.connect()?.request("GET", "/containers/nobody/logs?stdout=1", &Value::Null)?;
    assert_eq!(missing.status, 404);
    Ok(())
}

/// The head of what is answered to these bytes, and its body.
fn answer_to(engine: &Engine, request: &str) -> Result<String> {
    let mut socket = UnixStream::connect(engine.socket())?;
    socket.write_all(request.as_bytes())?;
    socket.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn requests_that_no_operation_is_for_are_answered_as_go_answers_them() -> Result<()> {
    let engine = Engine::start()?;
    for (request, head, body) in [
        ("GET /_ping HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", "400 Bad Request: missing required Host header"),
        ("GET /_ping HTTP/1.1\r\nHost: a b\r\n\r\n", "HTTP/1.1 400 ", "malformed Host header"),
        ("GET /_ping HTTP/1.0\r\n\r\n", "HTTP/1.0 200 ", "OK"),
        ("OPTIONS /nowhere HTTP/1.1\r\nHost: d\r\n\r\n", "HTTP/1.1 200 ", ""),
        ("GET /containers//json?all=1 HTTP/1.1\r\nHost: d\r\n\r\n", "HTTP/1.1 301 ", ""),
        ("GET /containers/json/ HTTP/1.1\r\nHost: d\r\n\r\n", "HTTP/1.1 404 ", "page not found"),
        (
            "GET /containers/json?a=1;b HTTP/1.1\r\nHost: d\r\n\r\n",
            "HTTP/1.1 400 ",
            "invalid semicolon separator",
        ),
    ] {
        let answer = answer_to(&engine, request)?;
        assert!(answer.starts_with(head) && answer.contains(body), "{request:?}: {answer}");
    }
    let moved = answer_to(&engine, "GET /v1.41/./containers//json?all=1 HTTP/1.1\r\nHost: d\r\n\r\n")?;
    assert!(moved.contains("Location: /v1.41/containers/json?all=1\r\n"), "{moved}");
    Ok(())
}
