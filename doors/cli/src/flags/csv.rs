//! One record of comma-separated values, with Go's rules for quotes: `type=bind,"source=/a,b"`.

/// Splits one record into its fields; an empty one has none.
pub(crate) fn fields_or_none(record: &str) -> Result<Vec<String>, String> {
    if record.is_empty() { Ok(Vec::new()) } else { fields(record) }
}

/// Splits one record into its fields.
pub(crate) fn fields(record: &str) -> Result<Vec<String>, String> {
    if record.is_empty() {
        return Err("EOF".to_owned());
    }
    let mut fields = Vec::new();
    let mut rest = record;
    loop {
        let read = match rest.strip_prefix('"') {
            Some(inner) => quoted(inner),
            None => plain(rest),
        };
        let (field, tail) = read.map_err(|wrong| {
            // Go counts bytes, from 1.
            let column = record.len() - wrong.left + 1;
            format!("parse error on line 1, column {column}: {}", wrong.words)
        })?;
        fields.push(field);
        match tail {
            Some(tail) => rest = tail,
            None => return Ok(fields),
        }
    }
}

/// What is wrong, and how many bytes of the record there are from there on.
struct Wrong {
    left: usize,
    words: &'static str,
}

/// A field, and what stands behind its comma.
type Field<'r> = (String, Option<&'r str>);

fn plain(text: &str) -> Result<Field<'_>, Wrong> {
    let (field, tail) = match text.split_once(',') {
        Some((field, tail)) => (field, Some(tail)),
        None => (text, None),
    };
    match field.find('"') {
        Some(at) => Err(Wrong { left: text.len() - at, words: "bare \" in non-quoted-field" }),
        None => Ok((field.to_owned(), tail)),
    }
}

fn quoted(text: &str) -> Result<Field<'_>, Wrong> {
    let wrong = |left| Wrong { left, words: "extraneous or missing \" in quoted-field" };
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, tail) = rest.split_once('"').ok_or_else(|| wrong(0))?;
        field.push_str(part);
        match tail.as_bytes().first() {
            Some(b'"') => {
                field.push('"');
                rest = &tail[1..];
            }
            Some(b',') => return Ok((field, Some(&tail[1..]))),
            None => return Ok((field, None)),
            Some(_) => return Err(wrong(tail.len() + 1)),
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
        assert!(fields("a\"b").unwrap_err().contains("column 2: bare"));
        assert!(fields("\"a").unwrap_err().contains("column 3: extraneous or missing"));
        assert!(fields("\"a\"b").unwrap_err().contains("column 3: extraneous or missing"));
    }
}
