//! Flags as data: a table a command, read by one parser, shown by one help page, and turned into
//! completions and manual pages. The tables are constants, so that a start pays for none of them.

pub(crate) mod bytes;
pub(crate) mod container;
pub(crate) mod create;
pub(crate) mod csv;
pub(crate) mod device;
pub(crate) mod environment;
pub(crate) mod filter;
pub(crate) mod health;
pub(crate) mod help;
pub(crate) mod limits;
pub(crate) mod moment;
pub(crate) mod mount;
pub(crate) mod network;
pub(crate) mod number;
pub(crate) mod parse;
pub(crate) mod ports;
pub(crate) mod security;
pub(crate) mod validate;
pub(crate) mod volume;

use dhow_model::duration;

pub(crate) use parse::Parsed;

/// One flag of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    pub(crate) long: &'static str,
    pub(crate) short: Option<char>,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
    pub(crate) hidden: bool,
    /// Another spelling: what is given here counts for that flag.
    pub(crate) stands_for: Option<&'static str>,
}

/// What a flag takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Stands for the value on the help page; empty for a switch.
    pub(crate) word: &'static str,
    /// Says what is wrong with a value, at once and not when it is used.
    pub(crate) check: fn(&str) -> Result<(), String>,
}

impl Kind {
    pub(crate) const fn new(word: &'static str, check: fn(&str) -> Result<(), String>) -> Kind {
        Kind { word, check }
    }

    pub(crate) fn is_switch(&self) -> bool {
        self.word.is_empty()
    }
}

pub(crate) const SWITCH: Kind = Kind::new("", |value| number::boolean(value).map(drop));
pub(crate) const STRING: Kind = Kind::new("string", anything);
pub(crate) const LIST: Kind = Kind::new("list", anything);
pub(crate) const STRINGS: Kind = Kind::new("stringArray", anything);
pub(crate) const STRING_SLICE: Kind = Kind::new("strings", |value| csv::fields_or_none(value).map(drop));
pub(crate) const MAP: Kind = Kind::new("map", anything);
pub(crate) const INT: Kind = Kind::new("int", |value| number::integer(value).map(drop));
pub(crate) const UINT: Kind = Kind::new("uint", |value| number::unsigned(value).map(drop));
pub(crate) const UINT16: Kind = Kind::new("uint16", |value| number::unsigned_16(value).map(drop));
pub(crate) const BYTES: Kind = Kind::new("bytes", |value| bytes::binary(value).map(drop));
pub(crate) const BYTES_OR_UNLIMITED: Kind =
    Kind::new("bytes", |value| if value == "-1" { Ok(()) } else { bytes::binary(value).map(drop) });
pub(crate) const DURATION: Kind =
    Kind::new("duration", |value| duration::parse(value).map(drop).map_err(|error| error.to_string()));
pub(crate) const LABEL: Kind = Kind::new("list", validate::label);
pub(crate) const LINK: Kind = Kind::new("list", validate::link);
pub(crate) const FILTER: Kind = Kind::new("filter", filter::check);

pub(crate) fn anything(_: &str) -> Result<(), String> {
    Ok(())
}

/// A flag without a short form.
pub(crate) const fn flag(long: &'static str, kind: Kind, help: &'static str) -> Flag {
    Flag { long, short: None, kind, help, hidden: false, stands_for: None }
}

/// Stands for whatever flags a command has that nobody will look at: they are read over. A value that is a word of its
/// own counts as an argument then.
pub(crate) const UNREAD: Flag = flag("", SWITCH, "").hidden();

impl Flag {
    pub(crate) const fn short(mut self, short: char) -> Flag {
        self.short = Some(short);
        self
    }

    pub(crate) const fn hidden(mut self) -> Flag {
        self.hidden = true;
        self
    }

    /// Another, hidden spelling of a flag.
    pub(crate) const fn spelling_of(mut self, long: &'static str) -> Flag {
        self.hidden = true;
        self.stands_for = Some(long);
        self
    }

    /// The flag as named in an error: `-m, --memory`.
    pub(crate) fn label(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}, --{}", self.long),
            None => format!("--{}", self.long),
        }
    }
}
