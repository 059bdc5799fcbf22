//! `dhow rmi`: removes names of images, and images that have no name left.

use dhow_api::client::Request;
use serde::Deserialize;

use super::{Arity, Command};
use crate::error::{self, Error, Result};
use crate::flags::{Parsed, STRINGS, SWITCH, flag};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["image rm", "image remove", "image rmi", "rmi"],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Remove images",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[
        flag("force", SWITCH, "Remove images in use, and do not mind those that are not there").short('f'),
        flag("no-prune", SWITCH, "Keep parents without a name"),
        flag("platform", STRINGS, "Remove only these platforms (os/arch[/variant])"),
    ]],
    run,
};

/// What became of a name or an image.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Removed {
    #[serde(default)]
    pub(crate) untagged: String,
    #[serde(default)]
    pub(crate) deleted: String,
}

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let force = parsed.is_on("force");
    let mut failures = Vec::new();
    for image in &parsed.arguments {
        match remove(session, parsed, image) {
            Ok(removed) => session.print(&removed.iter().map(line).collect::<String>())?,
            Err(error) => failures.push(error),
        }
    }
    if force && failures.iter().all(crate::error::Error::is_not_found) {
        for failure in failures {
            eprintln!("{failure}");
        }
        return Ok(());
    }
    error::join(failures)
}

fn remove(session: &Session, parsed: &Parsed, image: &str) -> Result<Vec<Removed>> {
    let mut request = Request::delete(&["images", image])
        .query_flag("force", parsed.is_on("force"))
        .query_flag("noprune", parsed.is_on("no-prune"));
    for platform in parsed.all("platform").filter(|platform| !platform.is_empty()) {
        request = request.query("platforms", &super::platform_json(platform).map_err(Error::said)?);
    }
    Ok(session.send(request)?.json()?)
}

fn line(removed: &Removed) -> String {
    if removed.deleted.is_empty() {
        format!("Untagged: {}\n", removed.untagged)
    } else {
        format!("Deleted: {}\n", removed.deleted)
    }
}
