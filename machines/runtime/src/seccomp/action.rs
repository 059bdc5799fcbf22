//! What is done with a system call.

use dhow_model::error::{Error, Result};

/// The names of profiles, for `features`.
pub const NAMES: [&str; 9] = [
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
];

/// An action as the filter returns it: SECCOMP_RET_*, with data in the lower half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Action(u32);

impl Action {
    /// The process ends as of SIGSYS.
    pub const KILL_PROCESS: Self = Self(0x8000_0000);
    /// The thread ends.
    pub const KILL_THREAD: Self = Self(0);
    /// It is done.
    pub const ALLOW: Self = Self(0x7fff_0000);
    const TRAP: Self = Self(0x0003_0000);
    const LOG: Self = Self(0x7ffc_0000);
    /// A listener is asked.
    pub const NOTIFY: Self = Self(0x7fc0_0000);
    const ERRNO: u32 = 0x0005_0000;
    const TRACE: u32 = 0x7ff0_0000;

    /// It is answered with an error.
    #[must_use]
    pub const fn errno(errno: u16) -> Self {
        Self(Self::ERRNO | errno as u32)
    }

    /// The action of a name, with the error or the data for a tracer (EPERM when not given).
    ///
    /// # Errors
    /// When the name is unknown, or the number has no room.
    pub fn parse(name: &str, errno: Option<u32>) -> Result<Self> {
        let with_data = |action: u32, largest: u32| {
            let data = errno.unwrap_or(libc::EPERM.cast_unsigned());
            if data > largest {
                return Err(Error::invalid(format!("seccomp: errnoRet {data} of {name} is above {largest}")));
            }
            Ok(Self(action | data))
        };
        match name {
            "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Ok(Self::KILL_THREAD),
            "SCMP_ACT_KILL_PROCESS" => Ok(Self::KILL_PROCESS),
            "SCMP_ACT_TRAP" => Ok(Self::TRAP),
            // The kernel knows errors up to 4095 and would cut others to that.
            "SCMP_ACT_ERRNO" => with_data(Self::ERRNO, 4095),
            "SCMP_ACT_TRACE" => with_data(Self::TRACE, 0xffff),
            "SCMP_ACT_ALLOW" => Ok(Self::ALLOW),
            "SCMP_ACT_LOG" => Ok(Self::LOG),
            "SCMP_ACT_NOTIFY" => Ok(Self::NOTIFY),
            unknown => Err(Error::invalid(format!("seccomp: unknown action {unknown:?}"))),
        }
    }

    /// Whether the call is done, perhaps with a tracer's say.
    #[must_use]
    pub const fn is_permissive(self) -> bool {
        matches!(self, Self::ALLOW | Self::LOG) || self.0 & 0xffff_0000 == Self::TRACE
    }

    /// What the program returns.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}
