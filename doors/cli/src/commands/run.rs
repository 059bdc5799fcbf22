//! `dhow run`: create, attach, start, and stay until the container ends.
//!
//! ```text
//! create ─ attach ─ wait (sent before the start, so that no exit is missed) ─ start
//!             │        └──────────────────────────────── exit status ──┐
//!             └── output until it ends ────────────────────────────────┴─► exit
//! ```

use dhow_api::client::{Client, Request, Response};
use serde::Deserialize;

use super::create;
use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::create::{Config, CreateRequest};
use crate::flags::{Parsed, STRING, SWITCH, container, flag};
use crate::session::Session;
use crate::stream::attach::{self, Ending, Streams};
use crate::stream::signals::{self, Peer, Watch};
use crate::stream::{detach, terminal};

pub(crate) const COMMAND: Command = Command {
    paths: &["container run", "run"],
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create a container from an image and run it",
    arity: Arity::AtLeast(1),
    arguments_end_flags: true,
    flags: &[
        &[
            flag("detach", SWITCH, "Run the container in the background and print its id").short('d'),
            flag("detach-keys", STRING, "Keys that leave the container (default \"ctrl-p,ctrl-q\")"),
            flag("sig-proxy", SWITCH, "Pass signals on to the container (default true)"),
        ],
        container::PROCESS,
        container::ISOLATION,
        container::STORAGE,
        container::NETWORKING,
        container::LIMITS,
        container::RESOURCES,
        container::HEALTH,
    ],
    run,
};

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let mut request = prepared(parsed)?;
    let attached = if parsed.is_on("detach") {
        detached(&mut request.config, parsed)?;
        false
    } else {
        terminal::check_input(request.config.attach_stdin, request.config.tty)?;
        let Config { attach_stdin, attach_stdout, attach_stderr, .. } = request.config;
        attach_stdin || attach_stdout || attach_stderr
    };
    let client = session.client()?;
    let id = create::create(session, parsed, &mut request).map_err(with_status)?;
    if attached {
        return in_foreground(session, client, parsed, &request, &id);
    }
    session.print_line(&id)?;
    create::start(client, &id).map_err(with_status)
}

/// What does not fit together is refused as a wrong command line is.
fn prepared(parsed: &Parsed) -> Result<CreateRequest> {
    let refused = |error: Error| Error::refused(with_help(&error.to_string()));
    create::check_pull(parsed).map_err(refused)?;
    CreateRequest::of(parsed).map_err(refused)
}

fn detached(config: &mut Config, parsed: &Parsed) -> Result<()> {
    if parsed.is_given("attach") {
        return Err(Error::said("conflicting options: cannot specify both --attach and --detach"));
    }
    config.attach_stdin = false;
    config.attach_stdout = false;
    config.attach_stderr = false;
    config.stdin_once = false;
    Ok(())
}

fn in_foreground(
    session: &Session,
    client: &Client,
    parsed: &Parsed,
    request: &CreateRequest,
    id: &str,
) -> Result<()> {
    let Config { attach_stdin, attach_stdout, attach_stderr, tty, .. } = request.config;
    let keys = match parsed.text_or_empty("detach-keys") {
        "" => session.settings().detach_keys.clone(),
        keys => keys.to_owned(),
    };
    let streams = Streams {
        stdin: attach_stdin,
        stdout: attach_stdout,
        stderr: attach_stderr,
        tty,
        detach_keys: if tty && attach_stdin { detach::parse(&keys).unwrap_or_default() } else { Vec::new() },
    };
    // Both are on their way at once: neither needs the other's answer.
    let attaching = client.begin(attach_request(id, &streams, &keys).upgrade())?;
    let waiting = client.begin(wait_request(id, request.host_config.auto_remove))?;
    let connection = attaching.hijacked()?;
    let status = waiting.response()?;
    let forward = parsed.is_left_on("sig-proxy");
    let resize = tty && terminal::is_output();
    if let Err(error) = create::start(client, id) {
        if request.host_config.auto_remove {
            let _ = exit_status(status);
        }
        return Err(with_status(error));
    }
    let watch = Watch { forward, resize, raw: tty && attach_stdin };
    signals::watch(client, Peer::Container(id.to_owned()), watch)?;
    match attach::flow(connection, &streams)? {
        Ending::Detached => Ok(()),
        Ending::Ended => ended(exit_status(status)),
    }
}

/// The request that attaches these streams to a container.
pub(crate) fn attach_request<'a>(id: &str, streams: &Streams, keys: &str) -> Request<'a> {
    Request::post(&["containers", id, "attach"])
        .query("stream", "1")
        .query_flag("stdin", streams.stdin)
        .query_flag("stdout", streams.stdout)
        .query_flag("stderr", streams.stderr)
        .query_some("detachKeys", Some(keys).filter(|keys| !keys.is_empty()))
}

/// The question for the exit status; the answer's head comes at once, its body when the container
/// ends.
pub(crate) fn wait_request<'a>(id: &str, until_removed: bool) -> Request<'a> {
    let condition = if until_removed { "removed" } else { "next-exit" };
    Request::post(&["containers", id, "wait"]).query("condition", condition)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exit {
    status_code: i64,
    error: Option<ExitError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExitError {
    message: String,
}

/// Waits for the container's status.
pub(crate) fn exit_status(response: Response) -> Result<i64> {
    let exit: Exit = response.json().map_err(|error| waiting(&error.to_string()))?;
    match exit.error {
        Some(error) if !error.message.is_empty() => Err(waiting(&error.message)),
        _ => Ok(exit.status_code),
    }
}

fn waiting(why: &str) -> Error {
    Error::refused(format!("Error waiting for container: {why}"))
}

/// Ends the command with the container's status.
pub(crate) fn ended(status: Result<i64>) -> Result<()> {
    match status? {
        0 => Ok(()),
        code => Err(Error::Exit(u8::try_from(code & 0xff).unwrap_or(1))),
    }
}

/// The status of a container that did not start: 127 when its program was not found, 126 when it
/// may not be run, 125 for everything else.
fn with_status(error: Error) -> Error {
    let words = error.to_string();
    let says = |part: &str| words.contains(part);
    let code = match () {
        () if says("executable file not found") || says("no such file or directory") => 127,
        () if says("permission denied") || says("is a directory") => 126,
        () => 125,
    };
    Error::Status { code, words: with_help(&words) }
}

fn with_help(words: &str) -> String {
    format!("dhow: {words}\n\nRun 'dhow run --help' for more information")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flag;

    #[test]
    fn whatever_a_container_can_be_created_with_it_can_be_run_with() {
        let flags = |tables: &[&[Flag]]| tables.concat().into_iter().map(|flag| flag.long);
        let of_run: Vec<&str> = flags(COMMAND.flags).collect();
        let missing: Vec<&str> = flags(create::CREATE_FLAGS).filter(|long| !of_run.contains(long)).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }
}
