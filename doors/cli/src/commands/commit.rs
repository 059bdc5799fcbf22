//! `dhow commit`: a container's changes become a layer, and a new image.

use dhow_api::client::Request;
use serde::Deserialize;

use super::each::checked;
use super::{Arity, Command};
use crate::error::Result;
use crate::flags::{LIST, Parsed, STRING, SWITCH, flag};
use crate::format::names;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["container commit", "commit"],
    usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    about: "Make an image from a container's changes",
    arity: Arity::Between(1, 2),
    arguments_end_flags: true,
    flags: &[&[
        flag("author", STRING, "Author of the image").short('a'),
        flag("change", LIST, "Apply a Dockerfile instruction to the image").short('c'),
        flag("message", STRING, "Comment of the image").short('m'),
        flag("pause", SWITCH, "Freeze the container meanwhile (default true)").short('p'),
    ]],
    run,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Committed {
    id: String,
}

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let name = parsed.arguments.get(1).map(|name| names::split_tag(name));
    let (repository, tag) = match name {
        Some((repository, tag)) => (repository, tag.unwrap_or("latest")),
        None => ("", ""),
    };
    let mut request = Request::post(&["commit"])
        .query("container", checked(parsed.argument(0))?)
        .query("repo", &names::canonical(repository))
        .query("tag", tag)
        .query("comment", parsed.text_or_empty("message"))
        .query("author", parsed.text_or_empty("author"));
    for change in parsed.all("change") {
        request = request.query("changes", change);
    }
    if !parsed.is_left_on("pause") {
        request = request.query("pause", "0");
    }
    let committed: Committed = session.send(request.json(&serde_json::Value::Null)?)?.json()?;
    session.print_line(&committed.id)
}
