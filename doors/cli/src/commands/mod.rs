//! The commands, one file each, and the list in which they are found.

use std::collections::BTreeMap;
use std::fs::File;

use serde::Deserialize as _;

use crate::error::{Error, Result};
use crate::flags::{Flag, Parsed};
use crate::session::Session;

mod api_socket;
mod attach;
mod check;
mod commit;
pub(crate) mod complete;
mod completion;
mod context;
mod convert;
mod cp;
mod create;
mod df;
mod dial;
mod diff;
mod each;
mod events;
mod exec;
mod history;
mod images;
mod import;
mod info;
mod inspect;
mod load;
mod logs;
mod network;
mod network_create;
mod network_verbs;
mod plugin;
mod port;
mod prune;
mod ps;
mod rm;
mod rmi;
mod run;
mod save;
mod start;
mod stats;
mod stop;
mod swarm;
mod top;
mod tree;
mod unserved;
mod update;
mod verbs;
mod version;
mod volume;
mod volume_whole;
mod wait;

pub(crate) use unserved::unserved;

/// A command: how it is called and what it does.
pub(crate) struct Command {
    /// Every way to call it, the plainest last: `container ls`, `ps`.
    pub(crate) paths: &'static [&'static str],
    /// What follows its name: `[OPTIONS] IMAGE`.
    pub(crate) usage: &'static str,
    pub(crate) about: &'static str,
    pub(crate) arity: Arity,
    /// Whether the first argument ends the flags, because what follows is another program's.
    pub(crate) arguments_end_flags: bool,
    pub(crate) flags: &'static [&'static [Flag]],
    pub(crate) run: fn(&Session, &Parsed) -> Result<()>,
}

/// How many arguments a command takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arity {
    None,
    Exactly(usize),
    AtLeast(usize),
    AtMost(usize),
    Between(usize, usize),
}

/// Every command.
pub(crate) fn all() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().chain(plugin::COMMANDS).chain(swarm::COMMANDS).copied()
}

const COMMANDS: &[&Command] = &[
    &attach::COMMAND,
    &check::COMMAND,
    &commit::COMMAND,
    &completion::COMMAND,
    &completion::MAN,
    &context::CREATE,
    &context::EXPORT,
    &context::IMPORT,
    &context::INSPECT,
    &context::LIST,
    &context::REMOVE,
    &context::SHOW,
    &context::UPDATE,
    &context::USE,
    &convert::COMMAND,
    &cp::COMMAND,
    &create::COMMAND,
    &df::COMMAND,
    &dial::COMMAND,
    &diff::COMMAND,
    &events::COMMAND,
    &exec::COMMAND,
    &history::COMMAND,
    &images::COMMAND,
    &import::COMMAND,
    &info::COMMAND,
    &inspect::ANY,
    &inspect::CONTAINER,
    &inspect::IMAGE,
    &inspect::NETWORK,
    &inspect::VOLUME,
    &load::COMMAND,
    &logs::COMMAND,
    &network::LIST,
    &network_create::COMMAND,
    &network_verbs::CONNECT,
    &network_verbs::DISCONNECT,
    &network_verbs::REMOVE,
    &port::COMMAND,
    &prune::BUILDS,
    &prune::CONTAINERS,
    &prune::IMAGES,
    &prune::NETWORKS,
    &prune::SYSTEM,
    &prune::VOLUMES,
    &ps::COMMAND,
    &rm::COMMAND,
    &rmi::COMMAND,
    &run::COMMAND,
    &save::EXPORT,
    &save::SAVE,
    &start::COMMAND,
    &stats::COMMAND,
    &stop::RESTART,
    &stop::STOP,
    &top::COMMAND,
    &tree::COMMAND,
    &update::COMMAND,
    &verbs::KILL,
    &verbs::PAUSE,
    &verbs::RENAME,
    &verbs::TAG,
    &verbs::UNPAUSE,
    &version::COMMAND,
    &volume::CREATE,
    &volume::LIST_THEM,
    &volume::REMOVE,
    &volume::UPDATE,
    &volume_whole::CLONE,
    &volume_whole::EXPORT,
    &volume_whole::IMPORT,
    &volume_whole::RENAME,
    &volume_whole::SNAPSHOT,
    &wait::COMMAND,
];

/// The groups, and what they are about.
pub(crate) const GROUPS: &[(&str, &str)] = &[
    ("builder", "Manage what builds leave"),
    ("config", "Manage configs of a swarm, which no engine of ours is in"),
    ("container", "Manage containers"),
    ("context", "Manage contexts"),
    ("image", "Manage images"),
    ("network", "Manage networks"),
    ("node", "Manage nodes of a swarm"),
    ("plugin", "Manage plugins, of which engines of ours have none"),
    ("secret", "Manage secrets of a swarm"),
    ("service", "Manage services of a swarm"),
    ("stack", "Manage stacks of a swarm"),
    ("swarm", "Manage a swarm"),
    ("system", "Manage the engine"),
    ("volume", "Manage volumes"),
];

/// What the same program is besides a client; each has help pages of its own.
pub(crate) const ROLES: &[(&str, &str)] = &[
    ("daemon", "Run the engine"),
    ("debug", "Look into the engine's work: where the time of a start goes"),
    ("runtime", "Run as an OCI runtime"),
];

/// Finds a command by the words with which it was called.
pub(crate) fn find(path: &str) -> Option<&'static Command> {
    all().find(|command| command.paths.contains(&path))
}

impl Arity {
    /// How docker sends the reader to the help page.
    pub(crate) fn see(self) -> &'static str {
        match self {
            Arity::AtLeast(_) => "See",
            Arity::None | Arity::AtMost(_) | Arity::Exactly(_) | Arity::Between(..) => "Run",
        }
    }

    /// What is wrong with so many arguments, in docker's words.
    pub(crate) fn refusal(self, count: usize) -> Option<String> {
        let plural = |n: usize| if n == 1 { "argument" } else { "arguments" };
        match self {
            Arity::None if count > 0 => Some("accepts no arguments".to_owned()),
            Arity::Exactly(n) if count != n => Some(format!("requires {n} {}", plural(n))),
            Arity::AtLeast(n) if count < n => Some(format!("requires at least {n} {}", plural(n))),
            Arity::AtMost(n) if count > n => Some(format!("requires at most {n} {}", plural(n))),
            Arity::Between(least, most) if count < least || count > most => {
                Some(format!("requires at least {least} and at most {most} {}", plural(most)))
            }
            _ => None,
        }
    }
}

/// The help of `--format`, the same everywhere.
pub(crate) const FORMAT_HELP: &str = "How to show it: 'table', 'table TEMPLATE', 'json', or a Go template";

/// A list or map that the engine may give as null.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Labels in one line.
pub(crate) fn labels_text(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// The help of `--format` of the commands that show one document.
pub(crate) const INSPECT_FORMAT_HELP: &str = "How to show it: 'json', or a Go template";

/// A platform as the API takes it: `linux/arm64/v8` is `{"os":…,"architecture":…,"variant":…}`.
pub(crate) fn platform_json(text: &str) -> Result<String, String> {
    let platform = dhow_oci::Platform::parse(text)?;
    let mut document = serde_json::json!({ "architecture": platform.architecture, "os": platform.os });
    if !platform.variant.is_empty() {
        document["variant"] = platform.variant.into();
    }
    Ok(document.to_string())
}

/// The same of a flag, whose words begin with what it is.
pub(crate) fn platform_flag(text: &str) -> Result<String> {
    platform_json(text).map_err(|why| Error::said(format!("invalid platform: {why}")))
}

/// Opens a file that the user named.
pub(crate) fn open(path: &str) -> Result<File> {
    let words = |error| Error::said(format!("open {path}: {}", crate::go_words(&error)));
    File::open(path).map_err(words)
}
