//! The commands that only say one verb to the engine: pause, unpause, kill, rename, tag.

use dhow_api::client::Request;

use super::each::{all_at_once, checked};
use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::{Parsed, STRING, SWITCH, flag};
use crate::format::names;
use crate::session::Session;

pub(crate) const PAUSE: Command = Command {
    paths: &["container pause", "pause"],
    usage: "CONTAINER [CONTAINER...]",
    about: "Freeze all processes of containers",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[],
    run: |session, parsed| say(session, parsed, "pause"),
};

pub(crate) const UNPAUSE: Command = Command {
    paths: &["container unpause", "unpause"],
    usage: "CONTAINER [CONTAINER...]",
    about: "Let the processes of frozen containers go on",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[],
    run: |session, parsed| say(session, parsed, "unpause"),
};

pub(crate) const KILL: Command = Command {
    paths: &["container kill", "kill"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Kill running containers, or send them a signal",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[
        flag("exec", SWITCH, "What is named are commands that 'exec' started"),
        flag("signal", STRING, "Signal to send (default \"KILL\")").short('s'),
    ]],
    run: kill,
};

pub(crate) const RENAME: Command = Command {
    paths: &["container rename", "rename"],
    usage: "CONTAINER NEW_NAME",
    about: "Rename a container",
    arity: Arity::Exactly(2),
    arguments_end_flags: false,
    flags: &[],
    run: rename,
};

pub(crate) const TAG: Command = Command {
    paths: &["image tag", "tag"],
    usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    about: "Give an image a further name",
    arity: Arity::Exactly(2),
    arguments_end_flags: false,
    flags: &[],
    run: tag,
};

fn say(session: &Session, parsed: &Parsed, verb: &str) -> Result<()> {
    all_at_once(session, &parsed.arguments, |client, name| {
        client.send(Request::post(&["containers", checked(name)?, verb]))?;
        Ok(())
    })
}

fn kill(session: &Session, parsed: &Parsed) -> Result<()> {
    let signal = parsed.text("signal").filter(|signal| !signal.is_empty());
    let kind = if parsed.is_on("exec") { "exec" } else { "containers" };
    all_at_once(session, &parsed.arguments, |client, name| {
        client.send(Request::post(&[kind, checked(name)?, "kill"]).query_some("signal", signal))?;
        Ok(())
    })
}

fn rename(session: &Session, parsed: &Parsed) -> Result<()> {
    let (old, new) = (parsed.argument(0).trim(), parsed.argument(1).trim());
    if old.is_empty() || new.is_empty() {
        return Err(Error::said("Error: Neither old nor new names may be empty"));
    }
    let renamed = session.send(Request::post(&["containers", old, "rename"]).query("name", new));
    renamed.map(drop).map_err(|error| {
        eprintln!("{error}");
        Error::said(format!("Error: failed to rename container named {old}"))
    })
}

fn tag(session: &Session, parsed: &Parsed) -> Result<()> {
    let (repository, tag) = names::split_tag(parsed.argument(1));
    let request = Request::post(&["images", parsed.argument(0), "tag"])
        .query("repo", &names::canonical(repository))
        .query("tag", tag.unwrap_or("latest"));
    session.send(request)?;
    Ok(())
}
