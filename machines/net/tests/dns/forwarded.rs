//! Names of the world outside.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use dhow_model::ports::Servers;
use domain::base::Rtype;
use domain::base::iana::Rcode;

use crate::client::{ask, ask_by_stream, ask_for};
use crate::lab::{HOST4, Lab, lab, within};
use crate::upstream::{Asked, serve};
use crate::{Engine, raise_loopback};
use dhow_net::sandbox::Sandbox;

const OUTSIDE4: &str = "192.0.2.9";
const OUTSIDE6: &str = "2001:db8::9";

fn world() -> Option<(Lab, Engine, Sandbox, Asked)> {
    let mut lab = lab()?;
    lab.network(1);
    let mut container = lab.container(1, 2);
    raise_loopback(&mut container);
    let asked = serve(&lab.outside, OUTSIDE4);
    let engine = Engine::new(&lab.host);
    engine.host_asks(&[OUTSIDE4]);
    engine.open(1, &container);
    Some((lab, engine, container, asked))
}

fn names(asked: &Asked) -> Vec<String> {
    asked.lock().unwrap().iter().map(|(name, _)| name.clone()).collect()
}

#[test]
fn what_is_not_ours_is_asked_of_the_hosts_servers_from_the_host() {
    let Some((_lab, engine, container, asked)) = world() else { return };
    engine.known.add("web", &["10.1.0.2"]);
    assert_eq!(ask(&container, "www.example", Rtype::A).records, ["203.0.113.1"]);
    assert_eq!(ask_by_stream(&container, "www.example", Rtype::A).records, ["203.0.113.1"]);
    assert_eq!(ask(&container, "missing.example", Rtype::A).code, Rcode::NXDOMAIN);
    ask(&container, "web", Rtype::AAAA);
    assert_eq!(names(&asked), ["www.example", "www.example", "missing.example"]);
    let host: IpAddr = HOST4.parse().unwrap();
    assert!(asked.lock().unwrap().iter().all(|(_, by)| *by == host), "{asked:?}");
}

#[test]
fn a_change_of_the_hosts_servers_is_followed() {
    let Some((lab, engine, container, first)) = world() else { return };
    let second = serve(&lab.outside, OUTSIDE6);
    ask(&container, "one.example", Rtype::A);
    engine.host_asks(&[OUTSIDE6]);
    assert_eq!(ask(&container, "two.example", Rtype::A).records, ["203.0.113.1"]);
    assert_eq!((names(&first), names(&second)), (vec!["one.example".into()], vec!["two.example".to_owned()]));
}

#[test]
fn a_server_on_the_hosts_loopback_is_reached() {
    let Some((mut lab, engine, container, _)) = world() else { return };
    raise_loopback(&mut lab.host);
    let asked = serve(&lab.host, "127.0.0.53");
    engine.host_asks(&["127.0.0.53"]);
    assert_eq!(ask(&container, "www.example", Rtype::A).records, ["203.0.113.1"]);
    assert_eq!(names(&asked).len(), 1);
}

#[test]
fn servers_that_were_given_are_asked_from_the_containers_own_network() {
    let Some((mut lab, engine, container, _)) = world() else { return };
    let mut neighbour = lab.container(1, 3);
    raise_loopback(&mut neighbour);
    let asked = serve(&neighbour, "10.1.0.3");
    // It cannot be asked by way of itself, and one that it runs at its own loopback is another than the host's.
    let own = serve(&container, "127.0.0.1");
    engine.known.ask(Servers::Given(["127.0.0.11", "10.1.0.3"].map(|text| text.parse().unwrap()).into()));
    assert_eq!(ask(&container, "www.example", Rtype::A).records, ["203.0.113.1"]);
    assert_eq!(*asked.lock().unwrap(), [("www.example".to_owned(), "10.1.0.2".parse().unwrap())]);
    engine.known.ask(Servers::Given(vec!["127.0.0.1".parse().unwrap()]));
    assert_eq!(ask_by_stream(&container, "own.example", Rtype::A).records, ["203.0.113.1"]);
    assert_eq!(names(&own), ["own.example"]);
}

#[test]
fn nothing_leaves_an_internal_network() {
    let Some((_lab, engine, container, asked)) = world() else { return };
    engine.known.ask(Servers::Nobody);
    for kind in [Rtype::A, Rtype::PTR, Rtype::TXT, Rtype::ANY] {
        assert_eq!(ask(&container, "www.example", kind).code, Rcode::SERVFAIL);
        assert_eq!(ask_by_stream(&container, "9.2.0.192.in-addr.arpa", kind).code, Rcode::SERVFAIL);
    }
    assert!(names(&asked).is_empty(), "{asked:?}");
}

#[test]
fn short_names_stay_here_where_dots_are_asked_for() {
    let Some((_lab, engine, container, asked)) = world() else { return };
    engine.known.upstreams.lock().unwrap().dotted_only = true;
    let told = ask(&container, "short", Rtype::A);
    assert_eq!((told.code, told.records.len()), (Rcode::NOERROR, 0));
    ask(&container, "short", Rtype::TXT);
    ask(&container, "short.example", Rtype::A);
    assert_eq!(names(&asked), ["short", "short.example"]);
}

#[test]
fn forged_answers_are_not_believed() {
    let Some((_lab, _engine, container, _)) = world() else { return };
    assert_eq!(ask(&container, "forged.example", Rtype::A).records, ["203.0.113.1"]);
}

#[test]
fn large_answers_are_fetched_by_a_stream_when_the_program_has_room() {
    let Some((_lab, _engine, container, asked)) = world() else { return };
    let cut = ask(&container, "large.example", Rtype::A);
    assert!(cut.cut && cut.records.len() == 1, "{cut:?}");
    assert_eq!(ask_by_stream(&container, "large.example", Rtype::A).records.len(), 100);
    let whole = ask_for(&container, "large.example", Rtype::A, 4096);
    assert!(!whole.cut && whole.records.len() == 100, "{whole:?}");
    assert_eq!(names(&asked).len(), 4);
}

#[test]
fn the_next_server_is_asked_when_one_fails_refuses_or_is_silent() {
    let Some((lab, engine, container, first)) = world() else { return };
    let second = serve(&lab.outside, OUTSIDE6);
    // Nobody is there, and this is told at once.
    engine.host_asks(&[HOST4, OUTSIDE6]);
    let begin = Instant::now();
    assert_eq!(ask(&container, "www.example", Rtype::A).records, ["203.0.113.1"]);
    // Sooner than the question would be sent again.
    assert!(begin.elapsed() < Duration::from_millis(1400), "{:?}", begin.elapsed());
    // The same question is answered by both, with a failure.
    engine.host_asks(&[OUTSIDE4, OUTSIDE6]);
    assert_eq!(ask(&container, "failing.example", Rtype::A).code, Rcode::SERVFAIL);
    assert_eq!(names(&first).len(), 1);
    assert_eq!(names(&second).len(), 2);
    // A server that is silent again and again is asked last for a while.
    engine.host_asks(&["192.0.2.200", OUTSIDE6]);
    within(&lab.host, || crate::lab::write("ipv4/neigh/wire0/mcast_solicit", "30"));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(ask(&container, "slow.example", Rtype::A).records, ["203.0.113.1"]));
        }
    });
    let slow = begin.elapsed();
    let begin = Instant::now();
    assert_eq!(ask(&container, "quick.example", Rtype::A).records, ["203.0.113.1"]);
    let quick = begin.elapsed();
    println!("with a silent server: {slow:?}, then {quick:?}");
    assert!(quick < slow / 10, "{quick:?}, and before {slow:?}");
}

#[test]
fn one_question_that_is_lost_is_asked_again_and_changes_no_order() {
    let Some((lab, engine, container, first)) = world() else { return };
    let second = serve(&lab.outside, OUTSIDE6);
    engine.host_asks(&[OUTSIDE4, OUTSIDE6]);
    assert_eq!(ask(&container, "silent.example", Rtype::A).code, Rcode::SERVFAIL);
    assert_eq!(names(&first).len(), 3, "it is sent three times in four seconds");
    assert_eq!(names(&second).len(), 3);
    ask(&container, "www.example", Rtype::A);
    assert_eq!(names(&first).len(), 4, "the first server is not asked first any more");
}

#[test]
fn the_engine_itself_asks_the_hosts_servers() {
    let Some((_lab, engine, _, asked)) = world() else { return };
    let found =
        |name: &str| engine.server.look_up(name).map(|found| found.iter().map(IpAddr::to_string).collect());
    let found = |name: &str| -> Vec<String> { found(name).unwrap() };
    assert_eq!(found("nas.example"), ["203.0.113.1"]);
    assert_eq!(found("missing.example"), Vec::<String>::new());
    assert_eq!(found("large.example").len(), 100);
    assert_eq!(found("forged.example"), ["203.0.113.1"]);
    let failure = engine.server.look_up("failing.example").unwrap_err();
    assert_eq!(failure.to_string(), "no name server of the host answers");
    assert!(engine.server.look_up("no name\n").is_err());
    asked.lock().unwrap().clear();
    engine.host_asks(&[&format!("{OUTSIDE4}\nsearch one.example two.example")]);
    assert_eq!(found("nas"), ["203.0.113.1"]);
    assert_eq!(names(&asked), ["nas.one.example", "nas.one.example"]);
}
