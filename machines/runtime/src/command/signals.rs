//! Signals by name and number.

use dhow_model::{Error, Result};

const NAMES: [(&str, i32); 35] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("IOT", libc::SIGIOT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("POLL", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
    ("UNUSED", libc::SIGSYS),
];

/// As kill(1) counts them: the C library keeps two for itself.
const FIRST_REALTIME: i32 = 34;
const LAST: i32 = 64;

/// Reads `9`, `KILL`, `SIGKILL`, `RTMIN+3`, `RTMAX-1`.
pub(super) fn parse(text: &str) -> Result<i32> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = name
        .parse()
        .ok()
        .or_else(|| NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number))
        .or_else(|| realtime(name));
    match number {
        Some(number @ 0..=LAST) => Ok(number),
        _ => Err(Error::invalid(format!("unknown signal {text:?}"))),
    }
}

fn realtime(name: &str) -> Option<i32> {
    match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => Some(FIRST_REALTIME),
        (Some(more), _) => Some(FIRST_REALTIME + more.strip_prefix('+')?.parse::<u8>().map(i32::from).ok()?),
        (_, Some("")) => Some(LAST),
        (_, Some(less)) => Some(LAST - less.strip_prefix('-')?.parse::<u8>().map(i32::from).ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_in_every_form() {
        for (text, number) in
            [("9", 9), ("KILL", 9), ("sigterm", 15), ("RTMIN+3", 37), ("SIGRTMAX-1", 63), ("0", 0)]
        {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for wrong in ["", "SIG", "65", "-1", "FOO", "RTMIN+", "RTMIN+400"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
