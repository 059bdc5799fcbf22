//! `dhow attach`: joins the terminal to a running container.

use dhow_api::client::Request;

use super::run::{attach_request, ended, exit_status};
use super::start::{Inspected, inspect, keys};
use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::{Parsed, STRING, SWITCH, flag};
use crate::session::Session;
use crate::stream::attach::{self, Ending, Streams};
use crate::stream::signals::{self, Peer, Watch};
use crate::stream::{detach, terminal};

pub(crate) const COMMAND: Command = Command {
    paths: &["container attach", "attach"],
    usage: "[OPTIONS] CONTAINER",
    about: "Attach this terminal's input and output to a running container",
    arity: Arity::Exactly(1),
    arguments_end_flags: false,
    flags: &[&[
        flag("detach-keys", STRING, "Keys that leave the container (default \"ctrl-p,ctrl-q\")"),
        flag("no-stdin", SWITCH, "Do not attach standard input"),
        flag("sig-proxy", SWITCH, "Pass signals on to the container (default true)"),
    ]],
    run,
};

/// What is said when the user leaves; docker's word for it.
pub(crate) const LEFT: &str = "read escape sequence";

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let client = session.client()?;
    let container = inspect(session, parsed.argument(0))?;
    check_state(&container)?;
    let with_input = !parsed.is_on("no-stdin");
    let tty = container.config.tty;
    terminal::check_input(with_input, tty)?;
    let keys = keys(session, parsed);
    let streams = Streams {
        stdin: with_input && container.config.open_stdin,
        stdout: true,
        stderr: true,
        tty,
        detach_keys: detach::parse(&keys).unwrap_or_default(),
    };
    let status = client.send(Request::post(&["containers", &container.id, "wait"]))?;
    let connection = client.hijack(attach_request(&container.id, &streams, &keys))?;
    let peer = Peer::Container(container.id);
    let resize = tty && terminal::is_output();
    if resize {
        // A program draws its prompt anew only when the size changes; so it changes twice.
        let [rows, columns] = terminal::size();
        let _ = signals::resize_to(client, &peer, rows.saturating_add(1), columns.saturating_add(1));
    }
    let watch = Watch { forward: parsed.is_left_on("sig-proxy") && !tty, resize, raw: tty && streams.stdin };
    signals::watch(client, peer, watch)?;
    match attach::flow(connection, &streams)? {
        Ending::Detached => Err(Error::said(LEFT)),
        Ending::Ended => ended(exit_status(status)),
    }
}

fn check_state(container: &Inspected) -> Result<()> {
    let refusal = match &container.state {
        state if !state.running => "You cannot attach to a stopped container, start it first",
        state if state.paused => "You cannot attach to a paused container, unpause it first",
        state if state.restarting => "You cannot attach to a restarting container, wait until it is running",
        _ => return Ok(()),
    };
    Err(Error::said(refusal))
}
