//! One record of comma-separated values, with Go's rules for quotes: `type=bind,"source=/a,b"`.

/// Splits one record into its fields.
pub(crate) fn fields(record: &str) -> Result<Vec<String>, String> {
    if record.is_empty() {
        return Err("EOF".to_owned());
    }
    let mut fields = Vec::new();
    let mut rest = record;
    loop {
        let (field, tail) = match rest.strip_prefix('"') {
            Some(inner) => quoted(inner)?,
            None => plain(rest)?,
        };
        fields.push(field);
        match tail {
            Some(tail) => rest = tail,
            None => return Ok(fields),
        }
    }
}

fn plain(text: &str) -> Result<(String, Option<&str>), String> {
    let (field, tail) = match text.split_once(',') {
        Some((field, tail)) => (field, Some(tail)),
        None => (text, None),
    };
    if field.contains('"') {
        return Err("parse error on line 1: bare \" in non-quoted-field".to_owned());
    }
    Ok((field.to_owned(), tail))
}

fn quoted(text: &str) -> Result<(String, Option<&str>), String> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let Some((part, tail)) = rest.split_once('"') else {
            return Err("parse error on line 1: extraneous or missing \" in quoted-field".to_owned());
        };
        field.push_str(part);
        match tail.as_bytes().first() {
            Some(b'"') => {
                field.push('"');
                rest = &tail[1..];
            }
            Some(b',') => return Ok((field, Some(&tail[1..]))),
            None => return Ok((field, None)),
            Some(_) => {
                return Err("parse error on line 1: extraneous or missing \" in quoted-field".to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_commas_together() {
        assert_eq!(fields("a=b,c").unwrap(), ["a=b", "c"]);
        assert_eq!(fields("\"a=b,c\",d").unwrap(), ["a=b,c", "d"]);
        assert_eq!(fields("\"a\"\"b\",").unwrap(), ["a\"b", ""]);
        assert!(fields("a\"b").unwrap_err().contains("bare"));
        assert!(fields("\"a").unwrap_err().contains("extraneous or missing"));
        assert!(fields("\"a\"b").unwrap_err().contains("extraneous or missing"));
    }
}
