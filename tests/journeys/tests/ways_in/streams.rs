//! Connections that stop being HTTP: the three ways of a hijack, and WebSocket.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use dhow_journeys::engine;
use dhow_testkit::{Engine, process};
use serde_json::{Value, json};

/// A container that runs `script`, with its input open.
fn run(engine: &Engine, script: &str, terminal: bool) -> Result<String> {
    let body = json!({
        "Image": "busybox", "Cmd": ["sh", "-c", script], "OpenStdin": true, "StdinOnce": true, "Tty": terminal,
    });
    let mut connection = engine.connect()?;
    let created = connection.request("POST", "/containers/create", &body)?.json()?;
    let id = created["Id"].as_str().unwrap_or_default().to_owned();
    let started = connection.request("POST", &format!("/containers/{id}/start"), &Value::Null)?;
    ensure!(started.status == 204, "{}", String::from_utf8_lossy(&started.body));
    Ok(id)
}

fn head(stream: &mut UnixStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head)?)
}

fn open(engine: &Engine, request: &str) -> Result<(UnixStream, String)> {
    let mut stream = UnixStream::connect(engine.socket())?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(request.as_bytes())?;
    let head = head(&mut stream)?;
    Ok((stream, head))
}

#[test]
fn an_attached_stream_is_had_by_upgrade_bare_and_over_http_2() -> Result<()> {
    let engine = engine()?;
    let target = |id: &str| format!("/containers/{id}/attach?stream=1&stdin=1&stdout=1");
    for (upgrade, status) in [
        ("Connection: Upgrade\r\nUpgrade: tcp\r\n", "HTTP/1.1 101 UPGRADED\r\n"),
        ("", "HTTP/1.1 200 OK\r\n"),
    ] {
        let id = run(&engine, "cat", false)?;
        let request = format!("POST {} HTTP/1.1\r\nHost: d\r\n{upgrade}\r\n", target(&id));
        let (mut stream, head) = open(&engine, &request)?;
        assert!(head.starts_with(status), "{head}");
        stream.write_all(b"through and back")?;
        stream.shutdown(Shutdown::Write)?;
        let mut output = Vec::new();
        stream.read_to_end(&mut output)?;
        assert_eq!(output, b"\x01\0\0\0\0\0\0\x10through and back");
    }
    let id = run(&engine, "cat", false)?;
    let (socket, url) = (engine.socket().display().to_string(), format!("http://d{}", target(&id)));
    let mut curl = Command::new("curl");
    curl.args([
        "-s",
        "--http2-prior-knowledge",
        "--unix-socket",
        &socket,
        "-X",
        "POST",
        "--data-binary",
        "@-",
        &url,
    ]);
    let answer = process::answer(&mut curl, b"through and back")?;
    assert_eq!(answer.stdout, "\u{1}\0\0\0\0\0\0\u{10}through and back");
    Ok(())
}

/// A WebSocket as RFC 6455 has it, and nothing more.
struct WebSocket(UnixStream);

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

impl WebSocket {
    fn open(engine: &Engine, path: &str) -> Result<Self> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        let (stream, head) = open(engine, &request)?;
        ensure!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        ensure!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        Ok(Self(stream))
    }

    fn send(&mut self, kind: u8, bytes: &[u8]) -> Result<()> {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![0x80 | kind, 0x80 | u8::try_from(bytes.len())?];
        frame.extend_from_slice(&mask);
        frame.extend(bytes.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        Ok(self.0.write_all(&frame)?)
    }

    fn receive(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head)?;
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length)?;
                usize::from(u16::from_be_bytes(length))
            }
            127 => bail!("a message this long was not expected"),
            short => usize::from(short),
        };
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes)?;
        Ok((head[0] & 0x0f, bytes))
    }

    /// What comes until the other side closes: the kind of the messages, and all of them joined.
    fn receive_all(&mut self) -> Result<(u8, String)> {
        let (mut text, mut seen) = (Vec::new(), 0);
        loop {
            match self.receive()? {
                (CLOSE, _) => return Ok((seen, String::from_utf8(text)?)),
                (kind, bytes) => {
                    seen = kind;
                    text.extend_from_slice(&bytes);
                }
            }
        }
    }
}

#[test]
fn a_websocket_carries_input_and_output() -> Result<()> {
    let engine = engine()?;
    for (version, kind) in [("/v1.24", TEXT), ("/v1.41", BINARY), ("", BINARY)] {
        let id = run(&engine, "read line; echo got $line; echo and this >&2", false)?;
        let streams = "?stream=1&stdin=1&stdout=1&stderr=1";
        let mut socket = WebSocket::open(&engine, &format!("{version}/containers/{id}/attach/ws{streams}"))?;
        socket.send(PING, b"there?")?;
        assert_eq!(socket.receive()?, (PONG, b"there?".to_vec()));
        socket.send(BINARY, b"some ")?;
        socket.send(TEXT, b"words\n")?;
        let (seen, text) = socket.receive_all()?;
        // Two streams have no order between them.
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!((seen, lines), (kind, vec!["and this", "got some words"]), "{version}");
    }
    Ok(())
}

#[test]
fn a_websocket_has_the_log_so_far_and_the_streams_that_were_asked_for() -> Result<()> {
    let engine = engine()?;
    let id = run(&engine, "echo out; echo err >&2", false)?;
    engine.connect()?.request("POST", &format!("/containers/{id}/wait"), &Value::Null)?;
    for (streams, text) in [("stdout=1", "out\n"), ("stderr=1", "err\n"), ("stdout=1&stderr=1", "out\nerr\n")]
    {
        let path = format!("/containers/{id}/attach/ws?logs=1&{streams}");
        let (_, shown) = WebSocket::open(&engine, &path)?.receive_all()?;
        let mut lines: Vec<&str> = shown.lines().collect();
        lines.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(lines, text.lines().collect::<Vec<_>>(), "{streams}");
    }
    Ok(())
}

#[test]
fn keys_and_a_close_leave_a_container_running() -> Result<()> {
    let engine = engine()?;
    let running = |id: &str| engine.inspect(id, "{{.State.Running}}") == "true";
    let id = run(&engine, "cat", true)?;
    let path = format!("/containers/{id}/attach/ws?stream=1&stdin=1&stdout=1&detachKeys=ctrl-a,d");
    let mut socket = WebSocket::open(&engine, &path)?;
    socket.send(BINARY, b"hi\n")?;
    while !socket.receive()?.1.ends_with(b"hi\r\n") {}
    socket.send(BINARY, b"\x01d")?;
    socket.receive_all()?;
    assert!(running(&id));
    detach_from_exec(&engine, &id)?;
    let told = ["events", "--since", "1", "--until=-1s", "--format", "{{.Action}}"];
    let told =
        engine.docker(&[&told[..], &["--filter", "event=detach", "--filter", "event=exec_detach"]].concat());
    assert_eq!(told.ok(), "detach\nexec_detach");
    let mut socket = WebSocket::open(&engine, &path)?;
    socket.send(CLOSE, b"")?;
    socket.receive_all()?;
    assert!(running(&id));
    Ok(())
}

/// A terminal of an exec that is left by its keys, over a connection that was taken over.
fn detach_from_exec(engine: &Engine, id: &str) -> Result<()> {
    let body = json!({ "Cmd": ["cat"], "Tty": true, "AttachStdin": true, "AttachStdout": true,
                       "DetachKeys": "ctrl-a,d" });
    let made = engine.connect()?.request("POST", &format!("/containers/{id}/exec"), &body)?.json()?;
    let start = json!({ "Tty": true }).to_string();
    let request = format!(
        "POST /exec/{}/start HTTP/1.1\r\nHost: d\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{start}",
        made["Id"].as_str().unwrap_or_default(),
        start.len()
    );
    let (mut stream, head) = open(engine, &request)?;
    ensure!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream.write_all(b"\x01d")?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

#[test]
fn what_is_no_websocket_is_answered_as_http() -> Result<()> {
    let engine = engine()?;
    let id = run(&engine, "cat", false)?;
    let mut connection = engine.connect()?;
    let plain = connection.request("GET", &format!("/containers/{id}/attach/ws"), &Value::Null)?;
    assert_eq!(plain.status, 400);
    let request = "GET /containers/nobody/attach/ws HTTP/1.1\r\nHost: d\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Sec-WebSocket-Version: 13\r\n\r\n";
    let (_, head) = open(&engine, request)?;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    Ok(())
}
