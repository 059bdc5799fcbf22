//! `create`: everything but the program.

use dhow_model::Result;

use super::arguments::{Parsed, Syntax};
use super::make::{self, Opener, make};
use super::{Context, Verb};

pub(super) const VERB: Verb = Verb {
    name: "create",
    arguments: "[--bundle DIR] ID",
    about: "creates a container, which waits for start",
    syntax: Syntax {
        flags: &[
            make::BUNDLE,
            make::CONSOLE_SOCKET,
            make::PID_FILE,
            make::PIDFD_SOCKET,
            make::NO_PIVOT,
            make::NO_NEW_KEYRING,
            make::PRESERVE_FDS,
        ],
        first_word_ends: false,
    },
    run,
    failure: 1,
    makes_process: true,
};

fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    make(context, parsed, Opener::Start)?;
    Ok(0)
}
