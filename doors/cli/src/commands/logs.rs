//! `dhow logs`: what a container wrote.

use std::io::{self, Write as _};

use dhow_api::client::{Request, stdcopy};

use super::each::checked;
use super::start::inspect;
use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::{Parsed, STRING, SWITCH, flag, moment};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["container logs", "logs"],
    usage: "[OPTIONS] CONTAINER",
    about: "Show what a container wrote",
    arity: Arity::Exactly(1),
    arguments_end_flags: false,
    flags: &[&[
        flag("clear", SWITCH, "Empty the log instead, whether the container runs or not"),
        flag("details", SWITCH, "Show what the log driver adds"),
        flag("follow", SWITCH, "Go on showing what is written").short('f'),
        flag(
            "since",
            STRING,
            "Show what was written since a moment (2013-01-02T13:23:37Z) or for a time (42m)",
        ),
        flag("tail", STRING, "Show so many lines from the end (default \"all\")").short('n'),
        flag("timestamps", SWITCH, "Show when it was written").short('t'),
        flag("until", STRING, "Show what was written before a moment or a time ago"),
    ]],
    run,
};

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let name = checked(parsed.argument(0))?;
    if parsed.is_on("clear") {
        session.send(Request::post(&["dhow", "containers", name, "logs", "clear"]))?;
        return Ok(());
    }
    let moment = |flag: &str| {
        let given = parsed.text(flag).filter(|value| !value.is_empty());
        given
            .map(|value| moment::timestamp(value).or_else(|why| wrong_moment(session, name, flag, &why)))
            .transpose()
    };
    let request = Request::get(&["containers", name, "logs"])
        .query("stdout", "1")
        .query("stderr", "1")
        .query_some("since", moment("since")?.as_deref())
        .query_some("until", moment("until")?.as_deref())
        .query_flag("timestamps", parsed.is_on("timestamps"))
        .query_flag("details", parsed.is_on("details"))
        .query_flag("follow", parsed.is_on("follow"))
        .query("tail", parsed.text("tail").unwrap_or("all"));
    let response = session.send(request)?;
    // Before API 1.42 both kinds of stream had one name, so only the newer name is proof.
    let framed = response.header("content-type") == Some("application/vnd.docker.multiplexed-stream")
        || !inspect(session, name)?.config.tty;
    let mut body = response.into_body();
    let mut out = io::stdout().lock();
    let copied = if framed {
        stdcopy::copy(&mut body, Some(&mut out), Some(&mut io::stderr().lock()))
    } else {
        io::copy(&mut body, &mut out).map(drop)
    };
    copied.and_then(|()| out.flush()).map_err(Error::io("copy the container's log"))
}

/// That the container is not there matters more than what no moment is.
fn wrong_moment(session: &Session, name: &str, flag: &str, why: &Error) -> Result<String> {
    inspect(session, name)?;
    Err(Error::said(format!("invalid value for \"{flag}\": {why}")))
}
