//! `dhow exec`: one more process in a running container.

use dhow_api::client::{Client, Request};
use serde::{Deserialize, Serialize};

use super::attach::LEFT;
use super::each::checked;
use super::start::{inspect, keys};
use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::{Kind, LIST, Parsed, STRING, SWITCH, environment, flag};
use crate::session::Session;
use crate::stream::attach::{self, Ending, Streams};
use crate::stream::signals::{self, Peer, Watch};
use crate::stream::{detach, terminal};

const ENV: Kind = Kind::new("list", environment::check);

pub(crate) const COMMAND: Command = Command {
    paths: &["container exec", "exec"],
    usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
    about: "Run a command in a running container",
    arity: Arity::AtLeast(2),
    arguments_end_flags: true,
    flags: &[&[
        flag("detach", SWITCH, "Run the command in the background").short('d'),
        flag("detach-keys", STRING, "Keys that leave the command (default \"ctrl-p,ctrl-q\")"),
        flag("die-with-client", SWITCH, "Kill the command when this client is gone"),
        flag("env", ENV, "Set a variable of the environment").short('e'),
        flag("env-file", LIST, "Set the variables that this file lists"),
        flag("interactive", SWITCH, "Keep standard input open, attached or not").short('i'),
        flag("privileged", SWITCH, "Give the command all privileges"),
        flag("tty", SWITCH, "Give the command a terminal").short('t'),
        flag("user", STRING, "User, by name or number (<name|uid>[:<group|gid>])").short('u'),
        flag("workdir", STRING, "Working directory in the container").short('w'),
    ]],
    run,
};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ExecRequest {
    user: String,
    privileged: bool,
    tty: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    console_size: Option<[u16; 2]>,
    attach_stdin: bool,
    attach_stderr: bool,
    attach_stdout: bool,
    detach: bool,
    detach_keys: String,
    env: Option<Vec<String>>,
    working_dir: String,
    cmd: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dies_with_client: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StartRequest {
    detach: bool,
    tty: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    console_size: Option<[u16; 2]>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    exit_code: Option<i64>,
}

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let client = session.client()?;
    let container = parsed.argument(0);
    let request = request(session, parsed)?;
    if let Err(refusal) = terminal::check_input(request.attach_stdin, request.tty) {
        // That the container is not there matters more than what the terminal is.
        inspect(session, container)?;
        return Err(refusal);
    }
    if detach::parse(&request.detach_keys).is_err() {
        // The same is so of keys.
        inspect(session, container)?;
    }
    let call = Request::post(&["containers", checked(container)?, "exec"]).json(&request)?;
    let Created { id } = client.send(call)?.json()?;
    if id.is_empty() {
        return Err(Error::said("exec ID empty"));
    }
    let start =
        StartRequest { detach: parsed.is_on("detach"), tty: request.tty, console_size: request.console_size };
    let call = Request::post(&["exec", &id, "start"]).json(&start)?;
    if start.detach {
        client.send(call)?;
        return Ok(());
    }
    let streams = Streams {
        stdin: request.attach_stdin,
        stdout: true,
        stderr: true,
        tty: request.tty,
        detach_keys: detach::parse(&request.detach_keys).unwrap_or_default(),
    };
    let connection = client.hijack(call)?;
    let resize = request.tty && terminal::is_output();
    let watch = Watch { forward: false, resize, raw: request.tty && request.attach_stdin };
    signals::watch(client, Peer::Exec(id.clone()), watch)?;
    match attach::flow(connection, &streams)? {
        Ending::Detached => Err(Error::said(LEFT)),
        Ending::Ended => exit_status(client, &id),
    }
}

fn request(session: &Session, parsed: &Parsed) -> Result<ExecRequest> {
    let attached = !parsed.is_on("detach");
    let tty = parsed.is_on("tty");
    let variables = environment::variables(&parsed.list("env-file"), &parsed.list("env"));
    let variables = variables.map_err(|why| Error::said(why.to_string()))?;
    Ok(ExecRequest {
        user: parsed.text_or_empty("user").to_owned(),
        privileged: parsed.is_on("privileged"),
        tty,
        console_size: tty.then(terminal::size),
        attach_stdin: attached && parsed.is_on("interactive"),
        attach_stderr: attached,
        attach_stdout: attached,
        detach: !attached,
        detach_keys: keys(session, parsed),
        env: Some(variables).filter(|variables| !variables.is_empty()),
        working_dir: parsed.text_or_empty("workdir").to_owned(),
        cmd: parsed.arguments[1..].to_vec(),
        dies_with_client: attached && parsed.is_on("die-with-client"),
    })
}

fn exit_status(client: &Client, id: &str) -> Result<()> {
    let inspected: Inspected = client.send(Request::get(&["exec", id, "json"]))?.json()?;
    super::run::ended(Ok(inspected.exit_code.unwrap_or(0)))
}
