//! Which devices a container may use.
//!
//! A list of rules, applied in order as version 1's device controller would, comes to a [`Policy`]:
//! what happens to every device, and exceptions from that. Version 1 gets the policy as lines in
//! `devices.allow` and `devices.deny`; version 2 as an eBPF program ([`program`]).

pub mod program;

use std::collections::BTreeMap;
use std::fmt;

use dhow_model::error::{Error, Result};
use dhow_oci::runtime::DeviceRule;

/// Block or character device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Character.
    Character,
    /// Block.
    Block,
}

/// Read, write and mknod, as bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access(u8);

impl Access {
    /// `m`; these three have the numbers of `BPF_DEVCG_ACC_*`.
    pub const MKNOD: Self = Self(1);
    /// `r`.
    pub const READ: Self = Self(2);
    /// `w`.
    pub const WRITE: Self = Self(4);
    /// `rwm`.
    pub const ALL: Self = Self(7);

    /// Parses letters of `r`, `w`, `m`.
    fn parse(text: &str) -> Option<Self> {
        text.chars().try_fold(Self::default(), |access, letter| {
            let bit = match letter {
                'r' => Self::READ,
                'w' => Self::WRITE,
                'm' => Self::MKNOD,
                _ => return None,
            };
            Some(Self(access.0 | bit.0))
        })
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From bits.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(Self::READ, "r"), (Self::WRITE, "w"), (Self::MKNOD, "m")] {
            if self.0 & bit.0 != 0 {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// Which devices a rule is about; none is every number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Devices {
    /// Major number.
    pub major: Option<u32>,
    /// Minor number.
    pub minor: Option<u32>,
    /// Block or character.
    pub kind: Kind,
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |n| n.to_string());
        let kind = if self.kind == Kind::Block { 'b' } else { 'c' };
        write!(f, "{kind} {}:{}", number(self.major), number(self.minor))
    }
}

/// What is done about devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// What is not an exception is allowed.
    pub allowed_by_default: bool,
    /// Denied when devices are allowed by default, and the other way round.
    pub exceptions: BTreeMap<Devices, Access>,
}

/// What every container may use: the runtime specification's default devices, terminals, and the making
/// of nodes that cannot be opened. Its /dev/console is a terminal of its own; 5:1 is the machine's.
const ALWAYS_ALLOWED: &[(Kind, Option<u32>, Option<u32>, Access)] = &[
    (Kind::Character, None, None, Access::MKNOD),
    (Kind::Block, None, None, Access::MKNOD),
    (Kind::Character, Some(1), Some(3), Access::ALL), // null
    (Kind::Character, Some(1), Some(5), Access::ALL), // zero
    (Kind::Character, Some(1), Some(7), Access::ALL), // full
    (Kind::Character, Some(1), Some(8), Access::ALL), // random
    (Kind::Character, Some(1), Some(9), Access::ALL), // urandom
    (Kind::Character, Some(5), Some(0), Access::ALL), // tty
    (Kind::Character, Some(5), Some(2), Access::ALL), // ptmx
    (Kind::Character, Some(136), None, Access::ALL),  // pts
];

impl Policy {
    /// The policy of a new container: nothing, then its rules, then what every container may use.
    ///
    /// # Errors
    /// When a rule is none, or would cut a hole into a wildcard.
    pub fn of_container(rules: &[DeviceRule]) -> Result<Self> {
        let mut policy = Self::of_rules(rules)?;
        for &(kind, major, minor, access) in ALWAYS_ALLOWED {
            policy.apply(true, Devices { major, minor, kind }, access)?;
        }
        Ok(policy)
    }

    /// The policy to which rules come, beginning with nothing allowed.
    ///
    /// # Errors
    /// As above.
    pub fn of_rules(rules: &[DeviceRule]) -> Result<Self> {
        let mut policy = Self::default();
        for rule in rules {
            policy.apply_rule(rule)?;
        }
        Ok(policy)
    }

    /// What `devices.list` of version 1 tells. It does not tell what is denied where devices are
    /// allowed by default.
    #[must_use]
    pub fn of_list(list: &str) -> Self {
        let mut policy = Self::default();
        for line in list.lines() {
            if line.starts_with('a') {
                return Self { allowed_by_default: true, exceptions: BTreeMap::new() };
            }
            if let Some((devices, access)) = parse_list_line(line) {
                policy.exceptions.insert(devices, access);
            }
        }
        policy
    }

    /// Everything, without exception.
    #[must_use]
    pub fn allows_all(&self) -> bool {
        self.allowed_by_default && self.exceptions.is_empty()
    }

    /// Whether a device may be used so. One exception must cover all of `access` to allow it; to deny
    /// it, a part is enough. So does the kernel in version 1.
    #[must_use]
    pub fn allows(&self, kind: Kind, major: u32, minor: u32, access: Access) -> bool {
        let is_met = self.exceptions.iter().any(|(devices, exception)| {
            let same = devices.kind == kind
                && devices.major.is_none_or(|each| each == major)
                && devices.minor.is_none_or(|each| each == minor);
            let shared = access.0 & exception.0;
            same && if self.allowed_by_default { shared != 0 } else { shared == access.0 }
        });
        is_met != self.allowed_by_default
    }

    fn apply_rule(&mut self, rule: &DeviceRule) -> Result<()> {
        let invalid = || Error::invalid(format!("invalid device rule {rule:?}"));
        let kind = match rule.kind.as_str() {
            "" | "a" => {
                *self = Self { allowed_by_default: rule.allow, exceptions: BTreeMap::new() };
                return Ok(());
            }
            "b" => Kind::Block,
            "c" | "u" => Kind::Character,
            _ => return Err(invalid()),
        };
        let number = |number: Option<i64>| match number {
            None | Some(-1) => Ok(None),
            Some(number) => u32::try_from(number).map(Some).map_err(|_| invalid()),
        };
        let devices = Devices { kind, major: number(rule.major)?, minor: number(rule.minor)? };
        let access = Access::parse(&rule.access).ok_or_else(invalid)?;
        self.apply(rule.allow, devices, access)
    }

    fn apply(&mut self, allow: bool, devices: Devices, access: Access) -> Result<()> {
        if access.is_empty() {
            return Ok(());
        }
        if allow != self.allowed_by_default {
            self.exceptions.entry(devices).or_default().0 |= access.0;
            return Ok(());
        }
        self.refuse_hole(devices, access)?;
        if let Some(exception) = self.exceptions.get_mut(&devices) {
            exception.0 &= !access.0;
            if exception.is_empty() {
                self.exceptions.remove(&devices);
            }
        }
        Ok(())
    }

    /// The kernel would pass over a rule that takes a part out of a wildcard without a word, and the
    /// user would believe it. A wider exception of the same outcome is fine.
    fn refuse_hole(&self, devices: Devices, access: Access) -> Result<()> {
        for (wild_major, wild_minor) in [(true, false), (false, true), (true, true)] {
            let wildcard = Devices {
                kind: devices.kind,
                major: devices.major.filter(|_| !wild_major),
                minor: devices.minor.filter(|_| !wild_minor),
            };
            let Some(exception) = self.exceptions.get(&wildcard) else { continue };
            if wildcard != devices && exception.0 & access.0 != 0 {
                let message =
                    format!("device rule {devices} {access} would cut a hole into {wildcard} {exception}");
                return Err(Error::invalid(message));
            }
        }
        Ok(())
    }
}

/// A line of `devices.allow` (else `devices.deny`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which of the two files.
    pub allow: bool,
    /// `c 1:3 rwm`.
    pub text: String,
}

/// The lines that make `target` of what a cgroup of version 1 has now, without taking away for a
/// moment what is allowed before and after, where that can be.
#[must_use]
pub fn transition(current: &Policy, target: &Policy) -> Vec<Line> {
    let mut lines = Vec::new();
    // What is denied in a cgroup that allows by default cannot be read back: begin anew, unless there
    // is nothing to be done.
    let anew = current.allowed_by_default != target.allowed_by_default
        || (current.allowed_by_default && !target.exceptions.is_empty());
    let nothing = BTreeMap::new();
    let old = if anew { &nothing } else { &current.exceptions };
    if anew {
        lines.push(Line { allow: target.allowed_by_default, text: "a".to_owned() });
    }
    for (devices, access) in &target.exceptions {
        let added = Access(access.0 & !old.get(devices).copied().unwrap_or_default().0);
        if !added.is_empty() {
            lines.push(Line { allow: !target.allowed_by_default, text: format!("{devices} {added}") });
        }
    }
    for (devices, access) in old {
        let taken = Access(access.0 & !target.exceptions.get(devices).copied().unwrap_or_default().0);
        if !taken.is_empty() {
            lines.push(Line { allow: target.allowed_by_default, text: format!("{devices} {taken}") });
        }
    }
    lines
}

/// `c 1:3 rwm`.
fn parse_list_line(line: &str) -> Option<(Devices, Access)> {
    let mut fields = line.split([' ', ':']);
    let kind = match fields.next()? {
        "b" => Kind::Block,
        "c" => Kind::Character,
        _ => return None,
    };
    let mut number = || match fields.next()? {
        "*" => Some(None),
        number => number.parse().ok().map(Some),
    };
    let (major, minor) = (number()?, number()?);
    Some((Devices { major, minor, kind }, Access::parse(fields.next()?)?))
}

#[cfg(test)]
mod tests;
