//! Capabilities by name and number, Docker's default set, and how `--cap-add` and `--cap-drop` change it.

use std::fmt;

/// capabilities(7) without `CAP_`, by number.
pub const NAMES: [&str; 41] = [
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

/// What a container has when nothing is asked for: Docker's fourteen.
pub const DEFAULT: CapabilitySet = CapabilitySet(
    (1 << 0) // CHOWN
        | (1 << 1) // DAC_OVERRIDE
        | (1 << 3) // FOWNER
        | (1 << 4) // FSETID
        | (1 << 5) // KILL
        | (1 << 6) // SETGID
        | (1 << 7) // SETUID
        | (1 << 8) // SETPCAP
        | (1 << 10) // NET_BIND_SERVICE
        | (1 << 13) // NET_RAW
        | (1 << 18) // SYS_CHROOT
        | (1 << 27) // MKNOD
        | (1 << 29) // AUDIT_WRITE
        | (1 << 31), // SETFCAP
);

/// A set of capabilities; bit n is capability n.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CapabilitySet(pub u64);

/// A name that is no capability's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability: \"{0}\"")]
pub struct UnknownCapability(pub String);

impl CapabilitySet {
    /// Every capability up to `last`, the last one the kernel knows.
    #[must_use]
    pub const fn up_to(last: u32) -> Self {
        if last >= 63 { Self(u64::MAX) } else { Self((1 << (last + 1)) - 1) }
    }

    /// The set of some names, and those that are no capability's.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> (Self, Vec<&'a str>) {
        let (mut set, mut unknown) = (Self::default(), Vec::new());
        for name in names {
            match number(name) {
                Some(number) => set.0 |= 1 << number,
                None => unknown.push(name),
            }
        }
        (set, unknown)
    }

    /// Whether a capability is in it.
    #[must_use]
    pub fn contains(self, name: &str) -> bool {
        number(name).is_some_and(|number| self.0 & (1 << number) != 0)
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this one only.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Names with `CAP_`, by number.
    #[must_use]
    pub fn names(self) -> Vec<String> {
        let is_in = |(number, _): &(usize, &&str)| self.0 & (1 << number) != 0;
        NAMES.iter().enumerate().filter(is_in).map(|(_, name)| format!("CAP_{name}")).collect()
    }

    /// The set after `--cap-add` and `--cap-drop`, with or without `CAP_`, in either case.
    ///
    /// `ALL` added: all but what is dropped. `ALL` dropped: what is added. Else what is dropped goes, and
    /// then what is added comes. `all` is what the kernel knows.
    ///
    /// # Errors
    /// When a name is none.
    pub fn adjusted(self, add: &[String], drop: &[String], all: Self) -> Result<Self, UnknownCapability> {
        let (added, adds_all) = parse_options(add)?;
        let (dropped, drops_all) = parse_options(drop)?;
        Ok(if adds_all {
            all.without(dropped)
        } else if drops_all {
            added
        } else {
            Self(self.without(dropped).0 | added.0)
        })
    }
}

/// The number of a capability, of its name with or without `CAP_`.
#[must_use]
pub fn number(name: &str) -> Option<usize> {
    let plain = name.strip_prefix("CAP_").unwrap_or(name);
    NAMES.iter().position(|known| *known == plain)
}

/// The options of one kind; `true` when one of them is `ALL`.
fn parse_options(names: &[String]) -> Result<(CapabilitySet, bool), UnknownCapability> {
    let (mut set, mut has_all) = (CapabilitySet::default(), false);
    for name in names {
        let name = name.to_ascii_uppercase();
        match number(&name) {
            Some(number) => set.0 |= 1 << number,
            None if name == "ALL" || name == "CAP_ALL" => has_all = true,
            None if name.starts_with("CAP_") => return Err(UnknownCapability(name)),
            None => return Err(UnknownCapability(format!("CAP_{name}"))),
        }
    }
    Ok((set, has_all))
}

impl fmt::Display for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adjusted(add: &[&str], drop: &[&str]) -> Result<String, String> {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let set = CapabilitySet::parse(["CHOWN", "KILL"]).0;
        let all = CapabilitySet::parse(["CHOWN", "KILL", "BPF"]).0;
        set.adjusted(&own(add), &own(drop), all).map(|set| set.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn docker_gives_fourteen() {
        assert_eq!(DEFAULT.0.count_ones(), 14);
        let names = "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW \
                     SETFCAP SETGID SETPCAP SETUID SYS_CHROOT";
        assert_eq!(CapabilitySet::parse(names.split_whitespace()), (DEFAULT, vec![]));
    }

    #[test]
    fn options_change_the_set_as_dockers_do() {
        for (add, drop, expected) in [
            (&[][..], &[][..], "CAP_CHOWN, CAP_KILL"),
            (&["sys_admin"], &["cap_kill"], "CAP_CHOWN, CAP_SYS_ADMIN"),
            (&["ALL"], &["CHOWN"], "CAP_KILL, CAP_BPF"),
            (&["NET_RAW"], &["all"], "CAP_NET_RAW"),
            (&["ALL"], &["ALL"], "CAP_CHOWN, CAP_KILL, CAP_BPF"),
            (&["KILL"], &["KILL"], "CAP_CHOWN, CAP_KILL"),
            (&[], &["ALL"], ""),
        ] {
            assert_eq!(adjusted(add, drop).as_deref(), Ok(expected), "+{add:?} -{drop:?}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_told_in_dockers_words() {
        assert_eq!(adjusted(&["foo"], &[]).unwrap_err(), "unknown capability: \"CAP_FOO\"");
    }

    #[test]
    fn an_old_kernel_has_fewer() {
        assert_eq!(CapabilitySet::up_to(40).0.count_ones(), 41);
        assert!(!CapabilitySet::up_to(37).contains("CAP_PERFMON"));
        assert_eq!(CapabilitySet::up_to(63).0, u64::MAX);
    }
}
