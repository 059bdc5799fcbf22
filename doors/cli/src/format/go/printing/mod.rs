//! What Go's `fmt` makes of values: `print`, `println`, and `printf` with its verbs, flags, widths, precisions and
//! numbers of arguments, and with its words for what does not fit.

mod floats;
mod verbs;

use gotmpl::Value;

use super::values;
pub(super) use floats::in_json;
pub(super) use verbs::Style;

/// Widths and precisions that are greater are none.
const WIDEST: usize = 1_000_000;

/// What stands between `%` and the verb.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%#v` and `%+v`.
    sharp_v: bool,
    plus_v: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Values side by side; blanks stand between those of which neither is a text.
pub(super) fn print(given: &[Value]) -> String {
    let mut out = String::new();
    for (at, value) in given.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::String(_));
        if at > 0 && !is_text(value) && !is_text(&given[at - 1]) {
            out.push(' ');
        }
        argument(value, 'v', &Flags::default(), &mut out);
    }
    out
}

/// Values side by side as actions show them: by what pointers point to, and without what is not there.
pub(super) fn shown(given: &[Value]) -> String {
    let mut out = String::new();
    for (at, value) in given.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::String(_)) || values::is_missing(value);
        out.push_str(if at > 0 && !is_text(value) && !is_text(&given[at - 1]) { " " } else { "" });
        out.push_str(&values::print(value));
    }
    out
}

/// Values with blanks between them, and the end of the line.
pub(super) fn println(given: &[Value]) -> String {
    let mut out = String::new();
    for (at, value) in given.iter().enumerate() {
        out.push_str(if at > 0 { " " } else { "" });
        argument(value, 'v', &Flags::default(), &mut out);
    }
    out + "\n"
}

/// Values by a format.
pub(super) fn printf(format: &str, given: &[Value]) -> String {
    let mut printer =
        Printer { format, at: 0, given, next: 0, reordered: false, good: true, out: String::new() };
    printer.run();
    printer.out
}

/// One value by one verb without flags.
pub(super) fn by_verb(verb: char, value: &Value) -> String {
    let mut out = String::new();
    verbs::write(value, verb, &Flags::default(), &mut out);
    out
}

struct Printer<'a> {
    format: &'a str,
    at: usize,
    given: &'a [Value],
    /// The argument that is next.
    next: usize,
    /// Whether arguments were chosen by number.
    reordered: bool,
    /// Whether the last number was one of an argument.
    good: bool,
    out: String,
}

impl Printer<'_> {
    fn peek(&self) -> Option<u8> {
        self.format.as_bytes().get(self.at).copied()
    }

    fn run(&mut self) {
        while let Some(length) = self.format[self.at..].find('%') {
            self.out.push_str(&self.format[self.at..self.at + length]);
            self.at += length + 1;
            self.good = true;
            if !self.directive() {
                self.out.push_str("%!(NOVERB)");
                break;
            }
        }
        self.out.push_str(&self.format[self.at.min(self.format.len())..]);
        if !self.reordered && self.next < self.given.len() {
            self.extra();
        }
    }

    fn extra(&mut self) {
        self.out.push_str("%!(EXTRA ");
        for (at, value) in self.given[self.next..].iter().enumerate() {
            self.out.push_str(if at > 0 { ", " } else { "" });
            verbs::write_with_type(value, &Flags::default(), &mut self.out);
        }
        self.out.push(')');
    }

    /// What follows a `%`; whether there was a verb.
    fn directive(&mut self) -> bool {
        let mut flags = self.flags();
        let mut numbered = self.number();
        self.width(&mut flags, &mut numbered);
        self.precision(&mut flags, &mut numbered);
        if !numbered {
            self.number();
        }
        let Some(verb) = self.format[self.at..].chars().next() else { return false };
        self.at += verb.len_utf8();
        match self.given.get(self.next) {
            _ if verb == '%' => self.out.push('%'),
            _ if !self.good => self.out.push_str(&format!("%!{verb}(BADINDEX)")),
            None => self.out.push_str(&format!("%!{verb}(MISSING)")),
            Some(value) => {
                if matches!(verb, 'v' | 'w') {
                    (flags.sharp_v, flags.sharp) = (flags.sharp, false);
                    (flags.plus_v, flags.plus) = (flags.plus, false);
                }
                argument(value, verb, &flags, &mut self.out);
                self.next += 1;
            }
        }
        true
    }

    fn flags(&mut self) -> Flags {
        let mut flags = Flags::default();
        loop {
            match self.peek() {
                Some(b'#') => flags.sharp = true,
                Some(b'0') => flags.zero = true,
                Some(b'+') => flags.plus = true,
                Some(b'-') => flags.minus = true,
                Some(b' ') => flags.space = true,
                _ => return flags,
            }
            self.at += 1;
        }
    }

    fn width(&mut self, flags: &mut Flags, numbered: &mut bool) {
        if self.peek() == Some(b'*') {
            self.at += 1;
            match self.integer() {
                Some(width) => {
                    flags.minus |= width < 0;
                    flags.zero &= width >= 0;
                    flags.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
            *numbered = false;
            return;
        }
        flags.width = self.digits();
        self.good &= !(*numbered && flags.width.is_some());
    }

    fn precision(&mut self, flags: &mut Flags, numbered: &mut bool) {
        if self.peek() != Some(b'.') {
            return;
        }
        self.at += 1;
        self.good &= !*numbered;
        *numbered = self.number();
        if self.peek() == Some(b'*') {
            self.at += 1;
            match self.integer() {
                Some(precision) if precision >= 0 => flags.precision = usize::try_from(precision).ok(),
                _ => self.out.push_str("%!(BADPREC)"),
            }
            *numbered = false;
            return;
        }
        flags.precision = Some(self.digits().unwrap_or(0));
    }

    /// The next argument as a width.
    fn integer(&mut self) -> Option<i64> {
        let value = self.given.get(self.next)?;
        self.next += 1;
        let number = if let Value::Int(number) = value { Some(*number) } else { None };
        number.filter(|number| number.unsigned_abs() <= WIDEST as u64)
    }

    /// `[2]`: which argument is next; whether there was such a number.
    fn number(&mut self) -> bool {
        let rest = &self.format[self.at..];
        let Some(inner) = rest.strip_prefix('[') else { return false };
        self.reordered = true;
        let Some(length) = inner.find(']').filter(|_| rest.len() >= 3) else {
            self.good = false;
            self.at += 1;
            return false;
        };
        self.at += length + 2;
        let digits = &inner[..length];
        let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        let number = digits.parse::<usize>().ok().filter(|_| is_number);
        match number.and_then(|number| number.checked_sub(1)).filter(|index| *index < self.given.len()) {
            Some(index) => self.next = index,
            None => self.good = false,
        }
        number.is_some()
    }

    fn digits(&mut self) -> Option<usize> {
        let rest = &self.format[self.at..];
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number = rest[..length].parse().ok();
        if number.is_some_and(|number: usize| number > WIDEST) {
            // Go reads on behind the whole format then.
            self.at = self.format.len();
            return None;
        }
        self.at += length;
        number
    }
}

/// A value by itself: Go tells that it is held by a pointer.
fn argument(value: &Value, verb: char, flags: &Flags, out: &mut String) {
    let pointed = values::shape(value).is_some_and(|of| of.starts_with('*') && !values::prints_itself(of));
    out.push_str(if pointed && !matches!(verb, 'T' | 'p') { "&" } else { "" });
    verbs::write(value, verb, flags, out);
}

/// A value as it is given to functions: what is not there is nothing.
fn given(value: &Value) -> &Value {
    if values::is_missing(value) { &Value::Nil } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[&str]) -> Value {
        Value::List(words.iter().map(|word| Value::String((*word).into())).collect())
    }

    #[test]
    fn values_are_printed_as_go_prints_them() {
        let given = [Value::Int(1), Value::Int(2), "a".into(), "b".into(), Value::Int(3), Value::Nil];
        assert_eq!(print(&given), "1 2ab3 <nil>");
        assert_eq!(println(&given), "1 2 a b 3 <nil>\n");
        assert_eq!(print(&[texts(&["a", "b"]), Value::Float(1e6)]), "[a b] 1e+06");
    }

    #[test]
    fn every_verb_writes_what_go_writes() {
        let number = |number: i64| Value::Int(number);
        for (format, given, expected) in [
            ("%d|%5d|%-5d|%05d|%+d|% d", &[1, 2, 3, 4, 5, 6].map(number)[..], "1|    2|3    |00004|+5| 6"),
            ("%x|%X|%#x|%o|%#o|%O", &[255, 255, 255, 8, 8, 8].map(number), "ff|FF|0xff|10|010|0o10"),
            ("%b|%c|%U|%#U", &[5, 65, 8364, 8364].map(number), "101|A|U+20AC|U+20AC '€'"),
            ("%3c|%03c|%q", &[65, 65, 120].map(number), "  A|00A|'x'"),
            ("%.3d|%8.3d|%-8.3d|", &[5, 5, -5].map(number), "005|     005|-005    |"),
            ("%v|%5.1v|%f", &[1.25, 1.25, 2.5].map(Value::Float), "1.25|    1|2.500000"),
            (
                "%08.3f|%+.3e|%6.2f%%",
                &[1.5, 12345.678, 12.3456].map(Value::Float),
                "0001.500|+1.235e+04| 12.35%",
            ),
            ("%g %G %x", &[1e21, 1e-7, 1.5].map(Value::Float), "1e+21 1E-07 0x1.8p+00"),
            ("%10s|%-5s|%.2s|%q", &["abc"; 4].map(Value::from), "       abc|abc  |ab|\"abc\""),
            ("%x|% x|%#x|% #X", &["hi"; 4].map(Value::from), "6869|68 69|0x6869|0X68 0X69"),
            ("%+q|%#q|%.3q", &["é", "ab", "abcdef"].map(Value::from), "\"\\u00e9\"|`ab`|\"abc\""),
            ("%#v %#v %v", &["a".into(), Value::Float(1.5), Value::Nil], "\"a\" 1.5 <nil>"),
            (
                "%q|%#v|%5s",
                &[(); 3].map(|()| texts(&["a", "b"])),
                "[\"a\" \"b\"]|[]string{\"a\", \"b\"}|[    a     b]",
            ),
            ("%T %T %T %T", &[number(1), "a".into(), texts(&["a"]), Value::Nil], "int string []string <nil>"),
        ] {
            assert_eq!(printf(format, given), expected, "{format}");
        }
        assert_eq!(printf("%[2]d %[1]d", &[1, 2].map(number)), "2 1");
        let counted = [3, 1, 3, 2].map(number);
        assert_eq!(printf("%*d|%-*d", &counted), "  1|2  ");
        assert_eq!(printf("%.*f", &[number(1), Value::Float(0.25)]), "0.2");
    }

    #[test]
    fn what_does_not_fit_is_told_in_go_s_words() {
        for (format, given, expected) in [
            ("%d", &["x".into()][..], "%!d(string=x)"),
            ("%5d", &["x".into()], "%!d(string=    x)"),
            ("%d", &[Value::Float(1.5)], "%!d(float64=1.5)"),
            ("%t", &[texts(&["a"])], "[%!t(string=a)]"),
            ("%s", &[Value::Bool(true)], "%!s(bool=true)"),
            ("%s", &[Value::Nil], "%!s(<nil>)"),
            ("%s %s", &["a".into()], "a %!s(MISSING)"),
            ("x", &[Value::Int(1), "a".into()], "x%!(EXTRA int=1, string=a)"),
            ("%", &[], "%!(NOVERB)"),
            ("%-", &[Value::Int(1)], "%!(NOVERB)%!(EXTRA int=1)"),
            ("%[1", &[Value::Int(1)], "%!(NOVERB)"),
            ("%[3]d", &[Value::Int(1)], "%!d(BADINDEX)"),
            ("%[x]d", &[Value::Int(1)], "%!d(BADINDEX)"),
            ("%*d", &["a".into(), Value::Int(1)], "%!(BADWIDTH)1"),
            ("%z", &[Value::Int(1)], "%!z(int=1)"),
        ] {
            assert_eq!(printf(format, given), expected, "{format}");
        }
    }
}
