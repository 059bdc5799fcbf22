//! `exec`: one more process in a running container.

use std::os::fd::AsFd as _;
use std::path::Path;

use dhow_model::{Error, Result};
use dhow_oci::runtime::{Capabilities, Process};

use super::arguments::{Flag, Parsed, Syntax, option, switch};
use super::container::{self, Container, Status};
use super::foreground::{self, Foreground};
use super::{Context, Verb, console, make};
use crate::cgroups::{Cgroup, CgroupPath, Layout};
use crate::container::{ExecRequest, Init, Stdio, spawn_exec};

pub(super) const VERB: Verb = Verb {
    name: "exec",
    arguments: "[FLAGS] ID COMMAND [ARGUMENT...]",
    about: "runs one more process in a running container",
    syntax: Syntax {
        flags: &[
            make::CONSOLE_SOCKET,
            make::PID_FILE,
            make::PIDFD_SOCKET,
            make::PRESERVE_FDS,
            option("cwd"),
            Flag { short: Some('e'), ..option("env") },
            Flag { short: Some('t'), ..switch("tty") },
            Flag { short: Some('u'), ..option("user") },
            Flag { short: Some('g'), ..option("additional-gids") },
            Flag { short: Some('p'), ..option("process") },
            Flag { short: Some('d'), ..switch("detach") },
            Flag { short: Some('c'), ..option("cap") },
            option("process-label"),
            option("apparmor"),
            switch("no-new-privs"),
            option("cgroup"),
            switch("ignore-paused"),
        ],
        first_word_ends: true,
    },
    run,
    failure: 255,
    makes_process: true,
};

fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let Some((id, arguments)) = parsed.rest.split_first() else {
        return Err(Error::invalid("exec needs a container id"));
    };
    let container = Container::load(&context.root, id)?;
    match container.full_status() {
        Status::Running | Status::Created => {}
        Status::Paused if parsed.has("ignore-paused") => {}
        Status::Paused => {
            return Err(Error::conflict(
                "cannot exec in a paused container (use --ignore-paused to override)",
            ));
        }
        _ => return Err(Error::conflict("cannot exec in a container that is not running")),
    }
    let process = process(parsed, &container, arguments)?;
    let detach = parsed.has("detach");
    if detach {
        console::check(parsed, process.terminal)?;
    }
    let foreground = if detach { None } else { Some(Foreground::prepare()?) };
    let mut init = spawn(parsed, &container, &process)?;
    init.notes.iter().for_each(|note| context.log.warn(note));
    if let (Some(path), Some(terminal)) = (parsed.value("console-socket"), init.terminal.take()) {
        console::send(path, terminal.as_fd())?;
    }
    console::send_process(parsed, init.pidfd.as_fd())?;
    let process = foreground::Process::of(&mut init)?;
    make::write_pid_file(parsed, process.pid.as_raw_nonzero().get())?;
    init.start()?;
    foreground.map_or(Ok(0), |foreground| foreground.stay(&process))
}

fn spawn(parsed: &Parsed, container: &Container, process: &Process) -> Result<Init> {
    let cgroup = cgroup(parsed, container)?;
    Ok(spawn_exec(ExecRequest {
        spec: &container.record.spec,
        filter: None,
        process,
        first: container.process()?,
        stdio: if process.terminal { Stdio::Terminal } else { Stdio::Inherit },
        cgroup: Some(&cgroup),
        preserve: make::preserved(parsed)?,
    })?)
}

/// The container's cgroup, or the one below it that `--cgroup` names.
fn cgroup(parsed: &Parsed, container: &Container) -> Result<Cgroup> {
    let whole = container.cgroup()?;
    let below = parsed.value("cgroup").unwrap_or_default();
    if below.trim_matches('/').is_empty() {
        return Ok(whole);
    }
    if below.contains(':') {
        return Err(Error::not_implemented("--cgroup of single controllers is not supported"));
    }
    if below.split('/').any(|part| part == "..") {
        return Err(Error::invalid(format!("--cgroup {below} is not below the container's cgroup")));
    }
    let path = CgroupPath::parse(&format!("{}/{below}", container.record.cgroup))?;
    let part = Cgroup::open(&Layout::detect()?, &path)?;
    // In a hierarchy where it is not, the process would be outside of all limits.
    if part.directories().len() != whole.directories().len() {
        return Err(Error::not_found(format!("the container has no cgroup {below} in every hierarchy")));
    }
    Ok(part)
}

/// The process of `--process`, or the container's own with what the flags change.
fn process(parsed: &Parsed, container: &Container, arguments: &[String]) -> Result<Process> {
    if let Some(path) = parsed.value("process") {
        let text = container::read(Path::new(path))
            .map_err(|error| Error::invalid(format!("cannot read {path}")).because(error))?;
        return serde_json::from_slice(&text)
            .map_err(|error| Error::invalid(format!("{path} is no process")).because(error));
    }
    if arguments.is_empty() {
        return Err(Error::invalid("process args cannot be empty"));
    }
    let mut process = container.record.spec.process.clone().unwrap_or_default();
    process.args = arguments.to_vec();
    process.terminal = parsed.has("tty");
    process.console_size = None;
    process.env.extend(parsed.all("env").map(str::to_owned));
    if let Some(directory) = parsed.value("cwd") {
        directory.clone_into(&mut process.cwd);
    }
    if let Some(user) = parsed.value("user") {
        (process.user.uid, process.user.gid) = user_of(user, process.user.gid)?;
    }
    for group in parsed.all("additional-gids") {
        process.user.additional_gids.push(number(group)?);
    }
    if let Some(profile) = parsed.value("apparmor") {
        profile.clone_into(&mut process.apparmor_profile);
    }
    if let Some(label) = parsed.value("process-label") {
        label.clone_into(&mut process.selinux_label);
    }
    process.no_new_privileges |= parsed.has("no-new-privs");
    let sets = process.capabilities.get_or_insert_default();
    parsed.all("cap").for_each(|name| add_capability(sets, name));
    Ok(process)
}

fn add_capability(sets: &mut Capabilities, name: &str) {
    for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
        if !set.iter().any(|known| known == name) {
            set.push(name.to_owned());
        }
    }
}

/// `UID[:GID]`: names are the business of who knows the image.
fn user_of(text: &str, gid: u32) -> Result<(u32, u32)> {
    match text.split_once(':') {
        Some((user, group)) => Ok((number(user)?, number(group)?)),
        None => Ok((number(text)?, gid)),
    }
}

fn number(text: &str) -> Result<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && *number != u32::MAX);
    number.ok_or_else(|| Error::invalid(format!("{text:?} is no numeric user or group id")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CVE-2024-40635, CVE-2026-30892: a number that does not fit must never become root.
    #[test]
    fn users_are_numbers_that_fit() {
        assert_eq!(user_of("1000:7", 5).unwrap(), (1000, 7));
        assert_eq!(user_of("1000", 5).unwrap(), (1000, 5));
        for wrong in
            ["", "-1", "+1", "0x0", " 0", "4294967295", "4294967296", "1000x", "1:", ":1", "root", "1:2:3"]
        {
            assert!(user_of(wrong, 0).is_err(), "{wrong:?}");
        }
    }
}
