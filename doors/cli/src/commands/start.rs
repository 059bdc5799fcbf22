//! `dhow start`: starts containers, and stays with one of them where that is asked for.

use dhow_api::client::Request;
use serde::Deserialize;

use super::each::checked;
use super::run::{attach_request, ended, exit_status, wait_request};
use super::{Arity, Command, create};
use crate::error::{Error, Result};
use crate::flags::{Parsed, STRING, SWITCH, flag};
use crate::session::Session;
use crate::stream::attach::{self, Ending, Streams};
use crate::stream::signals::{self, Peer, Watch};
use crate::stream::{detach, terminal};

pub(crate) const COMMAND: Command = Command {
    paths: &["container start", "start"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Start stopped containers",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[
        flag("attach", SWITCH, "Attach standard output and error, and pass signals on").short('a'),
        flag("detach-keys", STRING, "Keys that leave the container (default \"ctrl-p,ctrl-q\")"),
        flag("interactive", SWITCH, "Attach standard input").short('i'),
        flag("checkpoint", STRING, "").hidden(),
        flag("checkpoint-dir", STRING, "").hidden(),
    ]],
    run,
};

/// What of a container decides how it is attached.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Inspected {
    pub(crate) id: String,
    pub(crate) config: InspectedConfig,
    #[serde(default)]
    pub(crate) state: InspectedState,
    #[serde(default)]
    pub(crate) host_config: InspectedHostConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InspectedConfig {
    #[serde(default)]
    pub(crate) tty: bool,
    #[serde(default)]
    pub(crate) open_stdin: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct InspectedState {
    pub(crate) running: bool,
    pub(crate) paused: bool,
    pub(crate) restarting: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct InspectedHostConfig {
    pub(crate) auto_remove: bool,
}

/// Looks at one container.
pub(crate) fn inspect(session: &Session, name: &str) -> Result<Inspected> {
    Ok(session.send(Request::get(&["containers", checked(name)?, "json"]))?.json()?)
}

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    if parsed.is_given("checkpoint") {
        return Err(Error::said("--checkpoint: not served yet"));
    }
    if !parsed.is_on("attach") && !parsed.is_on("interactive") {
        return start_all(session, &parsed.arguments);
    }
    if parsed.arguments.len() > 1 {
        return Err(Error::said("you cannot start and attach multiple containers at once"));
    }
    start_attached(session, parsed)
}

fn start_all(session: &Session, names: &[String]) -> Result<()> {
    let client = session.client()?;
    let mut failed = Vec::new();
    for name in names {
        match checked(name).and_then(|name| create::start(client, name)) {
            Ok(()) => session.print_line(name)?,
            Err(error) => {
                eprintln!("{error}");
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Error::said(format!("Error: failed to start containers: {}", failed.join(", "))))
}

fn start_attached(session: &Session, parsed: &Parsed) -> Result<()> {
    let client = session.client()?;
    let container = inspect(session, parsed.argument(0))?;
    let tty = container.config.tty;
    let keys = keys(session, parsed);
    let streams = Streams {
        stdin: parsed.is_on("interactive") && container.config.open_stdin,
        stdout: true,
        stderr: true,
        tty,
        detach_keys: detach::parse(&keys).unwrap_or_default(),
    };
    let connection = client.hijack(attach_request(&container.id, &streams, &keys))?;
    let status = client.send(wait_request(&container.id, container.host_config.auto_remove))?;
    if let Err(error) = create::start(client, &container.id) {
        if container.host_config.auto_remove {
            let _ = exit_status(status);
        }
        return Err(error);
    }
    let watch = Watch { forward: !tty, resize: tty && terminal::is_output(), raw: tty && streams.stdin };
    signals::watch(client, Peer::Container(container.id), watch)?;
    match attach::flow(connection, &streams)? {
        Ending::Detached => Ok(()),
        Ending::Ended => ended(exit_status(status)),
    }
}

/// The keys that leave a container: from the flag, or the user's settings.
pub(crate) fn keys(session: &Session, parsed: &Parsed) -> String {
    match parsed.text_or_empty("detach-keys") {
        "" => session.settings().detach_keys.clone(),
        keys => keys.to_owned(),
    }
}
