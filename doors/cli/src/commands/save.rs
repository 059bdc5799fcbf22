//! `dhow save` and `dhow export`: images with all their layers, or a container's files, as a tar
//! archive.

use dhow_api::client::Request;

use super::each::checked;
use super::{Arity, Command};
use crate::error::Result;
use crate::flags::{Flag, Parsed, STRING, STRINGS, flag};
use crate::session::Session;
use crate::stream::outfile::Output;

const OUTPUT: Flag = flag("output", STRING, "Write to this file, not to standard output").short('o');

pub(crate) const SAVE: Command = Command {
    paths: &["image save", "save"],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Save images with their layers as a tar archive",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[OUTPUT, flag("platform", STRINGS, "Save only these platforms (os/arch[/variant])")]],
    run: save,
};

pub(crate) const EXPORT: Command = Command {
    paths: &["container export", "export"],
    usage: "[OPTIONS] CONTAINER",
    about: "Write a container's file system as a tar archive",
    arity: Arity::Exactly(1),
    arguments_end_flags: false,
    flags: &[&[OUTPUT]],
    run: export,
};

fn save(session: &Session, parsed: &Parsed) -> Result<()> {
    let output = Output::open(parsed.text_or_empty("output"), "failed to save image")?;
    let mut request = Request::get(&["images", "get"]);
    for image in &parsed.arguments {
        request = request.query("names", image);
    }
    for platform in parsed.all("platform").filter(|platform| !platform.is_empty()) {
        request = request.query("platform", &super::platform_flag(platform)?);
    }
    output.take(session.send(request)?.into_body())
}

fn export(session: &Session, parsed: &Parsed) -> Result<()> {
    let output = Output::open(parsed.text_or_empty("output"), "failed to export container")?;
    let name = checked(parsed.argument(0))?;
    output.take(session.send(Request::get(&["containers", name, "export"]))?.into_body())
}
