//! Sizes as people write them: `512m`, `1.5GiB`, `10 kb`.

/// Reads a size whose units count in 1024.
pub(crate) fn binary(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let last = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ').ok_or_else(invalid)?;
    let suffix = &text[last + 1..];
    let number = if text.as_bytes()[last] == b' ' { &text[..last] } else { &text[..=last] };
    let size: f64 =
        number.parse().map_err(|_| format!("strconv.ParseFloat: parsing \"{number}\": invalid syntax"))?;
    if size.is_nan() || size < 0.0 {
        return Err(invalid());
    }
    let factor = factor(suffix).ok_or_else(|| format!("invalid suffix: '{}'", suffix.to_lowercase()))?;
    Ok(truncate(size * factor))
}

fn factor(suffix: &str) -> Option<f64> {
    let lower = suffix.to_ascii_lowercase();
    let unit = lower.strip_suffix("ib").or_else(|| lower.strip_suffix('b')).unwrap_or(&lower);
    let power = match unit {
        "" if lower.len() <= 1 => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    Some(1024_f64.powi(power))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, and a fraction of a byte is dropped"
)]
fn truncate(size: f64) -> i64 {
    size as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_with_and_without_units() {
        for (text, size) in [
            ("32", 32),
            ("32b", 32),
            ("32k", 32 << 10),
            ("32KB", 32 << 10),
            ("32KiB", 32 << 10),
            ("1.5g", 3 << 29),
            ("32 mb", 32 << 20),
            ("2p", 2 << 50),
            ("4.", 4),
        ] {
            assert_eq!(binary(text), Ok(size), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_in_docker_s_words() {
        assert_eq!(binary("x").unwrap_err(), "invalid size: 'x'");
        assert_eq!(binary("").unwrap_err(), "invalid size: ''");
        assert_eq!(binary("32kbb").unwrap_err(), "invalid suffix: 'kbb'");
        assert_eq!(binary("32ib").unwrap_err(), "invalid suffix: 'ib'");
        assert_eq!(binary("-32").unwrap_err(), "invalid size: '-32'");
        assert_eq!(binary("1 2 m").unwrap_err(), "strconv.ParseFloat: parsing \"1 2\": invalid syntax");
    }
}
