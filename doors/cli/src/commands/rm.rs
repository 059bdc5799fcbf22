//! `dhow rm`: removes containers.

use dhow_api::client::Request;

use super::each::at_once;
use super::{Arity, Command};
use crate::error::{self, Error, Result};
use crate::flags::{Parsed, SWITCH, flag};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["container rm", "container remove", "rm"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Remove containers",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[
        flag("force", SWITCH, "Kill running containers first").short('f'),
        flag("link", SWITCH, "Remove the link, not the container").short('l'),
        flag("volumes", SWITCH, "Remove the unnamed volumes of the containers too").short('v'),
    ]],
    run,
};

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let client = session.client()?;
    let force = parsed.is_on("force");
    let remove = |name: &str| {
        let name = name.trim_matches('/');
        if name.is_empty() {
            return Err(Error::said("container name cannot be empty"));
        }
        let request = Request::delete(&["containers", name])
            .query_flag("v", parsed.is_on("volumes"))
            .query_flag("link", parsed.is_on("link"))
            .query_flag("force", force);
        client.send(request)?;
        Ok(())
    };
    let results = match parsed.arguments.as_slice() {
        [name] => vec![remove(name)],
        names => at_once(names, remove)?,
    };
    let mut failures = Vec::new();
    for (name, result) in parsed.arguments.iter().zip(results) {
        match result {
            Ok(()) => session.print_line(name)?,
            Err(error) if force && error.is_not_found() => eprintln!("{error}"),
            Err(error) => failures.push(error),
        }
    }
    error::join(failures)
}
