//! `/exec/…` and `/containers/{id}/exec`: one more process in a running container.

use bytes::Bytes;
use dhow_engine::execs::{Exec, ExecRequest, ExecState};
use dhow_model::ports::{LogStream, TerminalSize};
use dhow_model::{Error, Kind};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::containers::streams::{asynchronous, terminal_size};
use super::{Handling, not_found};
use crate::server::answer::{self, Answer};
use crate::server::call::Call;
use crate::server::detach::DetachKeys;
use crate::server::framing::Framing;
use crate::server::stdcopy;

/// The handler of `/exec/{id}/{verb}`.
pub(super) fn route(call: Call, id: &str, verb: &str) -> Handling {
    let id = id.to_owned();
    match (call.method.as_str(), verb) {
        ("POST", "start") => Box::pin(start(call, id)),
        ("POST", "kill") => Box::pin(kill(call, id)),
        ("POST", "resize") => Box::pin(resize(call, id)),
        ("GET", "json") => Box::pin(inspect(call, id)),
        _ => not_found(),
    }
}

/// The body of a create.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct CreateBody {
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    tty: bool,
    privileged: bool,
    user: String,
    working_dir: String,
    env: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    console_size: Option<[u16; 2]>,
    detach_keys: String,
    dies_with_client: bool,
}

/// The body of a start.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct StartBody {
    detach: bool,
    tty: bool,
    console_size: Option<[u16; 2]>,
}

pub(super) async fn create(mut call: Call, container: String) -> Answer {
    let body: CreateBody = call.json("container.ExecCreateRequest").await?.unwrap_or_default();
    DetachKeys::parse(&body.detach_keys)
        .map_err(|_| Error::invalid(format!("Invalid escape keys ({}) provided", body.detach_keys)))?;
    let request = ExecRequest {
        attach_stdin: body.attach_stdin,
        attach_stdout: body.attach_stdout,
        attach_stderr: body.attach_stderr,
        tty: body.tty,
        detach_keys: body.detach_keys,
        console_size: size(body.console_size).filter(|_| !call.version.before(42)),
        env: body.env.unwrap_or_default(),
        cmd: body.cmd.unwrap_or_default(),
        privileged: body.privileged,
        user: body.user,
        working_dir: body.working_dir,
        dies_with_client: body.dies_with_client,
    };
    let id = call.run(move |engine| engine.create_exec(&container, request)).await?;
    Ok(answer::created(&json!({"Id": id})))
}

/// Rows and columns; none of either is no size.
fn size(sides: Option<[u16; 2]>) -> Option<TerminalSize> {
    sides
        .filter(|sides| sides.iter().all(|side| *side > 0))
        .map(|[rows, columns]| TerminalSize { rows, columns })
}

async fn start(mut call: Call, id: String) -> Answer {
    let body: StartBody = call.json("container.ExecStartRequest").await?.unwrap_or_default();
    let version = call.version;
    let first_size = size(body.console_size).filter(|_| !version.before(42));
    let raw = body.tty;
    if body.detach {
        call.run(move |engine| engine.start_exec(&id, first_size)).await?;
        return Ok(answer::empty(StatusCode::OK));
    }
    // Attached before it is started: nothing that it writes is lost.
    let (told_by, left) = (call.engine.clone(), id.clone());
    let (terminal, keys, started) = call
        .run(move |engine| {
            let request = engine.exec(&id)?.request;
            let keys =
                DetachKeys::parse(&request.detach_keys)?.telling(move || told_by.tell_exec_detached(&left));
            match engine.start_attached_exec(&id, first_size) {
                Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => Err(error),
                started => {
                    // Who is to die with its client cannot be left behind by it.
                    let keys = Some(keys).filter(|_| request.tty && !request.dies_with_client);
                    Ok((request.tty, keys, started))
                }
            }
        })
        .await?;
    let media_type = stdcopy::media_type(raw, version);
    let mut client = call.into_client().framed(Framing::between(terminal, raw));
    if let Some(keys) = keys {
        client = client.detached_by(keys);
    }
    match started {
        Ok(attached) => Ok(client.join(media_type, Bytes::new(), Some(asynchronous(attached.stream)?))),
        // As Docker does: the client is told in the stream, and finds the exit code by inspection.
        Err(error) => Ok(client.join(media_type, told(&error, raw), None)),
    }
}

fn told(error: &Error, raw: bool) -> Bytes {
    let text = format!("{}\r\n", error.report()).into_bytes();
    if raw { text.into() } else { stdcopy::frame(LogStream::Stdout, &text).into() }
}

/// Not Docker's: a signal for an exec alone.
async fn kill(call: Call, id: String) -> Answer {
    let signal = call.query.text("signal").to_owned();
    call.run(move |engine| engine.kill_exec(&id, &signal)).await?;
    Ok(answer::no_content())
}

async fn resize(call: Call, id: String) -> Answer {
    let size = terminal_size(&call.query)?;
    call.run(move |engine| engine.resize_exec(&id, size)).await?;
    Ok(answer::empty(StatusCode::OK))
}

async fn inspect(call: Call, id: String) -> Answer {
    let exec = call.engine.settled_exec(&id).await?;
    Ok(answer::ok(&shown(&exec)))
}

fn shown(exec: &Exec) -> Value {
    let request = &exec.request;
    let (running, pid, code) = match &exec.state {
        ExecState::Created | ExecState::Starting => (false, 0, None),
        ExecState::Running(pid) => (true, *pid, None),
        ExecState::Ended(exit) => (false, 0, Some(exit.code)),
    };
    let mut words = request.cmd.iter();
    let entrypoint = words.next();
    json!({
        "ID": exec.id,
        "Running": running,
        "ExitCode": code,
        "ProcessConfig": {
            "tty": request.tty, "entrypoint": entrypoint, "arguments": words.collect::<Vec<_>>(),
            "privileged": request.privileged, "user": request.user,
        },
        "OpenStdin": request.attach_stdin,
        "OpenStderr": request.attach_stderr,
        "OpenStdout": request.attach_stdout,
        "CanRemove": matches!(exec.state, ExecState::Ended(_)),
        "ContainerID": exec.container,
        "DetachKeys": request.detach_keys,
        "Pid": pid,
    })
}
