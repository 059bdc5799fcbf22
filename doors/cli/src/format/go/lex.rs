//! The words of a template, told apart as Go's `text/template/parse` does it.
//!
//! What is wrong is the last of the words: a reader that stops before it never hears of it.

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Assign,
    Bool,
    Char,
    CharConstant,
    Declare,
    End,
    Error,
    Field,
    Identifier,
    /// A word of the language, `.` among them.
    Keyword,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
}

/// A word, where it begins, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) text: String,
    pub(super) at: usize,
    pub(super) line: usize,
}

const KEYWORDS: &[&str] =
    &["block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with"];
const LEFT: &str = "{{";
const RIGHT: &str = "}}";

/// Takes a template apart; ends with [`Kind::End`] or [`Kind::Error`].
pub(super) fn items(source: &str) -> Vec<Item> {
    let mut lexer = Lexer { source, at: 0, start: 0, counted: (0, 0), items: Vec::new() };
    if let Err(why) = lexer.text() {
        lexer.push(Kind::Error, lexer.start, why);
    }
    lexer.items
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    /// Where the word begins that is being read.
    start: usize,
    /// So far, so many lines were ended.
    counted: (usize, usize),
    items: Vec<Item>,
}

type Step = Result<(), String>;

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    fn accept(&mut self, among: &str) -> bool {
        let found = self.peek().is_some_and(|letter| among.contains(letter));
        if found {
            self.next();
        }
        found
    }

    fn run(&mut self, among: &str) {
        while self.accept(among) {}
    }

    fn push(&mut self, kind: Kind, start: usize, text: String) {
        // Words come in their order, but for an error.
        let (counted, lines) = self.counted;
        let lines = match self.source.get(counted..start) {
            Some(more) => lines + more.matches('\n').count(),
            None => self.source[..start].matches('\n').count(),
        };
        self.counted = (start, lines);
        self.items.push(Item { kind, text, at: start, line: lines + 1 });
    }

    fn emit(&mut self, kind: Kind, start: usize) -> Step {
        let text = self.source[start..self.at].to_owned();
        self.push(kind, start, text);
        Ok(())
    }

    /// Texts and actions by turns, to the end.
    fn text(&mut self) -> Step {
        loop {
            let start = self.at;
            let Some(length) = self.rest().find(LEFT) else {
                self.at = self.source.len();
                if start < self.at {
                    self.emit(Kind::Text, start)?;
                }
                self.push(Kind::End, self.at, String::new());
                return Ok(());
            };
            let begin = start + length;
            let text = &self.source[start..begin];
            let text = if trims(&self.source[begin + LEFT.len()..]) {
                text.trim_end_matches(is_space)
            } else {
                text
            };
            if !text.is_empty() {
                let text = text.to_owned();
                self.push(Kind::Text, start, text);
            }
            self.at = begin;
            self.action()?;
        }
    }

    fn action(&mut self) -> Step {
        let start = self.at;
        self.at += LEFT.len();
        let marker = if trims(self.rest()) { 2 } else { 0 };
        self.start = self.at + marker;
        if self.rest()[marker..].starts_with("/*") {
            self.at += marker;
            return self.comment();
        }
        self.emit(Kind::LeftDelim, start)?;
        self.at += marker;
        let mut depth = 0_usize;
        loop {
            match self.right_delim() {
                Some(_) if depth > 0 => {
                    self.start = self.at;
                    return Err("unclosed left paren".into());
                }
                Some(marker) => {
                    self.close(marker);
                    return Ok(());
                }
                None => self.word(&mut depth)?,
            }
        }
    }

    /// Behind what closes an action; blanks go with a mark.
    fn close(&mut self, marker: usize) {
        self.at += marker;
        self.push(Kind::RightDelim, self.at, RIGHT.to_owned());
        self.at += RIGHT.len();
        if marker > 0 {
            self.at = self.source.len() - self.rest().trim_start_matches(is_space).len();
        }
    }

    /// The length of the mark before what closes an action, if it stands here.
    fn right_delim(&self) -> Option<usize> {
        let rest = self.rest();
        let marked = rest.starts_with(is_space) && rest[1..].starts_with('-');
        match () {
            () if marked && rest[2..].starts_with(RIGHT) => Some(2),
            () if rest.starts_with(RIGHT) => Some(0),
            () => None,
        }
    }

    fn comment(&mut self) -> Step {
        let length = self.rest()[2..].find("*/").ok_or("unclosed comment")?;
        self.at += length + 4;
        let marker = self.right_delim().ok_or("comment ends before closing delimiter")?;
        let items = self.items.len();
        self.close(marker);
        self.items.truncate(items);
        Ok(())
    }

    fn word(&mut self, depth: &mut usize) -> Step {
        let start = self.at;
        self.start = start;
        let Some(letter) = self.next() else { return Err("unclosed action".into()) };
        match letter {
            _ if is_space(letter) => {
                // A blank before the mark of the end belongs to the mark.
                while self.peek().is_some_and(is_space) && self.right_delim().is_none() {
                    self.next();
                }
                self.emit(Kind::Space, start)
            }
            '=' => self.emit(Kind::Assign, start),
            ':' if self.accept("=") => self.emit(Kind::Declare, start),
            ':' => Err("expected :=".into()),
            '|' => self.emit(Kind::Pipe, start),
            '"' => self.quoted(start, '"', Kind::String, "unterminated quoted string"),
            '\'' => self.quoted(start, '\'', Kind::CharConstant, "unterminated character constant"),
            '`' => {
                let length = self.rest().find('`').ok_or("unterminated raw quoted string")?;
                self.at += length + 1;
                self.emit(Kind::RawString, start)
            }
            '$' => self.name(start, Kind::Variable, Kind::Variable),
            '.' if self.peek().is_some_and(|next| !next.is_ascii_digit()) => {
                self.name(start, Kind::Keyword, Kind::Field)
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.at = start;
                self.number(start)
            }
            '(' => {
                *depth += 1;
                self.emit(Kind::LeftParen, start)
            }
            ')' if *depth == 0 => Err("unexpected right paren".into()),
            ')' => {
                *depth -= 1;
                self.emit(Kind::RightParen, start)
            }
            _ if is_alphanumeric(letter) => self.identifier(start),
            _ if letter.is_ascii_graphic() => self.emit(Kind::Char, start),
            _ => Err(format!("unrecognized character in action: {}", named(letter))),
        }
    }

    fn quoted(&mut self, start: usize, quote: char, kind: Kind, unterminated: &str) -> Step {
        loop {
            match self.next() {
                Some('\\') if self.peek().is_some_and(|next| next != '\n') => drop(self.next()),
                None | Some('\n' | '\\') => return Err(unterminated.to_owned()),
                Some(letter) if letter == quote => return self.emit(kind, start),
                Some(_) => {}
            }
        }
    }

    /// `.Field` and `$variable`, or one of the signs alone.
    fn name(&mut self, start: usize, alone: Kind, kind: Kind) -> Step {
        if self.ends_word() {
            return self.emit(alone, start);
        }
        self.rest_of_name()?;
        self.emit(kind, start)
    }

    fn identifier(&mut self, start: usize) -> Step {
        self.rest_of_name()?;
        let kind = match &self.source[start..self.at] {
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            "true" | "false" => Kind::Bool,
            _ => Kind::Identifier,
        };
        self.emit(kind, start)
    }

    fn rest_of_name(&mut self) -> Step {
        while self.peek().is_some_and(is_alphanumeric) {
            self.next();
        }
        match self.peek() {
            Some(letter) if !self.ends_word() => Err(format!("bad character {}", named(letter))),
            _ => Ok(()),
        }
    }

    fn ends_word(&self) -> bool {
        let after = self.peek();
        after.is_none_or(|letter| is_space(letter) || ".,|:)(".contains(letter))
            || self.rest().starts_with(RIGHT)
    }

    fn number(&mut self, start: usize) -> Step {
        let mut good = self.one_number();
        if good && self.peek().is_some_and(|sign| matches!(sign, '+' | '-')) {
            // `1+2i` is one number; nothing else goes on with a sign.
            good = self.one_number() && self.source[..self.at].ends_with('i');
        }
        match good {
            true => self.emit(Kind::Number, start),
            false => Err(format!("bad number syntax: {:?}", &self.source[start..self.at])),
        }
    }

    fn one_number(&mut self) -> bool {
        self.accept("+-");
        let (mut digits, mut exponent) = ("0123456789_", "eE");
        if self.accept("0") {
            if self.accept("xX") {
                (digits, exponent) = ("0123456789abcdefABCDEF_", "pP");
            } else if self.accept("oO") {
                (digits, exponent) = ("01234567_", "");
            } else if self.accept("bB") {
                (digits, exponent) = ("01_", "");
            }
        }
        self.run(digits);
        if self.accept(".") {
            self.run(digits);
        }
        if self.accept(exponent) {
            self.accept("+-");
            self.run("0123456789_");
        }
        self.accept("i");
        let goes_on = self.peek().is_some_and(is_alphanumeric);
        if goes_on {
            self.next();
        }
        !goes_on
    }
}

/// Whether the blanks before an action go: it begins with `- `.
fn trims(action: &str) -> bool {
    action.strip_prefix('-').is_some_and(|rest| rest.starts_with(is_space))
}

fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}

/// As Go names a character: `U+007D '}'`.
fn named(letter: char) -> String {
    format!("U+{:04X} '{letter}'", u32::from(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(source: &str) -> String {
        let items = items(source);
        let last = items.last().unwrap();
        if last.kind == Kind::Error { last.text.clone() } else { format!("{} items", items.len()) }
    }

    #[test]
    fn words_are_told_apart_to_the_first_that_is_none() {
        for (source, expected) in [
            ("a{{.B}} c", "6 items"),
            ("a {{- .B -}} c", "6 items"),
            ("{{/* {{ }} */}}", "1 items"),
            ("{{.", "unclosed action"),
            ("{{.ID}", "bad character U+007D '}'"),
            ("{{\"a\nb\"}}", "unterminated quoted string"),
            ("{{`a", "unterminated raw quoted string"),
            ("{{'a", "unterminated character constant"),
            ("{{(.A}}", "unclosed left paren"),
            ("{{)}}", "unexpected right paren"),
            ("{{1x}}", "bad number syntax: \"1x\""),
            ("{{/* x */", "comment ends before closing delimiter"),
            ("{{/* x", "unclosed comment"),
            ("{{a:b}}", "expected :="),
            ("{{\u{1}}}", "unrecognized character in action: U+0001 '\u{1}'"),
        ] {
            assert_eq!(told(source), expected, "{source}");
        }
        let texts: Vec<String> =
            items("x  {{- $a := .B.C | f 1.5 -}}  y").into_iter().map(|it| it.text).collect();
        assert_eq!(texts.concat(), "x{{$a := .B.C | f 1.5}}y");
    }
}
