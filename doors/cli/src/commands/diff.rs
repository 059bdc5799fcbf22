//! `dhow diff`: what a container changed in its file system.

use dhow_api::client::Request;
use serde::Deserialize;

use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::Parsed;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["container diff", "diff"],
    usage: "CONTAINER",
    about: "Show what a container changed in its file system",
    arity: Arity::Exactly(1),
    arguments_end_flags: false,
    flags: &[],
    run,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    path: String,
    kind: u8,
}

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let name = parsed.argument(0);
    if name.is_empty() {
        return Err(Error::said("Container name cannot be empty"));
    }
    let changes: Option<Vec<Change>> =
        session.send(Request::get(&["containers", name, "changes"]))?.json()?;
    let letter = |kind| match kind {
        0 => "C",
        1 => "A",
        2 => "D",
        _ => "",
    };
    let lines =
        changes.unwrap_or_default().into_iter().map(|it| format!("{} {}\n", letter(it.kind), it.path));
    session.print(&lines.collect::<String>())
}
