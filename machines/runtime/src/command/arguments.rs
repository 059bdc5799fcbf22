//! The command line, as runc's is: `--flag value`, `--flag=value`, `-f value`, switches with `=false`.

use dhow_model::{Error, Result};

/// A flag.
pub(super) struct Flag {
    pub(super) long: &'static str,
    pub(super) short: Option<char>,
    pub(super) takes_value: bool,
}

/// The flags of a verb.
pub(super) struct Syntax {
    pub(super) flags: &'static [Flag],
    /// The first word that is no flag ends them: what follows belongs to another program.
    pub(super) first_word_ends: bool,
}

/// A flag without a value.
pub(super) const fn switch(long: &'static str) -> Flag {
    Flag { long, short: None, takes_value: false }
}

/// A flag with a value.
pub(super) const fn option(long: &'static str) -> Flag {
    Flag { long, short: None, takes_value: true }
}

/// What was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    values: Vec<(&'static str, String)>,
    pub(super) rest: Vec<String>,
}

impl Parsed {
    /// Whether a switch is on; the last word about it counts.
    pub(super) fn has(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value != "false")
    }

    /// The last value of a flag.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().rfind(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a flag, in order.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a flag as a number.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        let parse = |text: &str| {
            text.parse().map_err(|_| Error::invalid(format!("invalid value {text:?} for --{name}")))
        };
        self.value(name).map(parse).transpose()
    }

    /// The only word, a container's id.
    pub(super) fn id(&self) -> Result<&str> {
        match self.rest.as_slice() {
            [id] => Ok(id),
            others => Err(Error::invalid(format!("one container id is needed, not {} words", others.len()))),
        }
    }
}

/// Reads the words.
///
/// # Errors
/// An unknown flag, or a flag without its value.
pub(super) fn parse(syntax: &Syntax, words: &[String]) -> Result<Parsed> {
    let mut parsed = Parsed::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            parsed.rest.extend(words.by_ref().cloned());
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v.to_owned())));
            let flag = syntax.flags.iter().find(|flag| flag.long == name);
            let flag = flag.ok_or_else(|| unknown(word))?;
            parsed.take(flag, value, &mut words)?;
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            parsed.take_letters(syntax, letters, &mut words)?;
        } else {
            parsed.rest.push(word.clone());
            if syntax.first_word_ends {
                parsed.rest.extend(words.by_ref().cloned());
            }
        }
    }
    Ok(parsed)
}

impl Parsed {
    fn take(
        &mut self,
        flag: &Flag,
        value: Option<String>,
        words: &mut std::slice::Iter<'_, String>,
    ) -> Result<()> {
        let value = match value {
            Some(value) => value,
            None if flag.takes_value => words
                .next()
                .cloned()
                .ok_or_else(|| Error::invalid(format!("flag needs a value: --{}", flag.long)))?,
            None => String::from("true"),
        };
        self.values.push((flag.long, value));
        Ok(())
    }

    fn take_letters(
        &mut self,
        syntax: &Syntax,
        letters: &str,
        words: &mut std::slice::Iter<'_, String>,
    ) -> Result<()> {
        // Go's flags have one dash or two alike.
        let (name, value) = letters.split_once('=').map_or((letters, None), |(n, v)| (n, Some(v.to_owned())));
        let is_named =
            |flag: &&Flag| flag.long == name || flag.short.is_some_and(|short| name == short.to_string());
        if let Some(flag) = syntax.flags.iter().find(is_named) {
            return self.take(flag, value, words);
        }
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let flag = syntax.flags.iter().find(|flag| flag.short == Some(letter));
            let flag = flag.ok_or_else(|| unknown(&format!("-{letters}")))?;
            let glued = rest.as_str();
            if flag.takes_value && !glued.is_empty() {
                return self.take(flag, Some(glued.to_owned()), words);
            }
            self.take(flag, None, words)?;
        }
        Ok(())
    }
}

fn unknown(word: &str) -> Error {
    Error::invalid(format!("flag provided but not defined: {word}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNTAX: Syntax = Syntax {
        flags: &[
            Flag { short: Some('b'), ..option("bundle") },
            Flag { short: Some('d'), ..switch("detach") },
        ],
        first_word_ends: false,
    };

    fn parsed(words: &str) -> Result<Parsed> {
        parse(&SYNTAX, &words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn flags_are_read_in_every_form() {
        for words in
            ["--bundle /b -d id", "-b /b id --detach", "-b=/b -d=true id", "-db /b id", "-bundle /b -d id"]
        {
            let parsed = parsed(words).unwrap();
            assert_eq!((parsed.value("bundle"), parsed.has("detach")), (Some("/b"), true), "{words}");
            assert_eq!(parsed.id().unwrap(), "id", "{words}");
        }
        assert!(!parsed("--detach=false id").unwrap().has("detach"));
        assert_eq!(parsed("id -- --bundle").unwrap().rest, ["id", "--bundle"]);
    }

    #[test]
    fn what_is_unknown_is_named() {
        for (words, said) in [("--boundle x", "--boundle"), ("-x", "-x"), ("--bundle", "--bundle")] {
            assert!(parsed(words).unwrap_err().to_string().contains(said), "{words}");
        }
    }
}
