//! Questions about what is not ours, sent on to upstream servers as they came, and their answers, handed back as they
//! came.
//!
//! Each question has a socket of its own: the kernel gives it a port at random and lets nobody but the asked server
//! answer. Only the number of the question is another one, at random too.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::base::iana::Rcode;
use domain::base::{Header, Message};
use rustix::net::{AddressFamily, SocketType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::timeout;

use super::listeners::ADDRESS;
use super::question::{Question, is_answer};
use super::sockets::Sockets;

/// How long one server is waited for, as with Docker.
const PATIENCE: Duration = Duration::from_secs(4);
/// A datagram may get lost: it is sent again.
const AGAIN: Duration = Duration::from_millis(1500);
/// A server that answered none of so many questions in turn is asked after the others, for so long. One alone may
/// be lost, and the others may know another world: that of a VPN comes first.
const LOST: u32 = 3;
const SULK: Duration = Duration::from_secs(10);
const SILENT: usize = 16;
const PORT: u16 = 53;
/// What every way in the world carries in one piece; servers cut longer answers off by themselves.
const COMMON_SIZE: u16 = 1232;

/// By what a question came, and so by what it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Datagram,
    Stream,
}

/// Servers in their order, and the namespace from which they are asked: the host's without.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) servers: Arc<[SocketAddr]>,
    pub(super) namespace: Option<Arc<OwnedFd>>,
}

/// Those that did not answer, how often in turn, and when that was last.
#[derive(Debug, Default)]
pub(super) struct Silent(Mutex<Vec<(SocketAddr, u32, Instant)>>);

impl Route {
    /// The servers that were given for a container. It cannot ask itself by way of us.
    pub(super) fn given(addresses: &[IpAddr], namespace: &Arc<OwnedFd>) -> Self {
        let others = addresses.iter().filter(|address| **address != ADDRESS);
        let servers = others.map(|address| SocketAddr::from((*address, PORT))).collect();
        Self { servers, namespace: Some(Arc::clone(namespace)) }
    }

    /// The first answer that is one; none when nobody has one.
    pub(super) async fn ask(
        &self,
        sockets: &Sockets,
        silent: &Silent,
        question: &Question<'_>,
        way: Way,
    ) -> Option<Vec<u8>> {
        for server in silent.last(&self.servers) {
            let asked = timeout(PATIENCE, self.exchange(sockets, server, question, way)).await;
            if asked.is_ok() {
                silent.forget(server);
            }
            match asked {
                Ok(Ok(answer)) if is_final(&answer) => return Some(restored(answer, question)),
                Ok(Ok(_)) => tracing::debug!("the name server {server} cannot tell"),
                Ok(Err(error)) => tracing::debug!("the name server {server} cannot be asked: {error}"),
                Err(_) => silent.note(server),
            }
        }
        None
    }

    async fn exchange(
        &self,
        sockets: &Sockets,
        server: SocketAddr,
        question: &Question<'_>,
        way: Way,
    ) -> io::Result<Vec<u8>> {
        let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        if way == Way::Datagram {
            let socket = sockets.make(self.namespace.as_ref(), (family, SocketType::DGRAM)).await?;
            let answer = by_datagram(socket, server, question).await?;
            // Where the program takes more than the server dares to send, we can get it.
            if !is_cut(&answer) || question.size <= COMMON_SIZE {
                return Ok(answer);
            }
            let socket = sockets.make(self.namespace.as_ref(), (family, SocketType::STREAM)).await?;
            let whole = by_stream(socket, server, question).await;
            return Ok(whole.ok().filter(|whole| whole.len() <= question.size.into()).unwrap_or(answer));
        }
        let socket = sockets.make(self.namespace.as_ref(), (family, SocketType::STREAM)).await?;
        by_stream(socket, server, question).await
    }
}

impl Silent {
    /// The same servers, those last that lately were silent.
    fn last(&self, servers: &[SocketAddr]) -> Vec<SocketAddr> {
        let mut silent = self.lock();
        silent.retain(|(_, _, last)| last.elapsed() < SULK);
        let mut all = servers.to_vec();
        all.sort_by_key(|server| silent.iter().any(|(other, times, _)| other == server && *times >= LOST));
        all
    }

    fn note(&self, server: SocketAddr) {
        tracing::debug!("the name server {server} does not answer");
        let mut silent = self.lock();
        let before = silent.iter().find(|(other, ..)| *other == server).map_or(0, |(_, times, _)| *times);
        silent.retain(|(other, ..)| *other != server);
        if silent.len() < SILENT {
            silent.push((server, before.saturating_add(1), Instant::now()));
        }
    }

    fn forget(&self, server: SocketAddr) {
        self.lock().retain(|(other, ..)| *other != server);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(SocketAddr, u32, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn by_datagram(socket: OwnedFd, server: SocketAddr, question: &Question<'_>) -> io::Result<Vec<u8>> {
    rustix::net::connect(&socket, &server)?;
    let socket = UdpSocket::from_std(socket.into())?;
    let (bytes, id) = renumbered(question);
    socket.send(&bytes).await?;
    loop {
        match timeout(AGAIN, socket.ready(Interest::READABLE | Interest::ERROR)).await {
            Ok(ready) => {
                if ready?.is_error() {
                    refused(&socket)?;
                }
            }
            Err(_) => drop(socket.send(&bytes).await?),
        }
        match received(&socket) {
            Ok(answer) if is_answer(&answer, question, id) => return Ok(answer),
            // Somebody guesses, or the kernel was wrong.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// That nobody listens there is said by no packet that could be read.
fn refused(socket: &UdpSocket) -> io::Result<()> {
    // It is not waited for again.
    let _ = socket.try_io(Interest::ERROR, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    socket.take_error()?.map_or(Ok(()), Err)
}

/// Takes one packet, of any size: memory is needed while it is here, not while it is waited for.
fn received(socket: &UdpSocket) -> io::Result<Vec<u8>> {
    let mut buffer = [0; u16::MAX as usize];
    let length = socket.try_recv(&mut buffer)?;
    Ok(buffer[..length].to_vec())
}

async fn by_stream(socket: OwnedFd, server: SocketAddr, question: &Question<'_>) -> io::Result<Vec<u8>> {
    let socket = TcpSocket::from_std_stream(socket.into());
    let mut stream = socket.connect(server).await?;
    let (bytes, id) = renumbered(question);
    stream.write_all(&framed(&bytes)).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    if is_answer(&answer, question, id) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// A message as a stream carries it (RFC 1035, 4.2.2).
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let message = message.get(..u16::MAX.into()).unwrap_or(message);
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), message].concat()
}

fn renumbered(question: &Question<'_>) -> (Vec<u8>, u16) {
    let id = rand::random();
    let mut bytes = question.bytes().to_vec();
    header(&mut bytes).set_id(id);
    (bytes, id)
}

/// The answer, under the number by which the program knows its question.
fn restored(mut answer: Vec<u8>, question: &Question<'_>) -> Vec<u8> {
    header(&mut answer).set_id(question.message.header().id());
    answer
}

/// Of a message that was read: it is there.
fn header(message: &mut [u8]) -> &mut Header {
    Header::for_message_slice_mut(message)
}

fn is_cut(answer: &[u8]) -> bool {
    read_header(answer).is_some_and(|header| header.tc())
}

/// Others may know better than one who fails or refuses.
fn is_final(answer: &[u8]) -> bool {
    read_header(answer).is_some_and(|header| ![Rcode::SERVFAIL, Rcode::REFUSED].contains(&header.rcode()))
}

fn read_header(message: &[u8]) -> Option<Header> {
    Message::from_octets(message).ok().map(|message| message.header())
}
