//! The numbers of a system call.

use super::architecture::{Architecture, X32_BIT};
use super::table::{ROWS, Row};

/// A system call that some architecture has.
#[derive(Debug, Clone, Copy)]
pub struct SystemCall(&'static Row);

impl SystemCall {
    /// The call of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        ROWS.binary_search_by_key(&name, |row| row.0).ok().map(|at| Self(&ROWS[at]))
    }

    /// Every call, by name.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(Self)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0.0
    }

    /// Its number, with the mark of x32.
    #[must_use]
    pub fn number(self, architecture: Architecture) -> Option<u32> {
        let (_, x86_64, x86, x32, arm, aarch64) = *self.0;
        let number = match architecture {
            Architecture::X86_64 => x86_64,
            Architecture::X86 => x86,
            Architecture::X32 => return u32::try_from(x32).ok().map(|number| number | X32_BIT),
            Architecture::Arm => arm,
            Architecture::Aarch64 => aarch64,
        };
        u32::try_from(number).ok()
    }

    /// x86 also makes these calls through one of two collecting calls, whose first argument tells which:
    /// the collecting call's name and that argument.
    #[must_use]
    pub fn multiplexed(self) -> Option<(&'static str, u64)> {
        let find =
            |list: &[(&str, u64)]| list.iter().find(|entry| entry.0 == self.name()).map(|entry| entry.1);
        find(SOCKETCALL).map(|which| ("socketcall", which)).or_else(|| find(IPC).map(|which| ("ipc", which)))
    }
}

/// First arguments of socketcall(2).
const SOCKETCALL: &[(&str, u64)] = &[
    ("socket", 1),
    ("bind", 2),
    ("connect", 3),
    ("listen", 4),
    ("accept", 5),
    ("getsockname", 6),
    ("getpeername", 7),
    ("socketpair", 8),
    ("send", 9),
    ("recv", 10),
    ("sendto", 11),
    ("recvfrom", 12),
    ("shutdown", 13),
    ("setsockopt", 14),
    ("getsockopt", 15),
    ("sendmsg", 16),
    ("recvmsg", 17),
    ("accept4", 18),
    ("recvmmsg", 19),
    ("sendmmsg", 20),
];

/// First arguments of ipc(2).
const IPC: &[(&str, u64)] = &[
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];
