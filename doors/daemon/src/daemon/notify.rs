//! Tells the service manager how things stand (sd_notify(3)), and that the engine still works.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// The engine answers.
    Ready,
    /// The configuration is read again.
    Reloading,
    /// The engine ends.
    Stopping,
    /// The engine works.
    Alive,
}

/// Tells it; there may be nobody to tell, and a service manager that does not hear is none of our failures.
pub(super) fn tell(notice: Notice) {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(&place),
    };
    let sent = address.and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.send_to_addr(words(notice).as_bytes(), &address)
    });
    if let Err(error) = sent {
        tracing::debug!("tell the service manager {notice:?}: {error}");
    }
}

fn words(notice: Notice) -> String {
    match notice {
        Notice::Ready => "READY=1\nSTATUS=listening".into(),
        Notice::Reloading => {
            let now = clock_gettime(ClockId::Monotonic);
            let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
            format!("RELOADING=1\nMONOTONIC_USEC={microseconds}")
        }
        Notice::Stopping => "STOPPING=1".into(),
        Notice::Alive => "WATCHDOG=1".into(),
    }
}

/// Tells that the engine works, twice as often as is asked for; ready only when nobody asks.
///
/// It runs among the tasks that serve clients: when those are stuck, so is this.
pub(super) async fn watchdog() {
    let Some(every) = interval() else { return };
    let mut beat = tokio::time::interval(every / 2);
    loop {
        beat.tick().await;
        tell(Notice::Alive);
    }
}

fn interval() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let of_another = number("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(std::process::id()));
    let microseconds = number("WATCHDOG_USEC").filter(|count| *count > 1 && !of_another)?;
    Some(Duration::from_micros(microseconds))
}
