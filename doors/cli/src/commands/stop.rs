//! `dhow stop` and `dhow restart`: a signal, a grace, then a kill.

use dhow_api::client::{Client, Request};

use super::each::{all_at_once, checked, one_by_one};
use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::{Flag, INT, Parsed, STRING, flag};
use crate::session::Session;

const FLAGS: &[Flag] = &[
    flag("signal", STRING, "Signal to send first").short('s'),
    flag("timeout", INT, "Seconds to wait before the kill").short('t'),
    flag("time", INT, "").hidden(),
];

pub(crate) const STOP: Command = Command {
    paths: &["container stop", "stop"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Stop running containers",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[FLAGS],
    run: |session, parsed| {
        let grace = grace(parsed)?;
        all_at_once(session, &parsed.arguments, |client, name| ask(client, name, "stop", parsed, grace))
    },
};

pub(crate) const RESTART: Command = Command {
    paths: &["container restart", "restart"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Stop containers and start them again",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[FLAGS],
    run: restart,
};

fn restart(session: &Session, parsed: &Parsed) -> Result<()> {
    let grace = grace(parsed)?;
    one_by_one(session, &parsed.arguments, |client, name| ask(client, name, "restart", parsed, grace))
}

fn grace(parsed: &Parsed) -> Result<Option<i64>> {
    if parsed.is_given("time") {
        if parsed.is_given("timeout") {
            return Err(Error::said("conflicting options: cannot specify both --timeout and --time"));
        }
        eprintln!("Flag --time has been deprecated, use --timeout instead");
    }
    Ok(parsed.integer("timeout").or_else(|| parsed.integer("time")))
}

fn ask(client: &Client, name: &str, verb: &str, parsed: &Parsed, grace: Option<i64>) -> Result<()> {
    let request = Request::post(&["containers", checked(name)?, verb])
        .query_some("signal", parsed.text("signal").filter(|signal| !signal.is_empty()))
        .query_some("t", grace.map(|grace| grace.to_string()).as_deref());
    client.send(request)?;
    Ok(())
}
