//! Netlink (netlink(7), rtnetlink(7)): messages, sockets, and errors that say what the kernel says.
//!
//! Own, and small: of a request one header and a few attributes are written, of an answer a few are read. The
//! libraries for links know no firewall, and the one for firewalls lacks the expressions that publish ports.

mod message;
mod socket;
mod transaction;

pub(crate) use message::{Attributes, Message, attributes};
pub(crate) use socket::{Failure, Heard, Socket};
pub(crate) use transaction::Refused;
