//! The ways in: sockets, TLS, ssh, contexts, and what goes over a connection that stops being HTTP.

mod clients;
mod contexts;
mod fetched;
mod place;
mod remote;
mod sockets;
mod streams;
mod syslog;
