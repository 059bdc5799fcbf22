//! `dhow system dial-stdio`: a connection to the engine on standard input and output, for `ssh://`.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::Parsed;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["system dial-stdio"],
    usage: "",
    about: "Pass standard input and output on to the engine",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[],
    run,
};

/// The end of input is passed on; the engine's end is this command's end.
fn run(session: &Session, _: &Parsed) -> Result<()> {
    let mut engine = session.client()?.dial()?;
    let mut towards = engine.try_clone().map_err(Error::io("take over the connection"))?;
    let forward = move || {
        // Without an engine the other direction ends, and says so.
        let _ = pass(&mut io::stdin().lock(), &mut towards);
        let _ = towards.shutdown(Shutdown::Write);
    };
    std::thread::Builder::new().name("stdin".into()).spawn(forward).map_err(Error::io("start a thread"))?;
    back(&mut engine).map_err(Error::io("pass on what the engine writes"))
}

fn back(engine: &mut UnixStream) -> io::Result<()> {
    pass(engine, &mut io::stdout().lock())
}

/// What comes is passed on at once: somebody waits for it.
fn pass(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count]).and_then(|()| to.flush())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
