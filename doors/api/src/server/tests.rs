//! Real sockets, the real accept loop, and a service of the test's own.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream as Plain;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::accept::{self, Service};
use super::answer::{self, Response};
use super::body::{BlockingBody, Body};
use super::end::End;
use super::hijack::Client;
use super::socket::Listener;
use super::{problem, stream};

/// `/…/attach`: the process answers with the bytes it reads, in capitals, and says "bye" at their end.
/// `/deaf/attach`: it reads one byte, says "bye" and is gone. `/upload`: counts the bytes. `/fail`: fails after a header. `/endless`: a stream without end.
#[derive(Clone)]
struct Echo;

impl Service for Echo {
    async fn answer(&self, mut request: Request<Incoming>, end: End) -> Response {
        let path = request.uri().path().to_owned();
        let upgrade = request.extensions_mut().remove();
        let (head, body) = request.into_parts();
        match path.as_str() {
            "/upload" => {
                let mut reader = BlockingBody::new(Body::new(body));
                let count =
                    tokio::task::spawn_blocking(move || std::io::copy(&mut reader, &mut std::io::sink()));
                answer::ok(&count.await.unwrap().unwrap())
            }
            "/fail" => {
                drop(Body::new(body));
                let answer = stream::written("text/plain", |out| {
                    out.head().header(http::header::ETAG, "x".parse().unwrap()).unwrap();
                    Err(dhow_model::Error::conflict("no"))
                });
                answer.await.unwrap_or_else(|error| problem::answer(&error))
            }
            "/deaf/attach" => {
                let (mut ours, process) = UnixStream::pair().unwrap();
                tokio::spawn(async move {
                    ours.read_u8().await.unwrap();
                    ours.write_all(b"bye").await.unwrap();
                });
                let client = Client::new(&head.headers, upgrade, Some(Body::new(body)), end);
                client.join("text/plain", Bytes::from_static(b"hello "), Some(process))
            }
            "/endless" => stream::endless("text/plain", futures_util::stream::pending(), end),
            _ => {
                let (ours, process) = UnixStream::pair().unwrap();
                tokio::spawn(shout(ours));
                Client::new(&head.headers, upgrade, Some(Body::new(body)), end).join(
                    "application/vnd.docker.raw-stream",
                    Bytes::from_static(b"hello "),
                    Some(process),
                )
            }
        }
    }
}

async fn shout(mut stream: UnixStream) {
    let mut buffer = [0; 64];
    loop {
        let count = stream.read(&mut buffer).await.unwrap();
        if count == 0 {
            stream.write_all(b" bye").await.unwrap();
            return;
        }
        stream.write_all(&buffer[..count].to_ascii_uppercase()).await.unwrap();
    }
}

struct Server {
    directory: TempDir,
    end: Option<tokio::sync::oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
        let (end, ended) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(accept::serve(Echo, vec![Listener::Unix(listener)], |_| 0, async move {
            drop(ended.await)
        }));
        Self { directory, end: Some(end), task }
    }

    /// Sends `request`; when the head of the answer is there sends `input` and shuts the writing side;
    /// reads all that comes. Without input nothing is shut, which would end an ordinary exchange.
    async fn talk(&self, request: &str, input: &str) -> String {
        let (path, request, input) =
            (self.directory.path().join("socket"), request.to_owned(), input.to_owned());
        let talk = tokio::task::spawn_blocking(move || {
            let mut socket = Plain::connect(path).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            socket.write_all(request.as_bytes()).unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            if !input.is_empty() {
                socket.write_all(input.as_bytes()).unwrap();
                socket.shutdown(std::net::Shutdown::Write).unwrap();
            }
            socket.read_to_end(&mut head).unwrap();
            String::from_utf8(head).unwrap()
        });
        talk.await.unwrap()
    }
}

fn without_date(text: &str) -> String {
    text.split("\r\n").filter(|line| !line.to_lowercase().starts_with("date:")).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hijack_with_upgrade_is_switched_and_half_closed() {
    let server = Server::start();
    let request =
        "POST /containers/x/attach HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    assert_eq!(
        without_date(&server.talk(request, "input").await),
        "HTTP/1.1 101 UPGRADED\nContent-Type: application/vnd.docker.raw-stream\nConnection: Upgrade\nUpgrade: tcp\n\nhello INPUT bye",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hijack_without_upgrade_is_a_bare_200() {
    let server = Server::start();
    let request = "POST /containers/x/attach HTTP/1.1\r\nHost: d\r\n\r\n";
    assert_eq!(
        without_date(&server.talk(request, "input").await),
        "HTTP/1.1 200 OK\nContent-Type: application/vnd.docker.raw-stream\n\nhello INPUT bye",
    );
}

/// A reset would take the last words from it: the socket is closed when the client has read them.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_more_than_is_read_still_hears_the_end() {
    let server = Server::start();
    let mut socket = UnixStream::connect(server.directory.path().join("socket")).await.unwrap();
    let request = "POST /deaf/attach HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = socket.split();
    let mut text = Vec::new();
    while !text.ends_with(b"hello ") {
        text.push(reader.read_u8().await.unwrap());
    }
    for _ in 0..64 {
        writer.write_all(&[b'y'; 32 * 1024]).await.unwrap();
    }
    let mut rest = String::new();
    reader.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "bye");
    writer.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_request_on_the_connection_is_answered_as_plain_http() {
    let server = Server::start();
    let request = "POST /upload HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\nab\
                   POST /containers/x/attach HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: 5\r\n\r\ninput";
    let answer = server.talk(request, "").await;
    assert!(answer.contains("\r\n\r\n2\n"), "{answer}");
    assert!(answer.contains("hello") && answer.contains("INPUT") && answer.contains(" bye"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verb_that_fails_before_it_wrote_is_answered_with_its_status() {
    let server = Server::start();
    let answer = server.talk("GET /fail HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n", "").await;
    assert!(answer.starts_with("HTTP/1.1 409 Conflict\r\n"), "{answer}");
    assert!(answer.ends_with("{\"message\":\"no\"}\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_refused_while_it_uploads_gets_its_answer() {
    let server = Server::start();
    let body = "x".repeat(1 << 20);
    let request = format!(
        "PUT /fail HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = server.talk(&request, "").await;
    assert!(answer.starts_with("HTTP/1.1 409 Conflict\r\n"), "{answer}");
}

/// As `dial-stdio` does when the program that it serves is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_shuts_its_side_ends_endless_answers() {
    let server = Server::start();
    let answer = server.talk("GET /endless HTTP/1.1\r\nHost: d\r\n\r\n", "\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_server_ends_endless_answers() {
    let mut server = Server::start();
    let mut socket = UnixStream::connect(server.directory.path().join("socket")).await.unwrap();
    socket.write_all(b"GET /endless HTTP/1.1\r\nHost: d\r\n\r\n").await.unwrap();
    let mut head = [0; 15];
    socket.read_exact(&mut head).await.unwrap();
    server.end.take().unwrap().send(()).unwrap();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the chunked body is whole");
    server.task.await.unwrap();
}
