//! The client against a server that answers by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::{Client, Endpoint, Error, Request};

/// A server; what it is asked comes out of the channel.
struct Server {
    client: Client,
    asked: Receiver<String>,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(answer: fn(&str) -> String) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let (sender, asked) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                thread::spawn(move || serve(stream, answer, &sender));
            }
        });
        Server { client: Client::new(Endpoint::unix(socket), None), asked, _folder: folder }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.try_iter().collect()
    }
}

fn serve(stream: UnixStream, answer: fn(&str) -> String, asked: &Sender<String>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let mut chunked = false;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            chunked |= header.contains("chunked");
            if header.trim().is_empty() {
                break;
            }
        }
        let mut body = String::new();
        while chunked && !body.ends_with("0\r\n\r\n") {
            let mut byte = [0];
            reader.read_exact(&mut byte).ok()?;
            body.push(char::from(byte[0]));
        }
        let target = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
        let text = answer(&target);
        asked.send(format!("{target} {}", body.replace("\r\n", "|")).trim().to_owned()).ok()?;
        reader.get_mut().write_all(text.as_bytes()).ok()?;
        if text.contains("Connection: close") {
            return None;
        }
    }
}

fn with_length(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn an_engine_that_finds_the_version_too_new_is_asked_again_without_one() {
    let server = Server::start(|target| match target.contains("/v1.50/") {
        true => with_length(
            "400 Bad Request",
            r#"{"message":"client version 1.50 is too new. Maximum supported API version is 1.41"}"#,
        ),
        false => with_length("200 OK", "[]"),
    });
    let ask = || server.client.send(Request::get(&["images", "json"])).unwrap().json::<Vec<u8>>().unwrap();
    assert!(ask().is_empty());
    assert!(ask().is_empty());
    assert_eq!(server.asked(), ["GET /v1.50/images/json", "GET /images/json", "GET /images/json"]);
}

#[test]
fn before_an_upload_the_version_is_found_out() {
    let server = Server::start(|_| with_length("200 OK", "{}"));
    let upload = || {
        let mut bytes = &b"layer"[..];
        server.client.send(Request::post(&["images", "load"]).stream(&mut bytes)).unwrap().bytes().unwrap()
    };
    upload();
    upload();
    let expected =
        ["GET /v1.50/_ping", "POST /v1.50/images/load 5|layer|0||", "POST /v1.50/images/load 5|layer|0||"];
    assert_eq!(server.asked(), expected);
}

#[test]
fn bodies_end_where_they_say_and_connections_are_used_again() {
    let server = Server::start(|target| {
        match target {
        path if path.ends_with("/chunked") => {
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\n[1, \r\n2\r\n2]\r\n0\r\nTrailer: x\r\n\r\n".to_owned()
        }
        path if path.ends_with("/closing") => "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[3]".to_owned(),
        path if path.ends_with("/none") => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        _ => with_length("200 OK", "[4]"),
    }
    });
    let ask = |path| server.client.send(Request::get(&[path])).unwrap().json::<Vec<u8>>();
    assert_eq!(ask("chunked").unwrap(), [1, 2]);
    assert_eq!(ask("counted").unwrap(), [4]);
    assert_eq!(ask("closing").unwrap(), [3]);
    assert_eq!(ask("counted").unwrap(), [4]);
    assert!(server.client.send(Request::get(&["none"])).unwrap().bytes().unwrap().is_empty());
}

#[test]
fn the_engine_s_words_are_passed_on() {
    let server = Server::start(|target| match target {
        path if path.ends_with("/json") => {
            with_length("404 Not Found", r#"{"message":"No such container: x"}"#)
        }
        path if path.ends_with("/text") => with_length("500 Internal Server Error", "plain words\n"),
        path if path.ends_with("/empty") => with_length("503 Service Unavailable", ""),
        path if path.ends_with("/cut") => {
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n[1".to_owned()
        }
        path if path.ends_with("/silent") => "Connection: close".to_owned(),
        _ => "HTTP/1.1 200 OK\r\nConnection: close\r\n".to_owned(),
    });
    let words = |path| match server.client.send(Request::get(&[path])) {
        Err(error) => error.to_string(),
        Ok(response) => response.bytes().unwrap_err().to_string(),
    };
    assert_eq!(words("json"), "Error response from daemon: No such container: x");
    assert_eq!(words("text"), "Error response from daemon: plain words");
    assert_eq!(words("empty"), "Error response from daemon: the engine answered with status 503");
    assert!(words("cut").starts_with("error during connect: reading the engine's answer"));
    assert!(words("half").starts_with("error during connect: reading the engine's answer"));
    assert!(
        words("silent").contains("unexpected answer from the engine") || words("silent").contains("reading")
    );
    let missing = Client::new(Endpoint::unix("/nonexistent/socket"), None);
    let error = missing.send(Request::get(&["info"])).unwrap_err();
    let expected =
        "Cannot connect to the Docker daemon at unix:///nonexistent/socket. Is the docker daemon running?";
    assert!(matches!(error, Error::NotListening { .. }) && error.to_string() == expected);
}
