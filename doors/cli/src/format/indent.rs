//! JSON laid out over lines as Go's `json.Indent` does it. Numbers, escapes and the order of keys
//! stay as the engine wrote them, which reading and writing the document again would not promise.

/// Lays a valid JSON document out with this indent.
pub(crate) fn indent(document: &str, step: &str) -> String {
    let mut page = Page { out: String::with_capacity(document.len() * 2), depth: 0, step };
    let mut characters = document.chars().peekable();
    let mut in_text = false;
    while let Some(character) = characters.next() {
        if in_text {
            page.out.push(character);
            match character {
                '\\' => page.out.extend(characters.next()),
                '"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match character {
            ' ' | '\t' | '\r' | '\n' => {}
            '{' | '[' => {
                page.out.push(character);
                while characters.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                match characters.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => page.out.push(end),
                    None => page.open(),
                }
            }
            '}' | ']' => page.close(character),
            ',' => page.next(),
            ':' => page.out.push_str(": "),
            other => {
                in_text = other == '"';
                page.out.push(other);
            }
        }
    }
    page.out
}

struct Page<'a> {
    out: String,
    depth: usize,
    step: &'a str,
}

impl Page<'_> {
    fn open(&mut self) {
        self.depth += 1;
        self.line();
    }

    fn close(&mut self, bracket: char) {
        self.depth = self.depth.saturating_sub(1);
        self.line();
        self.out.push(bracket);
    }

    fn next(&mut self) {
        self.out.push(',');
        self.line();
    }

    fn line(&mut self) {
        self.out.push('\n');
        for _ in 0..self.depth {
            self.out.push_str(self.step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::indent;

    #[test]
    fn every_byte_of_a_value_stays() {
        let document = r#"[{"b":1.0e3,"a":{ },"t":"\u003c, [x]: \"y\\","l":[1, true ,null],"e":[]}]"#;
        let expected = r#"[
    {
        "b": 1.0e3,
        "a": {},
        "t": "\u003c, [x]: \"y\\",
        "l": [
            1,
            true,
            null
        ],
        "e": []
    }
]"#;
        assert_eq!(indent(document, "    "), expected);
        assert_eq!(indent(&indent(document, "\t"), "    "), expected);
    }
}
