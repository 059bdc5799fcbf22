//! The name server inside containers, by real questions.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../firewall/lab.rs"]
#[allow(dead_code, reason = "the firewall's tests need more of it")]
mod lab;

mod client;
mod forwarded;
mod load;
mod own;
mod upstream;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex};

use dhow_model::ContainerId;
use dhow_model::ports::{Addresses, Names, Servers, Upstreams};
use dhow_net::dns::Server;
use dhow_net::sandbox::Sandbox;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;
use tokio::runtime::Runtime;

type Both = (Vec<Ipv4Addr>, Vec<Ipv6Addr>);

/// What an engine would know.
#[derive(Default)]
struct Known {
    names: Mutex<HashMap<String, Both>>,
    upstreams: Mutex<Upstreams>,
}

impl Names for Known {
    fn addresses(&self, _: &ContainerId, name: &str) -> Addresses {
        match self.names.lock().unwrap().get(name) {
            Some((four, six)) => Addresses::Known(four.clone(), six.clone()),
            None => Addresses::Unknown,
        }
    }

    fn name(&self, _: &ContainerId, address: IpAddr) -> Option<String> {
        let names = self.names.lock().unwrap();
        let of = |(_, (four, six)): &(&String, &Both)| match address {
            IpAddr::V4(address) => four.contains(&address),
            IpAddr::V6(address) => six.contains(&address),
        };
        names.iter().find(of).map(|(name, _)| format!("{name}.net1"))
    }

    fn upstreams(&self, _: &ContainerId) -> Upstreams {
        self.upstreams.lock().unwrap().clone()
    }
}

impl Known {
    fn add(&self, name: &str, addresses: &[&str]) {
        let all: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let four =
            all.iter().filter_map(|address| if let IpAddr::V4(four) = address { Some(*four) } else { None });
        let six =
            all.iter().filter_map(|address| if let IpAddr::V6(six) = address { Some(*six) } else { None });
        self.names.lock().unwrap().insert(name.to_owned(), (four.collect(), six.collect()));
    }

    fn ask(&self, servers: Servers) {
        self.upstreams.lock().unwrap().servers = servers;
    }
}

/// An engine's name server in a lab: its threads are in the host's namespace.
struct Engine {
    known: Arc<Known>,
    server: Server,
    directory: TempDir,
    // Ends last.
    _runtime: Runtime,
}

impl Engine {
    fn new(host: &Sandbox) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let namespace: Arc<OwnedFd> = Arc::new(host.as_fd().try_clone_to_owned().unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .on_thread_start(move || {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            })
            .build()
            .unwrap();
        let known = Arc::new(Known::default());
        let names = Arc::clone(&known) as Arc<dyn Names>;
        let server = Server::new(names, directory.path().join("resolv.conf"), runtime.handle().clone());
        Self { known, server, directory, _runtime: runtime }
    }

    /// What the host's resolv.conf says from now on.
    fn host_asks(&self, servers: &[&str]) {
        let text: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
        let next = self.directory.path().join("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(&next, self.directory.path().join("resolv.conf")).unwrap();
        self.known.ask(Servers::Host);
    }

    fn open(&self, number: u8, container: &Sandbox) -> ContainerId {
        let id = ContainerId::from_random([number; 32]);
        self.server.open(&id, container.as_fd()).unwrap();
        id
    }
}

/// A container's namespace, in which `lo` is up; none, and it is told why, where this user may make none.
fn alone() -> Option<Sandbox> {
    match Sandbox::new() {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            println!("skipped: network namespaces cannot be made: {error}");
            None
        }
        made => Some(made.unwrap()),
    }
}

/// The lab's containers have no `lo`: it is raised.
fn raise_loopback(container: &mut Sandbox) {
    let lo = container.links().find("lo").unwrap().unwrap().index;
    let up = dhow_net::link::Change { up: Some(true), ..Default::default() };
    container.links().change(lo, &up).unwrap();
}
