//! `dhow import`: a tar archive of a file system becomes an image.

use std::io::Read;

use dhow_api::client::Request;

use super::{Arity, Command};
use crate::error::Result;
use crate::flags::{LIST, Parsed, STRING, flag};
use crate::session::Session;
use crate::stream::progress;

pub(crate) const COMMAND: Command = Command {
    paths: &["image import", "import"],
    usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    about: "Make an image from a tar archive of a file system",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[
        flag("change", LIST, "Apply a Dockerfile instruction to the image").short('c'),
        flag("message", STRING, "Comment of the image").short('m'),
        flag("platform", STRING, "Platform of the image (os/arch[/variant])"),
    ]],
    run,
};

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let source = parsed.argument(0);
    let is_remote = source.starts_with("http://") || source.starts_with("https://");
    let mut archive: Box<dyn Read> = match source {
        "-" => Box::new(std::io::stdin()),
        _ if is_remote => Box::new(std::io::empty()),
        path => Box::new(super::open(path)?),
    };
    let some = |text: &'static str| parsed.text(text).filter(|value| !value.is_empty());
    let mut request = Request::post(&["images", "create"])
        .query("fromSrc", if is_remote { source } else { "-" })
        .query("repo", parsed.arguments.get(1).map(String::as_str).unwrap_or_default())
        .query_some("message", some("message"))
        .query_some("platform", some("platform").map(str::to_lowercase).as_deref());
    for change in parsed.all("change") {
        request = request.query("changes", change);
    }
    if !is_remote {
        request = request.stream(&mut archive);
    }
    progress::show_to_stdout(session.send(request)?.into_body())
}
