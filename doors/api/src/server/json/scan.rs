//! What Go's decoder says of a text that is no JSON: the first sign that cannot be, and where it stands.

/// Nothing goes deeper: the parser that found the fault does not.
const DEEPEST: usize = 128;

/// The fault of a text; none, when it has none that Go would find.
pub(super) fn fault(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.value(0).err().flatten()
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

/// The words of a fault; none at the end of the text.
type Scanned = Result<(), Option<String>>;

impl Scanner<'_> {
    fn peek(&mut self) -> Result<u8, Option<String>> {
        while self.text.get(self.at).is_some_and(|sign| b" \t\r\n".contains(sign)) {
            self.at += 1;
        }
        self.text.get(self.at).copied().ok_or(None)
    }

    fn next(&mut self) -> Result<u8, Option<String>> {
        let sign = self.text.get(self.at).copied().ok_or(None)?;
        self.at += 1;
        Ok(sign)
    }

    fn value(&mut self, depth: usize) -> Scanned {
        if depth > DEEPEST {
            return Err(Some("exceeded max depth".into()));
        }
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            sign => wrong(sign, "looking for beginning of value"),
        }
    }

    fn object(&mut self, depth: usize) -> Scanned {
        self.at += 1;
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            match self.peek()? {
                b'"' => self.string()?,
                sign => return wrong(sign, "looking for beginning of object key string"),
            }
            match self.peek()? {
                b':' => self.at += 1,
                sign => return wrong(sign, "after object key"),
            }
            self.value(depth + 1)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => break,
                sign => return wrong(sign, "after object key:value pair"),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Scanned {
        self.at += 1;
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => break,
                sign => return wrong(sign, "after array element"),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Scanned {
        self.at += 1;
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                sign @ ..0x20 => return wrong(sign, "in string literal"),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Scanned {
        match self.next()? {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => Ok(()),
            b'u' => (0..4).try_for_each(|_| match self.next()? {
                sign if sign.is_ascii_hexdigit() => Ok(()),
                sign => wrong(sign, "in \\u hexadecimal character escape"),
            }),
            sign => wrong(sign, "in string escape code"),
        }
    }

    fn number(&mut self) -> Scanned {
        if self.text.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            sign => return wrong(sign, "in numeric literal"),
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn some_digits(&mut self, place: &str) -> Scanned {
        match self.next()? {
            b'0'..=b'9' => {
                self.digits();
                Ok(())
            }
            sign => wrong(sign, place),
        }
    }

    fn digits(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn literal(&mut self, word: &str) -> Scanned {
        for wanted in word.bytes() {
            let sign = self.next()?;
            if sign != wanted {
                let wanted = char::from(wanted);
                return wrong(sign, &format!("in literal {word} (expecting '{wanted}')"));
            }
        }
        Ok(())
    }
}

fn wrong(sign: u8, place: &str) -> Scanned {
    let shown = match sign {
        b'\'' => "'\\''".into(),
        b'"' => "'\"'".into(),
        b'\n' => "'\\n'".into(),
        b'\r' => "'\\r'".into(),
        b'\t' => "'\\t'".into(),
        b'\\' => "'\\\\'".into(),
        ..0x20 | 0x7f => format!("'\\x{sign:02x}'"),
        sign => format!("'{}'", char::from(sign)),
    };
    Err(Some(format!("invalid character {shown} {place}")))
}
