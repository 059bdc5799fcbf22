//! Reads a command's arguments by the POSIX and GNU rules that docker's users know: `-it`,
//! `-eKEY=1`, `--rm=false`, `--` ends the flags; for `run` and `exec` the first argument does too.

use super::{Flag, UNREAD, csv, number};

/// What was given on the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parsed {
    values: Vec<(&'static str, String)>,
    /// What is not a flag.
    pub(crate) arguments: Vec<String>,
    /// Whether a help page was asked for.
    pub(crate) help: bool,
}

/// The flags that a command takes, and whether its own arguments end them.
#[derive(Clone, Copy)]
pub(crate) struct Syntax<'a> {
    pub(crate) tables: &'a [&'static [Flag]],
    pub(crate) arguments_end_flags: bool,
}

impl Syntax<'_> {
    /// Reads the words; the error is what is wrong with them, in one line.
    pub(crate) fn parse(self, words: &[String]) -> Result<Parsed, String> {
        let mut parsed = Parsed::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                parsed.arguments.extend(words.cloned());
                break;
            } else if let Some(long) = word.strip_prefix("--") {
                self.long(long, &mut words, &mut parsed)?;
            } else if word.len() > 1 && word.starts_with('-') {
                self.shorts(&word[1..], &mut words, &mut parsed)?;
            } else {
                parsed.arguments.push(word.clone());
                if self.arguments_end_flags {
                    parsed.arguments.extend(words.cloned());
                    break;
                }
            }
        }
        Ok(parsed)
    }

    fn long<'w>(
        self,
        text: &str,
        words: &mut impl Iterator<Item = &'w String>,
        parsed: &mut Parsed,
    ) -> Result<(), String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(format!("bad flag syntax: --{text}"));
        }
        let Some(flag) = self.find(|flag| flag.long == name) else {
            if name == "help" {
                return parsed.ask_for_help(value.as_deref().unwrap_or("true"));
            }
            if self.reads_over() {
                return Ok(());
            }
            return Err(format!("unknown flag: --{name}"));
        };
        let value = match value {
            Some(value) => value,
            None if flag.kind.is_switch() => "true".to_owned(),
            None => words.next().cloned().ok_or_else(|| format!("flag needs an argument: --{name}"))?,
        };
        parsed.set(flag, value)
    }

    fn shorts<'w>(
        self,
        cluster: &str,
        words: &mut impl Iterator<Item = &'w String>,
        parsed: &mut Parsed,
    ) -> Result<(), String> {
        let mut letters = cluster.chars();
        while let Some(letter) = letters.next() {
            let rest = letters.as_str();
            let Some(flag) = self.find(|flag| flag.short == Some(letter)) else {
                if letter == 'h' {
                    parsed.help = true;
                    return Ok(());
                }
                if self.reads_over() {
                    return Ok(());
                }
                return Err(format!("unknown shorthand flag: '{letter}' in -{letter}{rest}"));
            };
            if let Some(value) = rest.strip_prefix('=').filter(|_| rest.len() > 1) {
                return parsed.set(flag, value.to_owned());
            }
            if flag.kind.is_switch() {
                parsed.set(flag, "true".to_owned())?;
                continue;
            }
            if !rest.is_empty() {
                return parsed.set(flag, rest.to_owned());
            }
            let missing = || format!("flag needs an argument: '{letter}' in -{letter}{rest}");
            let value = words.next().cloned().ok_or_else(missing)?;
            return parsed.set(flag, value);
        }
        Ok(())
    }

    /// Whether flags that are not in the tables are of no interest.
    fn reads_over(self) -> bool {
        self.find(|flag| flag.long == UNREAD.long).is_some()
    }

    fn find(self, mut wanted: impl FnMut(&Flag) -> bool) -> Option<&'static Flag> {
        self.tables.iter().flat_map(|table| table.iter()).find(|flag| wanted(flag))
    }
}

impl Parsed {
    fn ask_for_help(&mut self, value: &str) -> Result<(), String> {
        let wrong = |why| format!("invalid argument {} for \"--help\" flag: {why}", go_quoted(value));
        self.help = number::boolean(value).map_err(wrong)?;
        Ok(())
    }

    fn set(&mut self, flag: &'static Flag, value: String) -> Result<(), String> {
        if let Err(why) = (flag.kind.check)(&value) {
            return Err(format!(
                "invalid argument {} for \"{}\" flag: {why}",
                go_quoted(&value),
                flag.label()
            ));
        }
        self.values.push((flag.stands_for.unwrap_or(flag.long), value));
        Ok(())
    }

    /// Whether a switch is on.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| number::boolean(value) == Ok(true))
    }

    /// Whether a switch that is on by itself was left on.
    pub(crate) fn is_left_on(&self, name: &str) -> bool {
        self.text(name).is_none_or(|value| number::boolean(value) == Ok(true))
    }

    /// Whether a flag was given at all.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// The last value of a flag.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }

    /// The last value of a flag, or an empty text.
    pub(crate) fn text_or_empty(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// The last value of a number; its form was checked when it was read.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        self.text(name).and_then(|value| number::integer(value).ok())
    }

    /// Every value of a flag, in order.
    pub(crate) fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> + 'p {
        self.values.iter().filter(move |(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a flag, in order.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.all(name).map(str::to_owned).collect()
    }

    /// Every value of a flag that takes several at once, separated by commas; their form was checked when
    /// they were read.
    pub(crate) fn split_list(&self, name: &str) -> Vec<String> {
        self.all(name).filter_map(|record| csv::fields_or_none(record).ok()).flatten().collect()
    }

    /// The argument at a place; its presence is the arity's promise.
    pub(crate) fn argument(&self, index: usize) -> &str {
        self.arguments.get(index).map(String::as_str).unwrap_or_default()
    }
}

/// A text in Go's double quotes.
pub(crate) fn go_quoted(text: &str) -> String {
    crate::format::quote::quoted(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{BYTES, LIST, STRING, SWITCH, flag};

    const FLAGS: &[Flag] = &[
        flag("interactive", SWITCH, "").short('i'),
        flag("tty", SWITCH, "").short('t'),
        flag("env", LIST, "").short('e'),
        flag("memory", BYTES, "").short('m'),
        flag("network", STRING, ""),
        flag("net", STRING, "").spelling_of("network"),
    ];

    fn parse(line: &str, arguments_end_flags: bool) -> Result<Parsed, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Syntax { tables: &[FLAGS], arguments_end_flags }.parse(&words)
    }

    #[test]
    fn flags_that_nobody_looks_at_are_read_over() {
        const LOOSE: &[&[Flag]] = &[&[UNREAD]];
        let words: Vec<String> = ["--replicas=3", "-dx", "IMAGE", "--name"].map(str::to_owned).into();
        let parsed = Syntax { tables: LOOSE, arguments_end_flags: false }.parse(&words).unwrap();
        assert_eq!(parsed.arguments, ["IMAGE"]);
        let strict = Syntax { tables: &[], arguments_end_flags: false }.parse(&words);
        assert_eq!(strict.unwrap_err(), "unknown flag: --replicas");
    }

    #[test]
    fn every_spelling_of_a_flag_is_read() {
        let parsed = parse("-it -eA=1 -e=B=2 -e C --env D --env=E= --net x --tty=false image", true).unwrap();
        assert_eq!(parsed.list("env"), ["A=1", "B=2", "C", "D", "E="]);
        assert_eq!(parsed.text("network"), Some("x"));
        assert!(parsed.is_on("interactive") && !parsed.is_on("tty"));
        assert_eq!(parsed.arguments, ["image"]);
    }

    #[test]
    fn the_image_ends_the_flags_of_run_but_not_of_ps() {
        assert_eq!(parse("-i image ls -l --net", true).unwrap().arguments, ["image", "ls", "-l", "--net"]);
        assert!(parse("image -i", false).unwrap().is_on("interactive"));
        assert_eq!(parse("a -- -i b", false).unwrap().arguments, ["a", "-i", "b"]);
    }

    #[test]
    fn what_is_wrong_is_said_in_docker_s_words() {
        let words = |line| parse(line, true).unwrap_err();
        assert_eq!(words("--foo"), "unknown flag: --foo");
        assert_eq!(words("-iZ"), "unknown shorthand flag: 'Z' in -Z");
        assert_eq!(words("--network"), "flag needs an argument: --network");
        assert_eq!(words("-im"), "flag needs an argument: 'm' in -m");
        assert_eq!(words("--=x"), "bad flag syntax: --=x");
        assert_eq!(words("-m x"), "invalid argument \"x\" for \"-m, --memory\" flag: invalid size: 'x'");
        assert_eq!(
            words("--tty=foo"),
            "invalid argument \"foo\" for \"-t, --tty\" flag: strconv.ParseBool: parsing \"foo\": invalid syntax"
        );
    }
}
