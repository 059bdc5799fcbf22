//! `dhow volume rename|clone|snapshot|export|import`: what is done with a volume as a whole.

use std::io::Read;

use dhow_api::client::Request;
use serde::Deserialize;

use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::{Flag, Parsed, STRING, SWITCH, flag};
use crate::session::Session;
use crate::stream::outfile::Output;

const PAUSE: Flag = flag("pause", SWITCH, "Freeze the containers that write in it meanwhile (default true)");

pub(crate) const RENAME: Command = Command {
    paths: &["volume rename"],
    usage: "VOLUME NEW_NAME",
    about: "Give a volume that no container uses another name",
    arity: Arity::Exactly(2),
    arguments_end_flags: false,
    flags: &[],
    run: rename,
};

pub(crate) const CLONE: Command = Command {
    paths: &["volume clone"],
    usage: "[OPTIONS] VOLUME NEW_NAME",
    about: "Make a volume that has what another one has",
    arity: Arity::Exactly(2),
    arguments_end_flags: false,
    flags: &[&[PAUSE]],
    run: clone,
};

pub(crate) const SNAPSHOT: Command = Command {
    paths: &["volume snapshot"],
    usage: "[OPTIONS] VOLUME [NEW_NAME]",
    about: "Keep what a volume has now as a volume in which nobody writes",
    arity: Arity::Between(1, 2),
    arguments_end_flags: false,
    flags: &[&[PAUSE]],
    run: snapshot,
};

pub(crate) const EXPORT: Command = Command {
    paths: &["volume export"],
    usage: "[OPTIONS] VOLUME",
    about: "Write a volume's files as a tar archive",
    arity: Arity::Exactly(1),
    arguments_end_flags: false,
    flags: &[&[
        flag("output", STRING, "Write to this file, not to standard output").short('o'),
        flag("pause", SWITCH, "Freeze the containers that write in it meanwhile"),
    ]],
    run: export,
};

pub(crate) const IMPORT: Command = Command {
    paths: &["volume import"],
    usage: "VOLUME [FILE|-]",
    about: "Unpack a tar archive into a volume, which is made when it is not there",
    arity: Arity::Between(1, 2),
    arguments_end_flags: false,
    flags: &[],
    run: import,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    name: String,
}

fn rename(session: &Session, parsed: &Parsed) -> Result<()> {
    let (from, to) = (checked(parsed.argument(0))?, checked(parsed.argument(1))?);
    session.send(Request::post(&["dhow", "volumes", from, "rename"]).query("name", to))?;
    Ok(())
}

fn clone(session: &Session, parsed: &Parsed) -> Result<()> {
    copy(session, parsed, "clone")
}

fn snapshot(session: &Session, parsed: &Parsed) -> Result<()> {
    copy(session, parsed, "snapshot")
}

fn copy(session: &Session, parsed: &Parsed, verb: &str) -> Result<()> {
    let name = checked(parsed.argument(0))?;
    let mut request = Request::post(&["dhow", "volumes", name, verb])
        .query_some("name", parsed.arguments.get(1).map(String::as_str));
    if !parsed.is_left_on("pause") {
        request = request.query("pause", "0");
    }
    let made: Named = session.send(request)?.json()?;
    session.print_line(&made.name)
}

fn export(session: &Session, parsed: &Parsed) -> Result<()> {
    let output = Output::open(parsed.text_or_empty("output"), "failed to export volume")?;
    let name = checked(parsed.argument(0))?;
    let request = Request::get(&["dhow", "volumes", name, "export"]);
    output.take(session.send(request.query_flag("pause", parsed.is_on("pause")))?.into_body())
}

fn import(session: &Session, parsed: &Parsed) -> Result<()> {
    let name = checked(parsed.argument(0))?;
    let mut archive: Box<dyn Read> = match parsed.arguments.get(1).map_or("-", String::as_str) {
        "-" => Box::new(std::io::stdin()),
        path => Box::new(super::open(path)?),
    };
    let request = Request::post(&["dhow", "volumes", name, "import"]).stream(&mut archive);
    let made: Named = session.send(request)?.json()?;
    session.print_line(&made.name)
}

fn checked(name: &str) -> Result<&str> {
    if name.trim().is_empty() {
        return Err(Error::said("invalid volume name: value is empty"));
    }
    Ok(name)
}
