//! Input and output between this terminal and an attached process.

use std::io::{self, Read as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use dhow_api::client::{Hijacked, Writer, stdcopy};

use super::detach::Watcher;
use super::terminal::{self, Raw};
use crate::error::{Error, Result};

/// Which streams are attached, and how.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    /// The process has a terminal: its output is one raw stream.
    pub(crate) tty: bool,
    /// The keys that end the attachment.
    pub(crate) detach_keys: Vec<u8>,
}

/// How an attachment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The process closed its output, or there was none to wait for.
    Ended,
    /// The user left.
    Detached,
}

/// Lets input and output flow until the output ends or the user leaves.
pub(crate) fn flow(mut connection: Hijacked, streams: &Streams) -> Result<Ending> {
    let raw = if streams.stdin && streams.tty { Raw::enter()? } else { None };
    let detached = Arc::new(AtomicBool::new(false));
    if streams.stdin {
        let writer = connection.writer()?;
        let watcher = streams.tty.then(|| Watcher::new(streams.detach_keys.clone()));
        let detached = Arc::clone(&detached);
        let input = move || send_input(writer, watcher, &detached);
        thread::Builder::new().name("stdin".to_owned()).spawn(input).map_err(Error::io("start a thread"))?;
    }
    let copied = receive_output(&mut connection, streams);
    drop(raw);
    if detached.load(Ordering::SeqCst) {
        return Ok(Ending::Detached);
    }
    copied.map_err(Error::io("copy the container's output"))?;
    Ok(Ending::Ended)
}

fn receive_output(connection: &mut Hijacked, streams: &Streams) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut error = io::stderr().lock();
    if streams.tty && (streams.stdout || streams.stderr) {
        return copy_raw(connection, &mut out);
    }
    let stdout: Option<&mut dyn Write> = if streams.stdout { Some(&mut out) } else { None };
    let stderr: Option<&mut dyn Write> = if streams.stderr { Some(&mut error) } else { None };
    if stdout.is_none() && stderr.is_none() {
        return Ok(());
    }
    stdcopy::copy(connection, stdout, stderr)
}

/// Every read is shown at once: a prompt has no line end to wait for.
fn copy_raw(connection: &mut Hijacked, out: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        match connection.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                out.write_all(&buffer[..count])?;
                out.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The other end of a terminal hangs up; that is its way to end.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Sends what is typed until it ends; then says so, or, if the user left, ends the connection.
fn send_input(mut writer: Writer, mut watcher: Option<Watcher>, detached: &AtomicBool) {
    let mut buffer = vec![0; 32 * 1024];
    let mut passed = Vec::new();
    loop {
        let typed = match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Ok(0) => break,
            Ok(count) => &buffer[..count],
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => break,
        };
        let (sent, left) = match &mut watcher {
            None => (writer.write_all(typed), false),
            Some(watcher) => {
                passed.clear();
                let left = watcher.pass(typed, &mut passed);
                (writer.write_all(&passed), left)
            }
        };
        if left {
            terminal::restore();
            detached.store(true, Ordering::SeqCst);
            // Ends the output too, for which the command waits.
            let _ = writer.end();
            return;
        }
        if sent.is_err() {
            return;
        }
    }
    // The process at the other end may have gone already.
    let _ = writer.close();
}
