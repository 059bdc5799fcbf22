//! Many questions.

use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use dhow_net::dns::Listeners;
use domain::base::Rtype;

use crate::client::{ask, question};
use crate::lab::{lab, within};
use crate::upstream::serve;
use crate::{Engine, alone, raise_loopback};

const MANY: usize = 20_000;
const WINDOW: usize = 64;

/// Asks so many questions, some at a time, and counts what is answered.
fn flood(socket: &UdpSocket, packet: &[u8]) -> usize {
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut answer = [0; 512];
    let mut answered = 0;
    for number in 0..MANY {
        socket.send(packet).unwrap();
        if number >= WINDOW {
            answered += usize::from(socket.recv(&mut answer).is_ok());
        }
    }
    answered + (0..WINDOW).filter(|_| socket.recv(&mut answer).is_ok()).count()
}

#[test]
fn thousands_a_second() {
    let Some(mut lab) = lab() else { return };
    lab.network(1);
    let mut container = lab.container(1, 2);
    raise_loopback(&mut container);
    serve(&lab.outside, "192.0.2.9");
    let engine = Engine::new(&lab.host);
    engine.host_asks(&["192.0.2.9"]);
    engine.known.add("web", &["10.1.0.2"]);
    engine.open(1, &container);
    for name in ["web", "www.example"] {
        let socket = within(&container, || UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.connect("127.0.0.11:53").unwrap();
        let begin = Instant::now();
        let answered = flood(&socket, &question(name, Rtype::A, None));
        let rate = MANY as f64 / begin.elapsed().as_secs_f64();
        println!("{name}: {rate:.0} questions a second, {answered} of {MANY} answered");
        assert_eq!(answered, MANY);
    }
}

#[test]
fn a_container_whose_server_is_silent_keeps_nobody_else_waiting() {
    let Some(mut lab) = lab() else { return };
    lab.network(1);
    let mut greedy = lab.container(1, 2);
    let mut modest = lab.container(1, 3);
    raise_loopback(&mut greedy);
    raise_loopback(&mut modest);
    serve(&lab.outside, "192.0.2.9");
    let engine = Engine::new(&lab.host);
    engine.host_asks(&["192.0.2.9"]);
    engine.known.add("web", &["10.1.0.2"]);
    engine.open(1, &greedy);
    engine.open(2, &modest);
    let socket = within(&greedy, || UdpSocket::bind("0.0.0.0:0").unwrap());
    socket.connect("127.0.0.11:53").unwrap();
    for number in 0..5000 {
        socket.send(&question(&format!("silent.{number}.example"), Rtype::A, None)).unwrap();
    }
    let begin = Instant::now();
    assert_eq!(ask(&modest, "www.example", Rtype::A).records, ["203.0.113.1"]);
    assert_eq!(ask(&greedy, "web", Rtype::A).records, ["10.1.0.2"]);
    println!("beside 5,000 questions that nobody answers: {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(3));
}

#[test]
fn what_it_costs_to_open() {
    let Some(first) = alone() else { return };
    drop(Listeners::open(first.as_fd()).unwrap());
    let mut times: Vec<Duration> = Vec::new();
    let mut held = Vec::new();
    for _ in 0..50 {
        let sandbox = alone().unwrap();
        let begin = Instant::now();
        held.push(within(&sandbox, || Listeners::here(&sandbox).unwrap()));
        times.push(begin.elapsed());
        held.truncate(10);
    }
    times.sort();
    println!("sockets and table of a namespace: {:?} (median), {:?} (least)", times[25], times[0]);
}
