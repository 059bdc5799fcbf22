//! Links on the real kernel, in namespaces of the tests' own.

#![allow(clippy::unwrap_used)]

use std::io;
use std::os::fd::AsFd as _;

use crate::link::{Address, Change, Pair, Route};
use crate::sandbox::Sandbox;

/// A namespace; none, and it is told why, where this user may make none.
fn sandbox() -> Option<Sandbox> {
    match Sandbox::new() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            println!("skipped: network namespaces cannot be made: {error}");
            None
        }
        made => Some(made.unwrap()),
    }
}

fn address(text: &str, prefix: u8) -> Address {
    Address { address: text.parse().unwrap(), prefix }
}

#[test]
fn a_container_is_connected_to_a_bridge() {
    let (Some(mut host), Some(mut container)) = (sandbox(), sandbox()) else { return };
    let bridge = host.links().add_bridge("br0", [2, 0, 0, 0, 0, 1], None, "of a test").unwrap();
    host.links().configure(bridge, &[address("10.9.0.1", 24), address("fd09::1", 64)], &[]).unwrap();
    let pair = Pair {
        name: "veth1",
        master: Some(bridge),
        peer: "eth0",
        namespace: container.as_fd(),
        mac: Some([2, 0, 0, 0, 0, 9]),
        mtu: Some(1400),
    };
    host.links().add_pair(&pair).unwrap();
    let inside = container_end(&mut container);
    let default = Route {
        destination: None,
        gateway: Some("10.9.0.1".parse().unwrap()),
        link: Some(inside),
        metric: 0,
    };
    let addresses = [address("10.9.0.2", 24), address("fd09::2", 64)];
    container.links().configure(inside, &addresses, &[default]).unwrap();
    assert!(container.links().routes().unwrap().contains(&default));
    let held = container.links().addresses().unwrap();
    for address in addresses {
        assert!(held.contains(&(inside, address)), "{held:?}");
    }
    let outside = host.links().find("veth1").unwrap().unwrap();
    assert_eq!((outside.master, outside.kind.as_str(), outside.up), (Some(bridge), "veth", true));
}

fn container_end(container: &mut Sandbox) -> crate::link::Index {
    let end = container.links().find("eth0").unwrap().unwrap();
    assert_eq!(end.mac, Some([2, 0, 0, 0, 0, 9]));
    end.index
}

#[test]
fn what_is_wrong_is_said_in_the_kernels_words() {
    let Some(mut host) = sandbox() else { return };
    let links = host.links();
    links.add_bridge("br0", [2, 0, 0, 0, 0, 1], None, "of a test").unwrap();
    let error = links.add_bridge("br0", [2, 0, 0, 0, 0, 1], None, "of a test").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}");
    let bridge = links.find("br0").unwrap().unwrap().index;
    let error = links.change(bridge, &Change { name: Some("a/b"), ..Change::default() }).unwrap_err();
    assert!(error.to_string().contains("cannot change the link"), "{error}");
    assert_eq!(links.find("no-such").unwrap(), None);
    links.remove(bridge).unwrap();
    links.remove(bridge).unwrap();
}

#[test]
fn links_go_with_their_namespace() {
    let (Some(mut host), Some(container)) = (sandbox(), sandbox()) else { return };
    let pair = Pair {
        name: "veth1",
        master: None,
        peer: "eth0",
        namespace: container.as_fd(),
        mac: None,
        mtu: None,
    };
    host.links().add_pair(&pair).unwrap();
    drop(container);
    // The kernel takes them away behind our back, and soon.
    let gone = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        host.links().find("veth1").unwrap().is_none()
    });
    assert!(gone, "the pair outlives the namespace of its end");
}
