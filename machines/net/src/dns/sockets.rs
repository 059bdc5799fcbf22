//! Sockets of other network namespaces, made by one thread that goes there and comes back.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::oneshot;

/// A thread that nobody needed for so long ends.
const IDLE: Duration = Duration::from_secs(10);

/// Makes sockets. Its thread is there while it is needed.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    thread: Mutex<Option<Sender<Order>>>,
}

#[derive(Debug)]
struct Order {
    namespace: Arc<OwnedFd>,
    kind: (AddressFamily, SocketType),
    made: oneshot::Sender<io::Result<OwnedFd>>,
}

impl Sockets {
    /// One of a namespace; of this one without.
    pub(super) async fn make(
        &self,
        namespace: Option<&Arc<OwnedFd>>,
        kind: (AddressFamily, SocketType),
    ) -> io::Result<OwnedFd> {
        let Some(namespace) = namespace else { return socket(kind) };
        // The thread may end just then: once.
        for _ in 0..2 {
            let (made, answer) = oneshot::channel();
            self.order(Order { namespace: Arc::clone(namespace), kind, made })?;
            if let Ok(made) = answer.await {
                return made;
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    fn order(&self, order: Order) -> io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let order = match thread.take() {
            Some(orders) => match orders.send(order) {
                Ok(()) => {
                    *thread = Some(orders);
                    return Ok(());
                }
                Err(unsent) => unsent.0,
            },
            None => order,
        };
        let (orders, received) = channel();
        thread::Builder::new()
            .name("names".to_owned())
            .stack_size(64 << 10)
            .spawn(move || work(&received))?;
        orders.send(order).map_err(|_| io::ErrorKind::Interrupted)?;
        *thread = Some(orders);
        Ok(())
    }
}

/// Ends when it cannot come back: the next order finds nobody, and another thread begins.
fn work(orders: &Receiver<Order>) {
    let Ok(home) =
        rustix::fs::open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    else {
        return;
    };
    loop {
        let order = match orders.recv_timeout(IDLE) {
            Ok(order) => order,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        };
        let made = enter(&*order.namespace).and_then(|()| socket(order.kind));
        let back = enter(&home);
        // Who asked may be gone.
        let _ = order.made.send(made);
        if back.is_err() {
            return;
        }
    }
}

fn enter(namespace: impl AsFd) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

fn socket((family, kind): (AddressFamily, SocketType)) -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?)
}
