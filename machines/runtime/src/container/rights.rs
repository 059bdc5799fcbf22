//! Capability sets as bits.

use dhow_oci::runtime::Capabilities;

/// capabilities(7), by number.
pub(crate) const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// All names as the specification writes them.
#[must_use]
pub fn names() -> Vec<String> {
    NAMES.iter().map(|name| format!("CAP_{name}")).collect()
}

/// The five sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) bounding: u64,
    pub(super) effective: u64,
    pub(super) permitted: u64,
    pub(super) inheritable: u64,
    pub(super) ambient: u64,
}

impl Rights {
    /// Reads the names; one that the kernel does not know is left out, as the specification allows.
    pub(super) fn parse(sets: &Capabilities) -> Self {
        Self {
            bounding: bits(&sets.bounding),
            effective: bits(&sets.effective),
            permitted: bits(&sets.permitted),
            inheritable: bits(&sets.inheritable),
            ambient: bits(&sets.ambient),
        }
    }

    /// What of it can be had by a process that may have `permitted`: where the runtime itself was not
    /// given a capability, it cannot hand it on.
    pub(super) const fn within(self, permitted: u64) -> Self {
        Self {
            bounding: self.bounding,
            effective: self.effective & self.permitted & permitted,
            permitted: self.permitted & permitted,
            inheritable: self.inheritable & permitted,
            ambient: self.ambient & self.permitted & self.inheritable & permitted,
        }
    }
}

fn bits(names: &[String]) -> u64 {
    let number = |name: &String| {
        let plain = name.strip_prefix("CAP_").unwrap_or(name);
        NAMES.iter().position(|known| *known == plain)
    };
    names.iter().filter_map(number).fold(0, |set, number| set | (1 << number))
}
