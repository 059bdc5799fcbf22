//! `dhow wait`: until containers stop.

use dhow_api::client::Request;
use serde::Deserialize;

use super::each::checked;
use super::{Arity, Command};
use crate::error::{self, Result};
use crate::flags::Parsed;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["container wait", "wait"],
    usage: "CONTAINER [CONTAINER...]",
    about: "Wait until containers stop, then print their exit statuses",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[],
    run,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exit {
    status_code: i64,
}

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let mut failures = Vec::new();
    for name in &parsed.arguments {
        match status(session, name) {
            Ok(status) => session.print_line(&status.to_string())?,
            Err(error) => failures.push(error),
        }
    }
    error::join(failures)
}

fn status(session: &Session, name: &str) -> Result<i64> {
    let exit: Exit = session.send(Request::post(&["containers", checked(name)?, "wait"]))?.json()?;
    Ok(exit.status_code)
}
