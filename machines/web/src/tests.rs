//! What servers do to those who ask them: each test is one of its own, on 127.0.0.1.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use dhow_model::Kind;
use dhow_model::ports::{Fetched, Web as _};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::runtime::Runtime;

use super::{HostWeb, Patience};
use crate::way::Proxies;

/// A server that gives one answer after the other, each on a connection of its own: what it was asked.
struct Server {
    address: String,
    asked: JoinHandle<Vec<String>>,
}

impl Server {
    fn answering(answers: &[&str]) -> Self {
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = std::thread::spawn(move || answers.iter().map(|text| answer(&listener, text)).collect());
        Self { address, asked }
    }
}

fn answer(listener: &TcpListener, text: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    if text.is_empty() {
        // It takes what comes, and hangs up.
        let _ = stream.read(&mut [0; 4096]);
        return String::new();
    }
    let head = read_head(&mut stream);
    stream.write_all(text.as_bytes()).unwrap();
    if text.contains("hangs") {
        // Until the client leaves.
        let _ = stream.read(&mut [0]);
    }
    head
}

fn read_head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

struct World {
    web: HostWeb,
    _runtime: Runtime,
}

fn world(proxies: Matcher, piece: Duration) -> World {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let patience = Patience { connect: Duration::from_secs(30), piece };
    let web = HostWeb { proxies: Proxies::new(proxies), patience, runtime: runtime.handle().clone() };
    World { web, _runtime: runtime }
}

fn no_proxies() -> World {
    world(Matcher::builder().build(), Duration::from_secs(30))
}

impl World {
    fn fetch(&self, url: &str) -> dhow_model::Result<Fetched> {
        self.web.fetch(url, &|_| Ok(Vec::new()), Arc::new(|| false))
    }

    fn failure(&self, url: &str) -> (Kind, String) {
        let Err(error) = self.fetch(url) else { panic!("{url} is there") };
        (error.kind(), error.report())
    }
}

fn all_of(mut fetched: Fetched) -> String {
    let mut text = String::new();
    fetched.body.read_to_string(&mut text).unwrap();
    text
}

const FOUND: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn what_is_there_is_read_to_its_end() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    let until_closed = "HTTP/1.0 200 fine\r\n\r\nhello";
    for (answer, length) in [(FOUND, Some(5)), (chunks, None), (until_closed, None)] {
        let (world, server) = (no_proxies(), Server::answering(&[answer]));
        let fetched = world.fetch(&format!("http://me:secret@{}/a b?c", server.address)).unwrap();
        assert_eq!(fetched.length, length);
        assert_eq!(all_of(fetched), "hello");
        let asked = server.asked.join().unwrap().concat().to_lowercase();
        assert!(asked.starts_with("get /a%20b?c http/1.1\r\n"), "{asked}");
        assert!(asked.contains("authorization: basic bwu6c2vjcmv0"), "{asked}");
        assert!(asked.contains(&format!("host: {}\r\n", server.address)), "{asked}");
    }
}

#[test]
fn what_has_moved_is_found_and_what_moves_for_ever_is_not() {
    let moved = "HTTP/1.1 302 Found\r\nLocation: next?x\r\nContent-Length: 0\r\n\r\n";
    let (world, server) = (no_proxies(), Server::answering(&[moved, FOUND]));
    assert_eq!(all_of(world.fetch(&format!("http://{}/a/b", server.address)).unwrap()), "hello");
    assert!(server.asked.join().unwrap()[1].starts_with("GET /a/next?x "));
    let server = Server::answering(&[moved; 10]);
    let (kind, words) = world.failure(&format!("http://{}/a", server.address));
    assert_eq!(kind, Kind::Internal);
    assert_eq!(words, format!("Get \"http://{}/next?x\": stopped after 10 redirects", server.address));
}

#[test]
fn refusals_are_told_with_what_the_server_says() {
    let world = no_proxies();
    for (status, kind) in [
        ("404 Not Found", Kind::NotFound),
        ("400 Bad Request", Kind::InvalidArgument),
        ("401 Who", Kind::Unauthorized),
        ("403 Forbidden", Kind::Forbidden),
        ("503 Later", Kind::Internal),
    ] {
        let server = Server::answering(&[&format!("HTTP/1.1 {status}\r\nContent-Length: 6\r\n\r\n why \n")]);
        let url = format!("http://{}/a", server.address);
        assert_eq!(world.failure(&url), (kind, format!("failed to GET {url} with status {status}: why")));
    }
}

#[test]
fn what_is_not_reached_is_told_in_gos_words() {
    let world = no_proxies();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap().to_string();
    drop(listener);
    let silent = Server::answering(&["", ""]).address;
    for (url, kind, words) in [
        (
            format!("http://{closed}/"),
            Kind::Internal,
            format!("dial tcp {closed}: connect: connection refused"),
        ),
        ("http://dhow.invalid/".into(), Kind::NotFound, "dial tcp: lookup dhow.invalid: no such host".into()),
        ("ftp://a/b".into(), Kind::Internal, "unsupported protocol scheme \"ftp\"".into()),
        (format!("http://{silent}/"), Kind::Internal, "EOF".into()),
        (format!("https://{silent}/"), Kind::Internal, "EOF".into()),
    ] {
        assert_eq!(world.failure(&url), (kind, format!("Get \"{url}\": {words}")));
    }
}

#[test]
fn a_server_that_stops_half_way_is_no_end_of_the_file() {
    let world = world(Matcher::builder().build(), Duration::from_millis(300));
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhe";
    for (answer, words) in [
        (head.to_owned(), "unexpected EOF"),
        (format!("{head}hangs"), "nothing came from the server within 300ms"),
    ] {
        let server = Server::answering(&[&answer]);
        let mut fetched = world.fetch(&format!("http://{}/", server.address)).unwrap();
        let failure = fetched.body.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(failure.to_string(), words);
    }
}

#[test]
fn nobody_waits_for_a_server_once_the_client_is_gone() {
    let world = no_proxies();
    let server = Server::answering(&["HTTP/1.1 200 OK\r\nX: hangs\r\n"]);
    let url = format!("http://{}/", server.address);
    let Err(error) = world.web.fetch(&url, &|_| Ok(Vec::new()), Arc::new(|| true)) else { panic!() };
    assert_eq!(error.report(), format!("Get \"{url}\": context canceled"));
    // Its connection is closed.
    server.asked.join().unwrap();
    let server = Server::answering(&["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhangs"]);
    let left = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&left);
    let gone = Arc::new(move || seen.load(Ordering::Relaxed));
    let url = format!("http://{}/", server.address);
    let mut fetched = world.web.fetch(&url, &|_| Ok(Vec::new()), gone).unwrap();
    left.store(true, Ordering::Relaxed);
    assert!(fetched.body.read_to_end(&mut Vec::new()).is_err());
    drop(fetched);
    server.asked.join().unwrap();
}

#[test]
fn proxies_are_asked_for_what_is_not_on_this_machine() {
    let denied = "HTTP/1.1 403 Go away\r\n\r\n";
    let proxy = Server::answering(&[FOUND, denied]);
    let address = format!("http://me:secret@{}", proxy.address);
    let matcher = Matcher::builder().all(address).no("spared.invalid").build();
    let world = world(matcher, Duration::from_secs(30));
    assert_eq!(all_of(world.fetch("http://far.invalid/a").unwrap()), "hello");
    let (_, words) = world.failure("https://far.invalid/a");
    assert_eq!(words, "Get \"https://far.invalid/a\": Go away");
    let (kind, words) = world.failure("https://spared.invalid/a");
    assert_eq!((kind, words.contains("lookup spared.invalid")), (Kind::NotFound, true));
    let here = Server::answering(&[FOUND]);
    assert_eq!(all_of(world.fetch(&format!("http://{}/", here.address)).unwrap()), "hello");
    let asked = proxy.asked.join().unwrap();
    assert!(asked[0].starts_with("GET http://far.invalid/a HTTP/1.1\r\n"), "{asked:?}");
    assert!(asked[1].starts_with("CONNECT far.invalid:443 HTTP/1.1\r\n"), "{asked:?}");
    for head in asked {
        assert!(head.to_lowercase().contains("proxy-authorization: basic bwu6c2vjcmv0\r\n"), "{head}");
    }
}
