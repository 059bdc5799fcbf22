//! `dhow __complete WORD…`: what the last word may become, for the completion scripts of shells.
//!
//! Answers in the protocol of docker's command line: one candidate a line, a tab and what it is about
//! behind it, and at the end `:` and a sum: 1 an error, 2 no blank behind it, 4 no names of files.

mod offers;

use std::fmt::Write as _;

use super::{Command, GROUPS};
use crate::flags::parse::Syntax;
use crate::flags::{Flag, Parsed};
use crate::session::{GLOBAL_FLAGS, Session};
use offers::Offer;

/// The hidden first argument.
pub(crate) const COMPLETE: &str = "__complete";

const FAILED: u8 = 1;
const NO_BLANK: u8 = 2;
const NO_FILES: u8 = 4;

/// What the last of the words may become, as text for the shell.
pub(crate) fn answer(words: &[String]) -> String {
    let Some((last, before)) = words.split_last() else { return format!(":{NO_FILES}\n") };
    let place = Place::after(before);
    let (candidates, directive) = place.candidates(last);
    let mut text = String::new();
    for (word, about) in candidates.iter().filter(|(word, _)| word.starts_with(last.as_str())) {
        // Writing to a String cannot fail.
        let _ = match about.lines().next() {
            Some(about) if !about.is_empty() => writeln!(text, "{word}\t{about}"),
            _ => writeln!(text, "{word}"),
        };
    }
    text + &format!(":{directive}\n")
}

/// A word and what it is about.
type Candidate = (String, &'static str);

/// Where in the command line the last word stands.
#[derive(Default)]
struct Place {
    globals: Vec<String>,
    group: Option<&'static str>,
    command: Option<&'static Command>,
    /// The words of the command that are no flags, and whether they ended its flags.
    arguments: Vec<String>,
    flags_ended: bool,
    given: Vec<String>,
    /// A flag that waits for its value.
    pending: Option<&'static Flag>,
    lost: bool,
}

impl Place {
    fn after(words: &[String]) -> Place {
        let mut place = Place::default();
        words.iter().for_each(|word| place.step(word));
        place
    }

    fn step(&mut self, word: &str) {
        let of_command = self.command.is_some();
        let seen = if of_command { &mut self.given } else { &mut self.globals };
        if self.pending.take().is_some() {
            seen.push(word.to_owned());
        } else if word == "--" && !self.flags_ended {
            self.flags_ended = true;
        } else if word.len() > 1 && word.starts_with('-') && !self.flags_ended {
            seen.push(word.to_owned());
            self.pending = self.waiting(word);
        } else if let Some(command) = self.command {
            self.arguments.push(word.to_owned());
            self.flags_ended |= command.arguments_end_flags;
        } else {
            self.enter(word);
        }
    }

    /// The name of a group or a command.
    fn enter(&mut self, word: &str) {
        let path = self.group.map_or(word.to_owned(), |group| format!("{group} {word}"));
        self.command = super::find(&path);
        if self.command.is_none() && self.group.is_none() {
            self.group = GROUPS.iter().map(|(name, _)| *name).find(|name| *name == word);
            self.lost |= self.group.is_none();
        } else {
            self.lost |= self.command.is_none();
        }
    }

    fn tables(&self) -> &[&'static [Flag]] {
        self.command.map_or(&[GLOBAL_FLAGS], |command| command.flags)
    }

    fn flags(&self) -> impl Iterator<Item = &'static Flag> {
        self.tables().iter().flat_map(|table| table.iter())
    }

    /// The flag that a word gives without its value.
    fn waiting(&self, word: &str) -> Option<&'static Flag> {
        if let Some(long) = word.strip_prefix("--") {
            return self.flags().find(|flag| flag.long == long && !flag.kind.is_switch());
        }
        let mut letters = word[1..].chars();
        while let Some(letter) = letters.next() {
            let flag = self.flags().find(|flag| flag.short == Some(letter))?;
            if !flag.kind.is_switch() {
                return Some(flag).filter(|_| letters.as_str().is_empty());
            }
        }
        None
    }

    fn candidates(&self, last: &str) -> (Vec<Candidate>, u8) {
        if self.lost {
            return (Vec::new(), 0);
        }
        if let Some(flag) = self.pending {
            return self.offered(&offers::of_flag(self.name(), flag.long), "", last);
        }
        if last.starts_with('-') && !self.flags_ended {
            return match last.split_once('=') {
                Some((flag, value)) => {
                    let long = flag.trim_start_matches('-');
                    self.offered(&offers::of_flag(self.name(), long), &format!("{flag}="), value)
                }
                None => (self.flag_names(), NO_FILES),
            };
        }
        match (self.command, self.group) {
            (Some(_), _) => {
                let forced = self.parsed().is_on("force");
                self.offered(&offers::of_argument(self.name(), &self.arguments, forced), "", last)
            }
            (None, group) => (names(group), NO_FILES),
        }
    }

    /// The plainest name of the command.
    fn name(&self) -> &'static str {
        self.command.and_then(|command| command.paths.last()).copied().unwrap_or_default()
    }

    fn parsed(&self) -> Parsed {
        let syntax = Syntax { tables: self.tables(), arguments_end_flags: false };
        syntax.parse(&self.given).unwrap_or_default()
    }

    fn flag_names(&self) -> Vec<Candidate> {
        let shown = self.flags().filter(|flag| !flag.hidden);
        let mut names: Vec<Candidate> = shown.map(|flag| (format!("--{}", flag.long), flag.help)).collect();
        names.push(("--help".to_owned(), "Show the help page"));
        names.sort_unstable();
        names
    }

    fn offered(&self, offer: &Offer, prefix: &str, last: &str) -> (Vec<Candidate>, u8) {
        let globals = Syntax { tables: &[GLOBAL_FLAGS], arguments_end_flags: false };
        let session = Session::new(globals.parse(&self.globals).unwrap_or_default());
        match offer.words(&session, last) {
            Err(_) => (Vec::new(), FAILED),
            Ok(words) => {
                let open = !words.is_empty() && words.iter().all(|(word, _)| word.ends_with(['=', ':', '-']));
                let files =
                    if matches!(offer, Offer::Files | Offer::CopyEnds | Offer::Links) { 0 } else { NO_FILES };
                let words = words.into_iter().map(|(word, about)| (format!("{prefix}{word}"), about));
                (words.collect(), files | if open { NO_BLANK } else { 0 })
            }
        }
    }
}

/// The commands of a group, or of the program.
fn names(group: Option<&str>) -> Vec<Candidate> {
    let inside = |path: &&'static str| match group {
        Some(group) => path.strip_prefix(group).and_then(|rest| rest.strip_prefix(' ')),
        None => Some(*path).filter(|path| !path.contains(' ')),
    };
    let commands = super::all().filter(|command| !command.about.is_empty());
    let commands =
        commands.filter_map(|command| Some((command.paths.iter().find_map(inside)?, command.about)));
    let groups = GROUPS.iter().copied().chain(super::ROLES.iter().copied()).filter(|_| group.is_none());
    let mut names: Vec<Candidate> =
        commands.chain(groups).map(|(name, about)| (name.to_owned(), about)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        answer(&words).lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn commands_flags_and_their_values_are_offered() {
        assert!(complete("").iter().any(|word| word == "run"));
        assert_eq!(complete("container ren"), ["rename", ":4"]);
        assert_eq!(complete("run --network-a"), ["--network-alias", ":4"]);
        assert_eq!(complete("-D run --rm --restart a"), ["always", ":4"]);
        assert_eq!(complete("run --restart=a"), ["--restart=always", ":4"]);
        assert_eq!(complete("completion "), ["bash", "zsh", "fish", ":4"]);
        assert_eq!(complete("run --env-file "), [":0"]);
        assert_eq!(complete("run -it --name "), [":4"]);
        assert_eq!(complete("events --filter cont"), ["container=", ":6"]);
        assert_eq!(complete("ps --filter st"), ["status=", ":6"]);
        assert_eq!(complete("run --detach-keys "), ["ctrl-", ":6"]);
        assert_eq!(complete("swarm le"), ["leave", ":4"]);
        assert_eq!(complete("nothing "), [":0"]);
        assert_eq!(complete("run busybox -"), [":4"]);
        assert_eq!(complete("logs --tail "), [":4"]);
    }
}
