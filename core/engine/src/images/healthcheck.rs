//! `HEALTHCHECK` of a Dockerfile.

use dhow_model::{Error, Result, duration};
use dhow_oci::image::Healthcheck;

/// The shortest time that may be asked for, in nanoseconds.
const SHORTEST: i64 = 1_000_000;

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
    *place = nanoseconds(name, value)?;
    Ok(())
}

/// Nothing, or a millisecond and more.
fn nanoseconds(name: &str, text: &str) -> Result<i64> {
    match if text.is_empty() { 0 } else { duration::parse(text)? } {
        length @ (0 | SHORTEST..) => Ok(length),
        _ => {
            let name = name.trim_start_matches('-');
            Err(Error::invalid(format!(
                "Interval {name:?} cannot be less than {}",
                duration::in_go(SHORTEST)
            )))
        }
    }
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
            ("--interval=5 CMD x", "time: missing unit in duration \"5\""),
            ("--interval=1us CMD x", "Interval \"interval\" cannot be less than 1ms"),
            ("--bad=5 CMD x", "unknown flag: bad"),
        ] {
            assert_eq!(read(wrong).unwrap_err().to_string(), words);
        }
    }
}
