//! What waits for containers in advance: it is used once, replaced where somebody removed it, and leaves nothing.

use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use dhow_model::ContainerId;
use dhow_model::network::Driver;
use dhow_model::ports::{Carrier, LinkPlan, NetworkSpace, Networks as _};
use dhow_net::HostNetworks;
use dhow_net::link::Link;
use dhow_net::sandbox::Sandbox;

use super::{BRIDGE, engine, host, network, plan, reaches, serve, within};

/// Asks for namespaces until there is one that waited.
fn one_that_waited(networks: &HostNetworks, names: bool) -> NetworkSpace {
    let mut asked = (0..1000).map(|_| {
        thread::sleep(Duration::from_millis(10));
        networks.space(Driver::Bridge, names).unwrap()
    });
    asked.find(|space| space.spare_end().is_some()).expect("nothing is made in advance")
}

fn plan_of(space: &NetworkSpace, number: u16) -> LinkPlan {
    let plan = plan(number, "eth0", true);
    let end = space.spare_end().unwrap();
    LinkPlan { carrier: Carrier::Bridge { name: BRIDGE.to_owned(), end, isolated: false }, ..plan }
}

fn pairs(host: &mut Sandbox) -> Vec<Link> {
    host.links().all().unwrap().into_iter().filter(|link| link.kind == "veth").collect()
}

#[test]
fn a_pair_that_waited_is_a_connection_and_one_that_is_gone_is_made_anew() {
    let (Some(mut host), state) = (host(), tempfile::tempdir().unwrap()) else { return };
    let networks = engine(state.path());
    let gateway = "10.9.0.1".parse().unwrap();
    serve(&host);
    let (first, second) = within(&host, || {
        networks.set_up(&network(true)).unwrap();
        let first = one_that_waited(&networks, false);
        networks.connect(&first, &plan_of(&first, 1)).unwrap();
        (first, one_that_waited(&networks, false))
    });
    assert!(reaches(first.handle(), gateway, 80));
    // Nobody else is given what one has.
    assert_eq!((first.spare_end(), first.take_spare()), (None, None));
    let plan = plan_of(&second, 2);
    let end = host.links().find(&second.spare_end().unwrap()).unwrap().unwrap();
    assert_eq!((end.up, end.master), (false, None), "it is nobody's before");
    host.links().remove(end.index).unwrap();
    within(&host, || networks.connect(&second, &plan).unwrap());
    assert!(reaches(second.handle(), gateway, 80));
    let bridge = host.links().find(BRIDGE).unwrap().unwrap().index;
    assert_eq!(pairs(&mut host).iter().filter(|link| link.master == Some(bridge)).count(), 2);
}

#[test]
fn nothing_waits_before_somebody_asked_and_all_goes_with_the_engine() {
    let (Some(mut host), state) = (host(), tempfile::tempdir().unwrap()) else { return };
    let networks = engine(state.path());
    within(&host, || networks.set_up(&network(true)).unwrap());
    assert_eq!(pairs(&mut host), []);
    drop(within(&host, || one_that_waited(&networks, false)));
    drop(networks);
    let gone = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(10));
        pairs(&mut host).is_empty()
    });
    assert!(gone, "{:?}", pairs(&mut host));
}

#[test]
fn sockets_that_waited_answer_questions_for_names() {
    let (Some(host), state) = (host(), tempfile::tempdir().unwrap()) else { return };
    let networks = engine(state.path());
    let container = ContainerId::from_random([7; 32]);
    let (named, plain) = within(&host, || {
        networks.set_up(&network(true)).unwrap();
        let named = one_that_waited(&networks, true);
        networks.serve_names(&container, &named).unwrap();
        (named, one_that_waited(&networks, false))
    });
    assert!(named.take_listeners().is_none(), "they are served");
    assert!(plain.take_listeners().is_none(), "who asks the host's servers has none");
    // The name of the loopback's address, of a server that knows nobody: whatever it is, it is an answer.
    let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04here\0\0\x01\0\x01";
    let answer = within(named.handle(), || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.send_to(question, "127.0.0.11:53").unwrap();
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).unwrap();
        answer[..length].to_vec()
    });
    assert_eq!(answer.get(..2), Some(&[0x12, 0x34][..]));
}
