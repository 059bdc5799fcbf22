//! What the first command starts, and what it leaves behind in it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use dhow_testkit::{Engine, engine, process};

/// An engine that a command has started, ended with the value.
struct Started(i32);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.to_string()).status();
    }
}

/// A lock of the script that called `dhow ps` was held as long as the engine and its containers lived, and who
/// read its output through another pipe waited as long.
#[test]
fn neither_engine_nor_monitors_hold_what_a_command_was_started_with() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let held = directory.path().join("held");
    let script = format!(
        "mount -t tmpfs none /run; exec 9>{}; DHOW_DATA_ROOT={} {} ps >&2; cat /run/dhow/dhow.pid",
        held.display(),
        directory.path().join("data").display(),
        engine::binary()?.display()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-ec", &script]);
    let answer = process::answer(command.env_remove("DOCKER_HOST"), b"")?;
    let pid: i32 = answer.ok().trim().parse()?;
    let started = Started(pid);
    assert_eq!(holders(pid, &held)?, Vec::<i32>::new());
    drop(started);

    // An engine in the foreground keeps what it was given; what outlives it does not.
    let script = format!("exec 9>{}; exec {} \"$@\"", held.display(), engine::binary()?.display());
    let program = directory.path().join("dhow");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n"))?;
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let engine = Engine::start_binary(&program, &[])?;
    engine.import_busybox()?;
    engine.docker(&["run", "-d", "--name", "stays", "busybox", "sleep", "1000"]).ok();
    let first: i32 = engine.inspect("stays", "{{.State.Pid}}").parse()?;
    let monitor = parent(first)?;
    let launcher = parent(monitor)?;
    assert_eq!(holders(parent(launcher)?, &held)?, [parent(launcher)?]);
    assert_eq!((holders(monitor, &held)?, holders(first, &held)?), (Vec::new(), Vec::new()));
    engine.docker(&["rm", "-f", "stays"]).ok();
    Ok(())
}

/// Who asks for the version of what is there is told that nothing is, and finds it so afterwards.
#[test]
fn asking_for_the_version_starts_nothing() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let script = format!(
        "mount -t tmpfs none /run; export DHOW_DATA_ROOT={}; {dhow} version; echo status $?; ls -A /run; \
         {dhow} version --format '{{{{.Server.Version}}}}' 2>&1",
        directory.path().join("data").display(),
        dhow = engine::binary()?.display()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    let answer = process::answer(command.env_remove("DOCKER_HOST").env_remove("DHOW_HOST"), b"")?;
    assert!(answer.stdout.starts_with("Client:\n Version:"), "{}", answer.stdout);
    let words =
        "Cannot connect to the Docker daemon at unix:///run/dhow/dhow.sock. Is the docker daemon running?\n";
    assert!(answer.stdout.ends_with(&format!("\nstatus 1\n\n{words}")), "{}", answer.stdout);
    assert_eq!(answer.stderr, words);
    Ok(())
}

/// Which of a process and its children have a file open.
fn holders(pid: i32, file: &Path) -> Result<Vec<i32>> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let all = children.split_whitespace().map(str::parse::<i32>).collect::<Result<Vec<_>, _>>()?;
    let mut holders = Vec::new();
    for process in all.into_iter().chain([pid]) {
        let mut open = std::fs::read_dir(format!("/proc/{process}/fd"))?;
        if open
            .any(|entry| entry.is_ok_and(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to == file)))
        {
            holders.push(process);
        }
    }
    Ok(holders)
}

fn parent(pid: i32) -> Result<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or_default();
    Ok(line.trim().parse()?)
}
