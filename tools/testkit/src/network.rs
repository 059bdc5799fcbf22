//! Network namespaces of engines and containers, entered by tests.

use std::os::fd::{AsFd as _, BorrowedFd};

use anyhow::{Context as _, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Does something in a namespace, on a thread of its own.
///
/// # Panics
/// When the deed does, or the namespace cannot be entered.
pub fn within<T: Send>(namespace: BorrowedFd<'_>, deed: impl FnOnce() -> T + Send) -> T {
    let entered = || {
        move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network)).expect("a network namespace");
        deed()
    };
    std::thread::scope(|scope| scope.spawn(entered).join()).expect("the deed does not panic")
}

/// The same in that of a process.
///
/// # Errors
/// When there is no such process.
pub fn of_process<T: Send>(pid: u32, deed: impl FnOnce() -> T + Send) -> Result<T> {
    let namespace = std::fs::File::open(format!("/proc/{pid}/ns/net")).context("a namespace")?;
    Ok(within(namespace.as_fd(), deed))
}
