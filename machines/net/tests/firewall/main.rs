//! The firewall, by packets.

#![allow(clippy::unwrap_used, missing_docs)]

mod lab;
mod ports;
mod safety;
mod table;

use std::net::IpAddr;

use dhow_net::firewall::{Firewall, Ownership, Port, Protocol, Rules};
use lab::within;

const BOTH: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

fn firewall(lab: &lab::Lab, rules: Rules) -> Firewall {
    within(&lab.host, || {
        let mut firewall = Firewall::open("dhow", Ownership::Exclusive).unwrap();
        firewall.replace(rules).unwrap();
        firewall
    })
}

fn on(host: &str, mut port: Port) -> Port {
    port.host = Some(host.parse::<IpAddr>().unwrap());
    port
}
