//! System calls that there is no way without, and whether this kernel has them.
//!
//! Each came with a version of Linux, but versions are not asked: distributions bring calls into older
//! kernels, and a container around us may have a filter that answers ENOSYS.

use std::io;

/// A system call, and the Linux version that it came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// Its name.
    pub call: &'static str,
    /// `major.minor`.
    pub since: &'static str,
    number: libc::c_long,
}

/// What is demanded; for everything else there is a slower way. The newest is last.
const DEMANDED: [Feature; 9] = [
    feature("renameat2", "3.15", libc::SYS_renameat2),
    feature("pidfd_send_signal", "5.1", libc::SYS_pidfd_send_signal),
    feature("open_tree", "5.2", libc::SYS_open_tree),
    feature("move_mount", "5.2", libc::SYS_move_mount),
    feature("fsopen", "5.2", libc::SYS_fsopen),
    feature("fsconfig", "5.2", libc::SYS_fsconfig),
    feature("fsmount", "5.2", libc::SYS_fsmount),
    feature("pidfd_open", "5.3", libc::SYS_pidfd_open),
    feature("openat2", "5.6", libc::SYS_openat2),
];

const fn feature(call: &'static str, since: &'static str, number: libc::c_long) -> Feature {
    Feature { call, since, number }
}

/// The calls that are demanded and not there.
#[must_use]
pub fn missing() -> Vec<Feature> {
    DEMANDED.into_iter().filter(|feature| !is_there(feature.number)).collect()
}

/// Says what is missing; nothing when all is there.
#[must_use]
pub fn lack() -> Option<String> {
    let missing = missing();
    let newest = missing.last()?;
    let names: Vec<String> = missing.iter().map(|feature| format!("{}(2)", feature.call)).collect();
    Some(format!(
        "this kernel has no {}, which came with Linux {}, or a filter of system calls around us hides it",
        names.join(", "),
        newest.since
    ))
}

/// Called with arguments that no call takes.
fn is_there(number: libc::c_long) -> bool {
    // SAFETY: no descriptor is -1, no process has that number, and the null pointers are refused: whichever
    // of the calls above it is, it fails before it does anything.
    let answer = unsafe { libc::syscall(number, -1, 0, -1, 0, -1, 0) };
    answer != -1 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_missing_here() {
        assert_eq!(lack(), None);
    }
}
