//! What containers write and read: attach, logs, the size of the terminal.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use dhow_engine::Engine;
use dhow_model::ports::{AttachOptions, LogQuery, TerminalSize};
use dhow_model::{Error, Result};
use http::StatusCode;
use tokio::net::UnixStream;

use crate::server::answer::{self, Answer};
use crate::server::call::Call;
use crate::server::detach::DetachKeys;
use crate::server::framing::{Frame, Framing};
use crate::server::query::Query;
use crate::server::stdcopy::{self, LineFormat};
use crate::server::websocket::Talk;
use crate::server::{moment, stream};

pub(super) async fn attach(call: Call, id: String) -> Answer {
    let options = asked_for(&call.query);
    let keys = detach_keys(&call, &id)?;
    let Attached { terminal, process, first } = attached(&call, id, options).await?;
    let version = call.version;
    let mut client = call.into_client();
    if terminal && options.stdin {
        client = client.detached_by(keys);
    }
    Ok(client.join(stdcopy::media_type(terminal, version), first.into(), process))
}

/// The same over WebSocket. Before 1.42 whoever asked got all streams, and before 1.28 as text.
pub(super) async fn attach_websocket(mut call: Call, id: String) -> Answer {
    let options = match call.version.before(42) {
        true => AttachOptions { stdin: true, stdout: true, stderr: true },
        false => asked_for(&call.query),
    };
    let keys = detach_keys(&call, &id)?;
    let handshake = call.handshake()?;
    let Attached { terminal, process, first } = attached(&call, id, options).await?;
    let mut framing = if terminal { Framing::Same } else { Framing::StripAll(Frame::default()) };
    let first = framing.pass(&first).into_owned();
    let keys = Some(keys).filter(|_| terminal && options.stdin);
    let talk = Talk { text: call.version.before(28), framing, keys };
    Ok(handshake.join(talk, first.into(), process, call.end))
}

/// The keys by which the client leaves; that it does is told.
fn detach_keys(call: &Call, id: &str) -> Result<DetachKeys> {
    let (engine, id) = (call.engine.clone(), id.to_owned());
    Ok(DetachKeys::parse(call.query.text("detachKeys"))?.telling(move || engine.tell_detached(&id)))
}

fn asked_for(query: &Query) -> AttachOptions {
    AttachOptions {
        stdin: query.is_set("stdin"),
        stdout: query.is_set("stdout"),
        stderr: query.is_set("stderr"),
    }
}

/// What an attached client is joined with.
struct Attached {
    terminal: bool,
    process: Option<UnixStream>,
    first: Vec<u8>,
}

async fn attached(call: &Call, id: String, options: AttachOptions) -> Result<Attached> {
    let (replay, live) = (call.query.is_set("logs"), call.query.is_set("stream"));
    let (terminal, process, first) = call
        .run(move |engine| {
            let terminal = engine.container(&id)?.record().config.tty;
            // Attached before the log is read: a line may come twice, but none is missed.
            let process = live.then(|| engine.attach_container(&id, options)).transpose()?;
            let first = if replay { log_so_far(engine, &id, options)? } else { Vec::new() };
            Ok((terminal, process, first))
        })
        .await?;
    let process = process.map(|attached| asynchronous(attached.stream)).transpose()?;
    Ok(Attached { terminal, process, first })
}

/// A stream of the runtime as one of the asynchronous door.
pub(in crate::routes) fn asynchronous(stream: OwnedFd) -> Result<UnixStream> {
    let stream = std::os::unix::net::UnixStream::from(stream);
    let ready = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
    ready.map_err(|error| Error::internal("attaching to the process").because(error))
}

fn log_so_far(engine: &Engine, id: &str, options: AttachOptions) -> Result<Vec<u8>> {
    let query = LogQuery { stdout: options.stdout, stderr: options.stderr, ..LogQuery::default() };
    let log = engine.container_logs(id, query)?;
    let format = LineFormat { terminal: log.terminal, timestamps: false, details: false };
    let mut text = Vec::new();
    for entry in log.entries {
        format
            .write(&entry?, &mut text)
            .map_err(|error| Error::internal("reading the log").because(error))?;
    }
    Ok(text)
}

pub(super) async fn logs(call: Call, id: String) -> Answer {
    let query = log_query(&call.query)?;
    let (timestamps, details) = (call.query.is_set("timestamps"), call.query.is_set("details"));
    let (gone, follow) = (Arc::clone(&query.end), query.follow);
    let log = call.run(move |engine| engine.container_logs(&id, query)).await?;
    let format = LineFormat { terminal: log.terminal, timestamps, details };
    let answer = stream::written(stdcopy::media_type(log.terminal, call.version), move |out| {
        out.head().begin().map_err(stream::client_gone)?;
        for entry in log.entries {
            format.write(&entry?, out).map_err(stream::client_gone)?;
            if follow {
                out.flush().map_err(stream::client_gone)?;
            }
        }
        Ok(())
    });
    let end = if follow { call.end } else { call.end.of_server() };
    Ok(stream::ending(answer.await?, end, gone))
}

fn log_query(query: &Query) -> Result<LogQuery> {
    Ok(LogQuery {
        stdout: query.is_set("stdout"),
        stderr: query.is_set("stderr"),
        since: moment::optional(query.text("since"))?,
        until: moment::optional(query.text("until"))?,
        // Docker takes everything that is no number for all.
        tail: query.text("tail").parse().ok(),
        follow: query.is_set("follow"),
        end: Arc::default(),
    })
}

pub(super) async fn resize(call: Call, id: String) -> Answer {
    let size = terminal_size(&call.query)?;
    call.run(move |engine| engine.resize_container(&id, size)).await?;
    Ok(answer::empty(StatusCode::OK))
}

/// Of the query of both resizes.
pub(in crate::routes) fn terminal_size(query: &Query) -> Result<TerminalSize> {
    let side = |key: &str| {
        let text = query.text(key);
        let number = text.parse::<u32>().ok().and_then(|number| u16::try_from(number).ok());
        number.ok_or_else(|| Error::invalid(format!("strconv.ParseUint: parsing {text:?}: invalid syntax")))
    };
    Ok(TerminalSize { rows: side("h")?, columns: side("w")? })
}
