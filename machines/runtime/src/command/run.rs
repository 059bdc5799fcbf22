//! `run`: create, start, and stay until the end.

use dhow_model::Result;

use super::arguments::{Flag, Parsed, Syntax, switch};
use super::foreground::{Foreground, Process};
use super::make::{self, Made, Opener, make};
use super::{Context, Verb, delete, start};

pub(super) const VERB: Verb = Verb {
    name: "run",
    arguments: "[--bundle DIR] [--detach] ID",
    about: "creates and starts a container",
    syntax: Syntax {
        flags: &[
            make::BUNDLE,
            make::CONSOLE_SOCKET,
            make::PID_FILE,
            make::PIDFD_SOCKET,
            make::NO_PIVOT,
            make::NO_NEW_KEYRING,
            make::PRESERVE_FDS,
            Flag { short: Some('d'), ..switch("detach") },
            switch("keep"),
            switch("no-subreaper"),
        ],
        first_word_ends: false,
    },
    run,
    failure: 1,
    makes_process: true,
};

fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let detach = parsed.has("detach");
    let foreground = if detach { None } else { Some(Foreground::prepare()?) };
    let Made { container, mut init } = make(context, parsed, Opener::Us)?;
    let process = Process::of(&mut init)?;
    let started = init.start().map_err(Into::into).and_then(|()| start::poststart(&container));
    if let Err(error) = started {
        let _ = rustix::process::pidfd_send_signal(&process.pidfd, rustix::process::Signal::KILL);
        let _ = rustix::process::waitpid(Some(process.pid), rustix::process::WaitOptions::empty());
        let _ = delete::delete(&container);
        return Err(error);
    }
    let Some(foreground) = foreground else { return Ok(0) };
    let code = foreground.stay(&process)?;
    if !parsed.has("keep") {
        delete::delete(&container)?;
    }
    Ok(code)
}
