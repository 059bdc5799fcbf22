//! `dhow context …`: engines by name. The files are docker's, and both command lines write them.

mod carry;
mod change;
mod endpoint;
mod look;

pub(crate) use carry::{EXPORT, IMPORT};
pub(crate) use change::{CREATE, REMOVE, UPDATE, USE};
pub(crate) use look::{INSPECT, LIST, SHOW};
