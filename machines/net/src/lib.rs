//! Links, addresses, routes, firewall rules and names of containers' networks.
//!
//! Everything is said to the kernel by netlink; no program is called.

#[cfg(test)]
mod tests;

pub mod dns;
pub mod firewall;
pub mod link;
mod netlink;
mod networks;
pub mod sandbox;

pub use networks::{HostNetworks, HostPolicy, PublishPolicy};
