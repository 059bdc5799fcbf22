//! One container's questions.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use dhow_model::ContainerId;
use dhow_model::ports::Servers;
use domain::base::iana::Rcode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Shared;
use super::answer;
use super::forward::{Route, Silent, Way, framed};
use super::question::{LARGEST, Question, Read};
use super::share::{Place, Share};

/// Connections of one container at a time. The next ones wait.
const STREAMS: usize = 32;
/// A connection by which nothing comes for so long is closed.
const IDLE: Duration = Duration::from_secs(10);
/// After an error that should not be there (no descriptors left).
const PAUSE: Duration = Duration::from_millis(100);
/// Packets that are taken before others have their turn.
const TURN: usize = 32;
/// Of an answer in one datagram.
const LARGEST_DATAGRAM: usize = 65_507;

/// A container that asks.
pub(super) struct Guest {
    container: ContainerId,
    shared: Arc<Shared>,
    namespace: Arc<OwnedFd>,
    /// Of the servers that it was given.
    silent: Silent,
    share: Arc<Share>,
}

/// What is done with a packet.
enum Deed {
    Nothing,
    Answer(Vec<u8>),
    Forward(Route),
}

/// A question that is handed on.
struct Asked {
    route: Route,
    packet: Vec<u8>,
    /// One that was free at once.
    place: Option<Place>,
}

impl Guest {
    pub(super) fn new(container: ContainerId, shared: Arc<Shared>, namespace: OwnedFd) -> Arc<Self> {
        let share = Share::new(Arc::clone(&shared.places));
        Arc::new(Self { container, shared, namespace: Arc::new(namespace), silent: Silent::default(), share })
    }

    /// Serves for ever: all that it began ends with it.
    pub(super) async fn serve(self: Arc<Self>, datagrams: UdpSocket, streams: TcpListener) {
        let datagrams = Arc::new(datagrams);
        let (mut forwarded, mut connections) = (JoinSet::new(), JoinSet::new());
        loop {
            let served = tokio::select! {
                ready = datagrams.readable() => {
                    ready.and_then(|()| self.take_turn(&datagrams, &mut forwarded))
                }
                taken = streams.accept(), if connections.len() < STREAMS => taken.map(|(stream, _)| {
                    connections.spawn(Arc::clone(&self).converse(stream));
                }),
                Some(_) = forwarded.join_next() => Ok(()),
                Some(_) = connections.join_next() => Ok(()),
            };
            if let Err(error) = served {
                tracing::debug!("names for {}: {error}", self.container.short());
                sleep(PAUSE).await;
            }
        }
    }

    fn take_turn(
        self: &Arc<Self>,
        datagrams: &Arc<UdpSocket>,
        forwarded: &mut JoinSet<()>,
    ) -> io::Result<()> {
        // One more, to see that there is more than can be read.
        let mut packet = [0; LARGEST + 1];
        for _ in 0..TURN {
            let (length, peer) = match datagrams.try_recv_from(&mut packet) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                received => received?,
            };
            let packet = &packet[..length];
            match self.decide(packet, Way::Datagram) {
                Deed::Nothing => {}
                Deed::Answer(answer) => send(datagrams, &answer, peer),
                Deed::Forward(route) => {
                    let place = self.share.take();
                    let asked = Asked { route, packet: packet.to_vec(), place };
                    forwarded.spawn(Arc::clone(self).answer_later(asked, Arc::clone(datagrams), peer));
                }
            }
        }
        Ok(())
    }

    async fn answer_later(self: Arc<Self>, asked: Asked, datagrams: Arc<UdpSocket>, peer: SocketAddr) {
        if let Some(answer) = self.forward(asked, Way::Datagram).await {
            send(&datagrams, &answer, peer);
        }
    }

    /// One connection: a question, its answer, the next question.
    async fn converse(self: Arc<Self>, mut stream: TcpStream) {
        // The connection ends when it fails; whoever it was notices.
        while let Ok(Ok(packet)) = timeout(IDLE, read_framed(&mut stream)).await {
            let answer = match self.decide(&packet, Way::Stream) {
                Deed::Nothing => None,
                Deed::Answer(answer) => Some(answer),
                Deed::Forward(route) => {
                    let place = self.share.take();
                    self.forward(Asked { route, packet, place }, Way::Stream).await
                }
            };
            let Some(answer) = answer else { return };
            if !matches!(timeout(IDLE, stream.write_all(&framed(&answer))).await, Ok(Ok(()))) {
                return;
            }
        }
    }

    fn decide(&self, packet: &[u8], way: Way) -> Deed {
        let question = match Question::read(packet) {
            Read::Nothing => return Deed::Nothing,
            Read::Refused(answer) => return Deed::Answer(answer),
            Read::Question(question) => question,
        };
        let limit = match way {
            Way::Datagram => LARGEST_DATAGRAM.min(question.size.into()),
            Way::Stream => u16::MAX.into(),
        };
        let names = &*self.shared.names;
        if let Some(answer) = answer::own(names, &self.container, &question, limit) {
            return Deed::Answer(answer);
        }
        let upstreams = names.upstreams(&self.container);
        if upstreams.dotted_only && question.wants_a_short_name() {
            return Deed::Answer(answer::nothing(&question));
        }
        let route = match &upstreams.servers {
            Servers::Nobody => return Deed::Answer(answer::failure(&question.message, Rcode::SERVFAIL)),
            Servers::Host => Route { servers: self.shared.host.now(), namespace: None },
            Servers::Given(addresses) => Route::given(addresses, &self.namespace),
        };
        Deed::Forward(route)
    }

    async fn forward(&self, asked: Asked, way: Way) -> Option<Vec<u8>> {
        let Asked { route, packet, place } = asked;
        let Read::Question(question) = Question::read(&packet) else { return None };
        let place = match place {
            Some(place) => Some(place),
            None => self.share.wait().await,
        };
        let Some(_place) = place else { return Some(answer::failure(&question.message, Rcode::REFUSED)) };
        let silent = if route.namespace.is_some() { &self.silent } else { &self.shared.silent };
        let answer = route.ask(&self.shared.sockets, silent, &question, way).await;
        Some(answer.unwrap_or_else(|| answer::failure(&question.message, Rcode::SERVFAIL)))
    }
}

/// Whoever asks by datagrams asks again when one is lost.
fn send(datagrams: &UdpSocket, answer: &[u8], peer: SocketAddr) {
    if let Err(error) = datagrams.try_send_to(answer, peer) {
        tracing::trace!("an answer to {peer} is lost: {error}");
    }
}

async fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > LARGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await?;
    Ok(packet)
}
