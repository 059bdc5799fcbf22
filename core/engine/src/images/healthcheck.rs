//! `HEALTHCHECK` of a Dockerfile.

use dhow_model::{Error, Result};
use dhow_oci::image::Healthcheck;

/// The shortest time that may be asked for, in nanoseconds.
const SHORTEST: f64 = 1e6;

/// Reads `[--interval=…] … CMD …`, or `NONE`.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub(super) fn read(text: &str) -> Result<Healthcheck> {
    let mut check = Healthcheck::default();
    let mut rest = text.trim();
    while rest.starts_with("--") {
        let (flag, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        set(&mut check, flag)?;
        rest = after.trim_start();
    }
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let command = command.trim();
    check.test = Some(match kind.to_uppercase().as_str() {
        "NONE" if command.is_empty() => vec!["NONE".into()],
        "NONE" => return Err(Error::invalid("HEALTHCHECK NONE takes no arguments")),
        "CMD" if command.is_empty() => return Err(Error::invalid("Missing command after HEALTHCHECK CMD")),
        "CMD" => match serde_json::from_str::<Vec<String>>(command) {
            Ok(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
            Err(_) => vec!["CMD-SHELL".into(), command.into()],
        },
        other => {
            return Err(Error::invalid(format!("Unknown type {other:?} in HEALTHCHECK (try CMD)")));
        }
    });
    Ok(check)
}

fn set(check: &mut Healthcheck, flag: &str) -> Result<()> {
    let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
    let place = match name {
        "--interval" => &mut check.interval,
        "--timeout" => &mut check.timeout,
        "--start-period" => &mut check.start_period,
        "--start-interval" => &mut check.start_interval,
        "--retries" => {
            let count = value.parse::<u16>().ok();
            let count =
                count.ok_or_else(|| Error::invalid(format!("invalid number of retries: {value:?}")))?;
            check.retries = count.into();
            return Ok(());
        }
        _ => return Err(Error::invalid(format!("unknown flag: {}", name.trim_start_matches('-')))),
    };
    *place = nanoseconds(value).ok_or_else(|| Error::invalid(format!("time: invalid duration {value:?}")))?;
    Ok(())
}

/// `1m30s`, as Go writes it: nothing, or a millisecond and more.
fn nanoseconds(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let (mut total, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (value, unit) = rest.split_at(number);
        let end = unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit.len());
        let factor = match &unit[..end] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        total += value.parse::<f64>().ok()? * factor;
        rest = &unit[end..];
    }
    let allowed = !text.is_empty() && (total == 0.0 || total >= SHORTEST);
    std::time::Duration::try_from_secs_f64(total / 1e9).ok().filter(|_| allowed)?.as_nanos().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_read_with_their_options() {
        let check =
            read("--interval=1m30s --timeout=1.5s --retries=4 CMD [\"test\", \"-f\", \"/x y\"]").unwrap();
        assert_eq!((check.interval, check.timeout, check.retries), (90_000_000_000, 1_500_000_000, 4));
        assert_eq!(check.test.unwrap(), ["CMD", "test", "-f", "/x y"]);
        assert_eq!(read("cmd true || false").unwrap().test.unwrap(), ["CMD-SHELL", "true || false"]);
        assert_eq!(read("NONE").unwrap().test.unwrap(), ["NONE"]);
        for (wrong, words) in [
            ("NONE x", "HEALTHCHECK NONE takes no arguments"),
            ("CMD", "Missing command after HEALTHCHECK CMD"),
            ("RUN x", "Unknown type \"RUN\" in HEALTHCHECK (try CMD)"),
            ("--interval=5 CMD x", "time: invalid duration \"5\""),
            ("--interval=1us CMD x", "time: invalid duration \"1us\""),
            ("--bad=5 CMD x", "unknown flag: bad"),
        ] {
            assert_eq!(read(wrong).unwrap_err().to_string(), words);
        }
    }
}
