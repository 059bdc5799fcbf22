//! Sizes as people write them.

use dhow_model::{Error, Result};

/// Reads `10m`, `1GB`, `1.5k`, `4096`; units are powers of 1024.
///
/// # Errors
/// Invalid argument for anything else, and for 0.
pub fn size(text: &str) -> Result<u64> {
    read(text, 1024.0)
}

/// The same with powers of 1000, as Docker reads the sizes of log files.
///
/// # Errors
/// As [`size`].
pub fn decimal(text: &str) -> Result<u64> {
    read(text, 1000.0)
}

fn read(text: &str, base: f64) -> Result<u64> {
    let wrong = || Error::invalid(format!("invalid size: '{text}'"));
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let unit = unit.strip_suffix('i').unwrap_or(unit);
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = number * base.powi(power);
    if !(1.0..9e18).contains(&bytes) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "its range was checked")]
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        for (text, binary, thousands) in [
            ("4096", 4096, 4096),
            ("10m", 10 << 20, 10_000_000),
            ("1.5 KiB", 1536, 1500),
            ("1GB", 1 << 30, 1_000_000_000),
        ] {
            assert_eq!((size(text).unwrap(), decimal(text).unwrap()), (binary, thousands), "{text}");
        }
        for wrong in ["", "ten", "-1", "0", "10x", "1.2.3m", "99999999999999999999g", "m", "NaN", "inf"] {
            assert_eq!(size(wrong).unwrap_err().to_string(), format!("invalid size: '{wrong}'"));
        }
    }
}
