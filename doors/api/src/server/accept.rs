//! The accept loop: a task for each connection, HTTP/1.1 or h2c, and an orderly end.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::task::JoinSet;

use super::answer::Response;
use super::end::{self, End};
use super::hold::Unread;
use super::socket::{Accepted, Listener, Socket};
use super::threads;
use super::wire::Wire;

/// How long answers that are under way may take once the end is asked for.
const GRACE: Duration = Duration::from_secs(5);
/// Out of descriptors: waiting is all that helps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a client from elsewhere may take for the head of its next request, or have none to send.
const IDLE: Duration = Duration::from_secs(300);

/// Answers requests; cloned for each connection.
pub(crate) trait Service: Clone + Send + Sync + 'static {
    /// Answers one.
    fn answer(&self, request: Request<Incoming>, end: End) -> impl Future<Output = Response> + Send;
}

/// Serves until `shutdown` is ready and every connection has ended or the grace is over.
pub(crate) async fn serve(
    service: impl Service,
    listeners: Vec<Listener>,
    unread: Unread<Socket>,
    shutdown: impl Future<Output = ()>,
) {
    let (ender, end) = end::channel();
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, unread, service.clone(), end.clone()));
    }
    shutdown.await;
    ender.end();
    let ended = async {
        while accepting.join_next().await.is_some() {}
        threads::all_ended().await;
    };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!("connections are cut off: they did not end within {GRACE:?}");
        // What read from them or wrote to them fails now, and undoes what it began.
        drop(accepting);
        drop(tokio::time::timeout(GRACE, threads::all_ended()).await);
    }
}

async fn accept(listener: Listener, unread: Unread<Socket>, service: impl Service, end: End) {
    let mut connections = JoinSet::new();
    let mut refused = false;
    let ended = end.clone().reached();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => {
                    refused = false;
                    connections.spawn(begin(accepted, unread, service.clone(), end.clone()));
                }
                Err(error) => {
                    // Once: it may last as long as the clients that have the descriptors.
                    if !std::mem::replace(&mut refused, true) {
                        tracing::warn!("accepting a connection: {error}");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = &mut ended => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn begin(accepted: Accepted, unread: Unread<Socket>, service: impl Service, end: End) {
    let socket = tokio::select! {
        ready = accepted.ready() => ready,
        () = end.clone().reached() => return,
    };
    match socket {
        Ok(socket) => connection(socket, unread, service, end).await,
        Err(error) => tracing::debug!("handshake: {error}"),
    }
}

async fn connection(socket: Socket, unread: Unread<Socket>, service: impl Service, end: End) {
    let (shutter, shut) = end::channel();
    let answering = end.or(&shut);
    let handler = service_fn(move |request| {
        let (service, end) = (service.clone(), answering.clone());
        async move { Ok::<_, Infallible>(service.answer(request, end).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().title_case_headers(true);
    let remote = socket.is_remote();
    // Elsewhere the kernel does not tell who has shut one side from who is gone: see `wire`.
    builder.http1().half_close(!remote);
    if remote {
        builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    }
    let wire = Wire::new(socket, unread, remote).telling(shutter);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(wire), handler);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = end.reached() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // A client that goes away in the middle is no event for an operator.
    if let Err(error) = result {
        tracing::debug!("connection: {error}");
    }
}
