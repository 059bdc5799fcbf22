//! Bridges as the engine's port makes them, in namespaces that stand for the host and for containers.

#![allow(clippy::unwrap_used)]

mod many;
mod spare;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use dhow_model::network::{Driver, Network, Pool};
use dhow_model::ports::{Addresses, Carrier, LinkPlan, Names, Upstreams, Way};
use dhow_model::{ContainerId, Timestamp};
use dhow_net::dns::Server;
use dhow_net::sandbox::Sandbox;
use dhow_net::{HostNetworks, HostPolicy};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const BRIDGE: &str = "br-many";

/// Knows nobody.
#[derive(Debug)]
struct Nobody;

impl Names for Nobody {
    fn addresses(&self, _: &ContainerId, _: &str) -> Addresses {
        Addresses::Unknown
    }

    fn name(&self, _: &ContainerId, _: IpAddr) -> Option<String> {
        None
    }

    fn upstreams(&self, _: &ContainerId) -> Upstreams {
        Upstreams::default()
    }
}

fn network(talk: bool) -> Network {
    let options = [
        ("com.docker.network.bridge.name".to_owned(), BRIDGE.to_owned()),
        ("com.docker.network.bridge.enable_icc".to_owned(), talk.to_string()),
    ];
    let pool = Pool {
        subnet: "10.9.0.0/16".parse().unwrap(),
        range: None,
        gateway: Some("10.9.0.1".parse().unwrap()),
        reserved: BTreeMap::new(),
    };
    Network {
        id: "0123456789abcdef".repeat(4),
        name: "many".to_owned(),
        driver: Driver::Bridge,
        created: Timestamp::NEVER,
        internal: false,
        attachable: false,
        ipv4: true,
        ipv6: false,
        pools: vec![pool],
        ipam_options: None,
        options: options.into(),
        labels: BTreeMap::new(),
        chosen: false,
        config_only: false,
        config_from: Default::default(),
    }
}

/// 10.9.1.0 and on.
fn address(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    IpAddr::from([10, 9, 1 + high, low])
}

fn plan(number: u16, interface: &str, talk: bool) -> LinkPlan {
    let is_filler = interface != "eth0";
    LinkPlan {
        carrier: Carrier::Bridge { name: BRIDGE.to_owned(), end: format!("veth{number}"), isolated: !talk },
        interface: interface.to_owned(),
        mac: None,
        mtu: None,
        addresses: if is_filler {
            Vec::new()
        } else {
            vec![format!("{}/16", address(number)).parse().unwrap()]
        },
        ways: if is_filler { Vec::new() } else { vec![Way::Gateway("10.9.0.1".parse().unwrap())] },
        sysctls: Default::default(),
    }
}

/// Runs `deed` on a thread that has moved into a namespace.
fn within<T: Send>(namespace: impl std::os::fd::AsFd + Sync, deed: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        deed()
    };
    thread::scope(|scope| scope.spawn(inside).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// Answers every packet to port 80, for ever.
fn serve(namespace: impl std::os::fd::AsFd + Sync) {
    let socket = within(namespace, || UdpSocket::bind("0.0.0.0:80").unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], peer);
        }
    });
}

fn reaches(namespace: impl std::os::fd::AsFd + Sync, to: IpAddr, port: u16) -> bool {
    within(namespace, || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(2500))).unwrap();
        socket.connect(SocketAddr::new(to, port)).unwrap();
        socket.send(b"?").unwrap();
        socket.recv(&mut [0; 64]).is_ok()
    })
}

/// A host with a network; none, and it is told, where this user may make none.
fn host() -> Option<Sandbox> {
    match Sandbox::new() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            println!("skipped: network namespaces cannot be made: {error}");
            None
        }
        made => Some(made.unwrap()),
    }
}

fn engine(state: &Path) -> HostNetworks {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = Server::new(Arc::new(Nobody), state.join("resolv.conf"), runtime.handle().clone());
    std::mem::forget(runtime);
    HostNetworks::new(state, state, server, HostPolicy::default())
}
