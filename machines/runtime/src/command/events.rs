//! `events`: what a container uses, once or again and again.

use std::time::Duration;

use dhow_model::{Error, Result, duration};
use dhow_sys::signalfd;

use super::arguments::{Parsed, Syntax, option, switch};
use super::container::{Container, Status};
use super::{Context, Verb};

pub(super) const VERB: Verb = Verb {
    name: "events",
    arguments: "[--stats] [--interval 5s] ID",
    about: "writes what a container uses, and kills for memory",
    syntax: Syntax { flags: &[option("interval"), switch("stats")], first_word_ends: false },
    run,
    failure: 1,
    makes_process: false,
};

fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let container = Container::load(&context.root, parsed.id()?)?;
    if container.status() == Status::Stopped {
        return Err(Error::conflict(format!("container with id {} is not running", container.record.id)));
    }
    if parsed.has("stats") {
        return tell_stats(&container).map(|()| 0);
    }
    let interval = interval(parsed.value("interval").unwrap_or("5s"))?;
    let process = container.process()?;
    let cgroup = container.cgroup()?;
    let mut kills = cgroup.oom_kills().unwrap_or(0);
    while !signalfd::wait_for_end(&process, interval)
        .map_err(|error| Error::internal("cannot wait for the container").because(error))?
    {
        tell_stats(&container)?;
        let now = cgroup.oom_kills().unwrap_or(kills);
        if now > kills {
            kills = now;
            println!("{}", serde_json::json!({"type": "oom", "id": container.record.id}));
        }
    }
    Ok(0)
}

fn tell_stats(container: &Container) -> Result<()> {
    let stats = container.cgroup()?.stats();
    println!("{}", serde_json::json!({"type": "stats", "id": container.record.id, "data": stats}));
    Ok(())
}

/// How long it is between two tellings.
fn interval(text: &str) -> Result<Duration> {
    let nanoseconds = duration::parse(text)
        .map_err(|_| Error::invalid(format!("invalid value {text:?} for --interval")))?;
    match u64::try_from(nanoseconds) {
        Ok(nanoseconds @ 1..) => Ok(Duration::from_nanos(nanoseconds)),
        _ => Err(Error::invalid("duration interval must be greater than 0")),
    }
}
