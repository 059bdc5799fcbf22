//! `dhow top`: the processes of a container.

use dhow_api::client::Request;
use serde::Deserialize;

use super::each::checked;
use super::{Arity, Command};
use crate::error::Result;
use crate::flags::Parsed;
use crate::format::tabwriter::Tabs;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["container top", "top"],
    usage: "CONTAINER [ps OPTIONS]",
    about: "Show the processes of a container",
    arity: Arity::AtLeast(1),
    arguments_end_flags: true,
    flags: &[],
    run,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Processes {
    #[serde(deserialize_with = "super::nullable")]
    titles: Vec<String>,
    #[serde(deserialize_with = "super::nullable")]
    processes: Vec<Vec<String>>,
}

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let arguments = Some(parsed.arguments[1..].join(" ")).filter(|arguments| !arguments.is_empty());
    let request = Request::get(&["containers", checked(parsed.argument(0))?, "top"])
        .query_some("ps_args", arguments.as_deref());
    let found: Processes = session.send(request)?.json()?;
    let lines = std::iter::once(&found.titles).chain(&found.processes).map(|line| line.join("\t") + "\n");
    session.print(&Tabs { minimum: 20, padding: 3 }.align(&lines.collect::<String>()))
}
