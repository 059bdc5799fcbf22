//! Limits of a process and shares of CPUs.

use dhow_model::container;
use serde::Serialize;

use super::number;

/// A limit of the process (`--ulimit name=soft[:hard]`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Ulimit {
    pub(crate) name: String,
    hard: i64,
    soft: i64,
}

impl Ulimit {
    pub(crate) fn parse(value: &str) -> Result<Ulimit, String> {
        let (name, limits) =
            value.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {value}"))?;
        if !container::Ulimit::NAMES.contains(&name) {
            return Err(format!("invalid ulimit type: {name}"));
        }
        let number = |text: &str| {
            number::signed_decimal(text)
                .ok_or_else(|| format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"))
        };
        let parts: Vec<&str> = limits.split(':').collect();
        let (soft, hard) = match parts.as_slice() {
            [both] => (number(both)?, number(both)?),
            [soft, hard] => {
                let hard = number(hard)?;
                (number(soft)?, hard)
            }
            _ => {
                return Err(format!(
                    "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
                ));
            }
        };
        let above = "ulimit soft limit must be less than or equal to hard limit";
        match (soft, hard) {
            (_, -1) => {}
            (-1, hard) => return Err(format!("{above}: soft: -1 (unlimited), hard: {hard}")),
            (soft, hard) if soft > hard => return Err(format!("{above}: {soft} > {hard}")),
            _ => {}
        }
        Ok(Ulimit { name: name.to_owned(), hard, soft })
    }
}

/// Reads a number of CPUs (`1.5`, `3/2`) in billionths of one.
pub(crate) fn cpus(value: &str) -> Result<i64, String> {
    let invalid = || format!("failed to parse {value} as a rational number");
    let (numerator, denominator) = match value.split_once('/') {
        Some((numerator, denominator)) => {
            (decimal(numerator).ok_or_else(invalid)?, decimal(denominator).ok_or_else(invalid)?)
        }
        None => (decimal(value).ok_or_else(invalid)?, (1, 1)),
    };
    // Both are fractions: (a/b) / (c/d).
    let top = numerator.0.checked_mul(denominator.1).and_then(|top| top.checked_mul(1_000_000_000));
    let bottom = numerator.1.checked_mul(denominator.0);
    match (top, bottom) {
        (Some(top), Some(bottom)) if bottom != 0 && top % bottom == 0 => {
            // What no number can hold is the engine's to refuse.
            Ok(i64::try_from(top / bottom).unwrap_or(i64::MAX))
        }
        (Some(_), Some(0)) => Err(invalid()),
        _ => Err("value is too precise".to_owned()),
    }
}

/// A decimal number as a fraction.
fn decimal(text: &str) -> Option<(i128, i128)> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 24 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: i128 = digits.parse().ok()?;
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    Some((if negative { -value } else { value }, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_a_process() {
        let limit = |soft, hard| Ulimit { name: "nofile".to_owned(), hard, soft };
        assert_eq!(Ulimit::parse("nofile=512:1024"), Ok(limit(512, 1024)));
        assert_eq!(Ulimit::parse("nofile=512"), Ok(limit(512, 512)));
        assert_eq!(Ulimit::parse("nofile=512:-1"), Ok(limit(512, -1)));
        assert_eq!(Ulimit::parse("nofile=-1"), Ok(limit(-1, -1)));
        assert_eq!(Ulimit::parse("nofile").unwrap_err(), "invalid ulimit argument: nofile");
        assert_eq!(Ulimit::parse("x=1").unwrap_err(), "invalid ulimit type: x");
        let above = "ulimit soft limit must be less than or equal to hard limit";
        assert_eq!(Ulimit::parse("nofile=2:1").unwrap_err(), format!("{above}: 2 > 1"));
        assert!(Ulimit::parse("nofile=1:2:3").unwrap_err().starts_with("too many limit value"));
    }

    #[test]
    fn cpus_are_counted_in_billionths() {
        assert_eq!(cpus("1.5"), Ok(1_500_000_000));
        assert_eq!(cpus("0.000000001"), Ok(1));
        assert_eq!(cpus("3/2"), Ok(1_500_000_000));
        assert_eq!(cpus("0.0000000001").unwrap_err(), "value is too precise");
        assert_eq!(cpus("x").unwrap_err(), "failed to parse x as a rational number");
    }
}
