//! Clients of every kind on one socket: patient, hasty, slow, silent and gone.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::Result;
use dhow_testkit::Engine;
use dhow_testkit::process;
use serde_json::Value;

fn socket(engine: &Engine) -> Result<UnixStream> {
    let socket = UnixStream::connect(engine.socket())?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(socket)
}

#[test]
fn a_ping_tells_what_clients_ask_first() -> Result<()> {
    let engine = Engine::start()?;
    let mut connection = engine.connect()?;
    for (method, path, body) in [
        ("GET", "/_ping", "OK"),
        ("HEAD", "/_ping", ""),
        ("GET", "/v1.24/_ping", "OK"),
        ("HEAD", "/v1.56/_ping", ""),
    ] {
        let ping = connection.request(method, path, &Value::Null)?;
        assert_eq!((ping.status, ping.body.as_slice()), (200, body.as_bytes()), "{method} {path}");
        for (name, value) in [
            ("api-version", "1.56"),
            ("builder-version", "2"),
            ("docker-experimental", "false"),
            ("ostype", "linux"),
            ("swarm", "inactive"),
            ("cache-control", "no-cache, no-store, must-revalidate"),
            ("pragma", "no-cache"),
        ] {
            assert_eq!(ping.header(name), Some(value), "{method} {path}: {name}");
        }
        assert!(ping.header("server").is_some_and(|server| server.starts_with("Dhow/")));
    }
    Ok(())
}

#[test]
fn requests_that_are_sent_at_once_are_answered_in_their_order() -> Result<()> {
    let engine = Engine::start()?;
    let mut stream = socket(&engine)?;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: d\r\n\r\n");
    let all = [get("/_ping"), get("/v1.44/containers/none/json"), get("/_ping"), get("/version")].concat();
    stream.write_all(all.as_bytes())?;
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let heads: Vec<&str> = text.lines().filter(|line| line.contains("HTTP/1.1 ")).collect();
    let statuses: Vec<&str> = heads.iter().filter_map(|line| line.rsplit("HTTP/1.1 ").next()).collect();
    assert_eq!(statuses, ["200 OK", "404 Not Found", "200 OK", "200 OK", "200 OK"]);
    Ok(())
}

#[test]
fn clients_that_say_nothing_or_little_or_vanish_hold_nobody_up() -> Result<()> {
    let engine = Engine::start()?;
    let mut kept = Vec::new();
    for number in 0..300 {
        let mut stream = socket(&engine)?;
        match number % 4 {
            0 => {}
            1 => stream.write_all(b"GET /_ping HT")?,
            2 => stream
                .write_all(b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 99\r\n\r\n{")?,
            _ => {
                stream.write_all(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")?;
                continue;
            }
        }
        kept.push(stream);
    }
    let ping = engine.connect()?.request("GET", "/_ping", &Value::Null)?;
    assert_eq!(ping.status, 200);
    // The half request is finished after all, and answered.
    let mut slow = kept.swap_remove(1);
    slow.write_all(b"TP/1.1\r\nHost: d\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(slow).read_line(&mut line)?;
    assert_eq!(line, "HTTP/1.1 200 OK\r\n");
    Ok(())
}

#[test]
fn what_is_too_large_is_refused_and_the_engine_stays() -> Result<()> {
    let engine = Engine::start()?;
    let long = "x".repeat(1 << 20);
    for (request, statuses) in [
        (format!("GET /_ping HTTP/1.1\r\nHost: d\r\nX-Long: {long}\r\n\r\n"), ["431", "400"]),
        (format!("GET /{long} HTTP/1.1\r\nHost: d\r\n\r\n"), ["414", "431"]),
        ("x".repeat(1 << 20), ["400", "431"]),
        (
            format!(
                "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{}",
                5 << 20,
                "[".repeat(5 << 20)
            ),
            ["400", "413"],
        ),
    ] {
        let mut stream = socket(&engine)?;
        // The answer may come before all was sent.
        let _ = stream.write_all(request.as_bytes());
        let mut head = [0; 12];
        if stream.read_exact(&mut head).is_ok() {
            let head = String::from_utf8_lossy(&head).into_owned();
            assert!(statuses.iter().any(|status| head.ends_with(status)), "{head} to {:.40}", request);
        }
    }
    let many = (0..2000).map(|number| format!("X-{number}: y\r\n")).collect::<String>();
    let mut stream = socket(&engine)?;
    stream.write_all(format!("GET /_ping HTTP/1.1\r\nHost: d\r\n{many}\r\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    assert!(line.starts_with("HTTP/1.1 4"), "{line}");
    assert_eq!(engine.connect()?.request("GET", "/_ping", &Value::Null)?.status, 200);
    Ok(())
}

#[test]
fn http_2_without_tls_is_spoken_at_once() -> Result<()> {
    let engine = Engine::start()?;
    let path = engine.socket().display().to_string();
    let version =
        ["-s", "--http2-prior-knowledge", "--unix-socket", &path, "-w", " %{http_version}", "http://d/_ping"];
    let answer = process::answer(std::process::Command::new("curl").args(version), b"")?;
    assert_eq!(answer.ok(), "OK 2");
    Ok(())
}
