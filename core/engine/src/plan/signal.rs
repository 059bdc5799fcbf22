//! Signals by name and number.

use dhow_model::{Error, Result};

const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// glibc's first real-time signal; the kernel's first two are its own.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// Reads `TERM`, `SIGTERM`, `15`, `RTMIN+3`, in any case.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub fn parse(text: &str) -> Result<i32> {
    let wrong = || Error::invalid(format!("invalid signal: {}", text.chars().take(64).collect::<String>()));
    if let Ok(number) = text.parse::<i32>() {
        return match number {
            1..=RTMAX => Ok(number),
            0 => Err(wrong()),
            _ => Err(Error::invalid(format!("the linux daemon does not support signal {number}"))),
        };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let plain = match name {
        "IOT" => "ABRT",
        "CLD" => "CHLD",
        "POLL" => "IO",
        other => other,
    };
    if let Some(index) = NAMES.iter().position(|known| *known == plain) {
        return i32::try_from(index + 1).map_err(|_| wrong());
    }
    let real_time = match (plain.strip_prefix("RTMIN"), plain.strip_prefix("RTMAX")) {
        (Some(rest), _) => offset(rest).map(|offset| RTMIN + offset),
        (_, Some(rest)) => offset(rest).map(|offset| RTMAX + offset),
        _ => None,
    };
    real_time.filter(|number| (RTMIN..=RTMAX).contains(number)).ok_or_else(wrong)
}

fn offset(text: &str) -> Option<i32> {
    if text.is_empty() { Some(0) } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_as_docker_reads_them() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGKILL", 9),
            ("sigint", 2),
            ("9", 9),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
        ] {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for wrong in ["", "0", "65", "-1", "NOPE", "RTMIN+40", "SIG"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
