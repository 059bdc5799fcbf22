//! The filter of system calls: from the runtime specification's rules to a program for the kernel.
//!
//! ```text
//! dhow_oci::profile (Docker's format, the default profile) ─┐
//! linux.seccomp of config.json ─────────────────────────────┴→ rules → program → installed by init
//! ```
//! In reading order: [`action`] and [`architecture`] have the words of profiles, [`syscalls`] the numbers;
//! [`rules`] sorts the rules by architecture and number; [`program`] makes instructions of them.
//! All of it is pure; [`Filter::install`] is the only thing that is done to a process.
//!
//! A profile means here what it means to runc and libseccomp. Where they leave it open:
//! - a rule without conditions on arguments is stronger than those with, whatever the order; of several
//!   alike the first one counts;
//! - a system call that is newer than all that the profile names is answered with ENOSYS, so that
//!   programs take an older one, unless calls are allowed by default;
//! - a program of another architecture is killed.

pub mod action;
pub mod architecture;
pub mod program;
pub mod rules;
pub mod syscalls;

mod table;

use std::os::fd::OwnedFd;

use dhow_model::error::{Error, Result};
use dhow_oci::profile::{Circumstances, kernel_version};
use dhow_oci::runtime::Seccomp;
use serde::{Deserialize, Serialize};

pub use action::Action;
pub use architecture::Architecture;
pub use program::Instruction;

use dhow_oci::capabilities::CapabilitySet;

/// SECCOMP_FILTER_FLAG_* of seccomp(2).
const FLAG_LOG: u32 = 1 << 1;
const FLAG_SPEC_ALLOW: u32 = 1 << 2;
const FLAG_NEW_LISTENER: u32 = 1 << 3;
const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// The flags of profiles that are understood, for `features`.
pub const FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

/// A compiled filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// As `struct sock_filter` lies in memory.
    program: Vec<u64>,
    flags: u32,
    /// The socket to which the descriptor of notifications is sent, and what is sent beside it.
    pub listener: Option<Listener>,
}

/// Who answers `SCMP_ACT_NOTIFY`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The path of a unix socket.
    pub path: String,
    /// Free text for it.
    pub metadata: String,
}

impl Filter {
    /// Compiles a filter for this machine.
    ///
    /// # Errors
    /// When a word is unknown, a number is out of its range, or the program would be longer than the
    /// kernel takes.
    pub fn compile(seccomp: &Seccomp) -> Result<Self> {
        let policy = rules::Policy::of(seccomp, Architecture::native())?;
        let program = program::compile(&policy)?.into_iter().map(Instruction::encode).collect();
        let listener = policy.notifies.then(|| Listener {
            path: seccomp.listener_path.clone(),
            metadata: seccomp.listener_metadata.clone(),
        });
        if listener.as_ref().is_some_and(|listener| listener.path.is_empty()) {
            return Err(Error::invalid("seccomp: SCMP_ACT_NOTIFY needs a listenerPath"));
        }
        let flags = flags(&seccomp.flags, listener.is_some())?;
        Ok(Self { program, flags, listener })
    }

    /// How many instructions it has.
    #[must_use]
    pub fn length(&self) -> usize {
        self.program.len()
    }

    /// Installs it for the calling thread, for ever. Returns the descriptor of notifications, when it
    /// has a listener. Allocates nothing.
    ///
    /// # Errors
    /// The kernel's: EACCES without `no_new_privileges` and without CAP_SYS_ADMIN.
    pub fn install(&self) -> std::io::Result<Option<OwnedFd>> {
        match dhow_sys::seccomp::install(&self.program, self.flags) {
            // Kernels before 4.17 do not know it; they always do what it asks for.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && self.flags & FLAG_SPEC_ALLOW != 0 => {
                dhow_sys::seccomp::install(&self.program, self.flags & !FLAG_SPEC_ALLOW)
            }
            result => result,
        }
    }
}

/// What the conditions of a profile's rules are about, on this machine.
#[must_use]
pub fn circumstances(capabilities: CapabilitySet) -> Circumstances {
    let release = rustix::system::uname();
    // A kernel whose release has no such form would be one of its own kind, and surely not an old one.
    let kernel = kernel_version(&release.release().to_string_lossy()).unwrap_or((u32::MAX, 0));
    Circumstances { capabilities, architecture: std::env::consts::ARCH, kernel }
}

fn flags(names: &[String], has_listener: bool) -> Result<u32> {
    let mut flags = if has_listener { FLAG_NEW_LISTENER } else { 0 };
    if names.is_empty() {
        // Without it, programs under a filter lose speculation on processors that need SSBD; runc's
        // default too.
        flags |= FLAG_SPEC_ALLOW;
    }
    for name in names {
        flags |= match name.as_str() {
            // The process that installs the filter has one thread.
            "SECCOMP_FILTER_FLAG_TSYNC" => 0,
            "SECCOMP_FILTER_FLAG_LOG" => FLAG_LOG,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => FLAG_SPEC_ALLOW,
            // The kernel refuses it where nobody is notified.
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" if has_listener => FLAG_WAIT_KILLABLE_RECV,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => 0,
            unknown => return Err(Error::invalid(format!("seccomp flag {unknown:?} is unknown"))),
        };
    }
    Ok(flags)
}

#[cfg(test)]
mod interpreter;
#[cfg(test)]
mod tests;
