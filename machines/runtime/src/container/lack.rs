//! Namespaces that cannot be had on this machine, and why.

use std::path::Path;

use dhow_oci::runtime::NamespaceKind;
use rustix::io::Errno;

use super::error::{Error, Stage, words};
use super::plan::namespaces::file;

/// Every kind.
pub const KINDS: [NamespaceKind; 8] = [
    NamespaceKind::Mount,
    NamespaceKind::Pid,
    NamespaceKind::Network,
    NamespaceKind::Ipc,
    NamespaceKind::Uts,
    NamespaceKind::User,
    NamespaceKind::Cgroup,
    NamespaceKind::Time,
];

/// Why no namespace of a kind can be made here; nothing when there is no reason to see.
#[must_use]
pub fn lack_of(kind: NamespaceKind) -> Option<String> {
    let name = file(kind);
    let sysctl = format!("max_{name}_namespaces");
    if !Path::new("/proc/self/ns").join(name).exists() {
        return Some(format!("this kernel has no {name} namespaces"));
    }
    let most = std::fs::read_to_string(Path::new("/proc/sys/user").join(&sysctl)).ok()?;
    (most.trim() == "0").then(|| format!("no {name} namespaces are allowed here (user.{sysctl} is 0)"))
}

/// A failure to make namespaces of these kinds, with the reason where there is one.
///
/// The kernel says EINVAL for a kind it does not have, and ENOSPC for one of which no more are allowed.
pub(super) fn failure(what: &str, kinds: &[NamespaceKind], errno: Errno) -> Error {
    let reasons: Vec<String> = kinds.iter().copied().filter_map(lack_of).collect();
    let reason = match errno {
        _ if !reasons.is_empty() => reasons.join(", "),
        Errno::NOSPC => "the limit of namespaces, or of their depth, is reached".to_owned(),
        errno => words(&errno.into()),
    };
    Error { stage: Stage::Setup, what: format!("{what}: {reason}"), errno: Some(errno.raw_os_error()) }
}
