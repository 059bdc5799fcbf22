//! `dhow load`: images from an archive.

use std::io::{IsTerminal as _, Read};

use dhow_api::client::Request;

use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::{Parsed, STRING, STRINGS, SWITCH, flag};
use crate::session::Session;
use crate::stream::progress;

pub(crate) const COMMAND: Command = Command {
    paths: &["image load", "load"],
    usage: "[OPTIONS]",
    about: "Load images from a tar archive or from standard input",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[
        flag("input", STRING, "Read from this archive, not from standard input").short('i'),
        flag("platform", STRINGS, "Load only these platforms (os/arch[/variant])"),
        flag("quiet", SWITCH, "Say only what was loaded").short('q'),
    ]],
    run,
};

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let mut input: Box<dyn Read> = match parsed.text("input") {
        Some(path) if !path.is_empty() => Box::new(super::open(path)?),
        _ if std::io::stdin().is_terminal() => {
            return Err(Error::said("requested load from stdin, but stdin is empty"));
        }
        _ => Box::new(std::io::stdin()),
    };
    let quiet = parsed.is_on("quiet") || !std::io::stdout().is_terminal();
    let mut request = Request::post(&["images", "load"]).query("quiet", if quiet { "1" } else { "0" });
    for platform in parsed.all("platform").filter(|platform| !platform.is_empty()) {
        request = request.query("platform", &super::platform_flag(platform)?);
    }
    let response = session.send(request.stream(&mut input))?;
    progress::show_to_stdout(response.into_body())
}
