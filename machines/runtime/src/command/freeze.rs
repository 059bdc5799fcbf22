//! `pause` and `resume`.

use dhow_model::{Error, Result};

use super::arguments::{Parsed, Syntax};
use super::container::{Container, Status};
use super::{Context, Verb};

pub(super) const PAUSE: Verb = Verb {
    name: "pause",
    arguments: "ID",
    about: "freezes all processes of a container",
    syntax: Syntax { flags: &[], first_word_ends: false },
    run: pause,
    failure: 1,
    makes_process: false,
};

pub(super) const RESUME: Verb = Verb {
    name: "resume",
    arguments: "ID",
    about: "lets a frozen container go on",
    syntax: Syntax { flags: &[], first_word_ends: false },
    run: resume,
    failure: 1,
    makes_process: false,
};

fn pause(context: &Context, parsed: &Parsed) -> Result<u8> {
    let container = Container::load(&context.root, parsed.id()?)?;
    match container.full_status() {
        Status::Running | Status::Created => container.cgroup()?.freeze()?,
        _ => return Err(Error::conflict("container not running")),
    }
    Ok(0)
}

fn resume(context: &Context, parsed: &Parsed) -> Result<u8> {
    let container = Container::load(&context.root, parsed.id()?)?;
    let cgroup = container.cgroup()?;
    if !cgroup.is_frozen() {
        return Err(Error::conflict("container not paused"));
    }
    cgroup.thaw()?;
    Ok(0)
}
