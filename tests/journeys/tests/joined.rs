//! Containers that join the spaces of another one, or of the host.

use anyhow::{Result, ensure};
use dhow_journeys::engine;
use dhow_testkit::until;

/// What runs has its spaces, whatever became of the container that they came from.
#[test]
fn an_exec_needs_no_container_that_was_joined_once() -> Result<()> {
    let engine = engine()?;
    let wait = ["busybox", "sleep", "1000"];
    let run = |flags: &[&str]| engine.docker(&[&["run", "-d", "--init"][..], flags, &wait].concat());
    run(&["--name", "base", "--ipc", "shareable", "-h", "base"]).ok();
    run(&["--name", "guest", "--network", "container:base", "--ipc", "container:base"]).ok();
    let space = ["exec", "guest", "sh", "-c", "readlink /proc/self/ns/net; readlink /proc/self/ns/ipc"];
    let before = engine.docker(&space).ok().to_owned();
    for change in [&["stop", "-t", "0", "base"][..], &["start", "base"], &["rm", "-f", "base"]] {
        engine.docker(change).ok();
        ensure!(engine.docker(&space).ok() == before, "after {change:?}");
        ensure!(engine.docker(&["exec", "guest", "hostname"]).ok() == "base");
    }
    let again = engine.docker(&["restart", "-t", "0", "guest"]);
    ensure!(again.stderr.contains("No such container"), "{again:?}");
    Ok(())
}

#[test]
fn what_belongs_to_the_container_that_is_joined_is_not_said_again() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["run", "-d", "--name", "base", "busybox", "sleep", "1000"]).ok();
    for (flags, words) in [
        (&["-p", "80:80"][..], "port publishing and the container type network mode"),
        (&["-P"], "port publishing and the container type network mode"),
        (&["--expose", "80"], "port exposing and the container type network mode"),
        (&["--dns", "192.0.2.1"], "dns and the network mode"),
        (&["--add-host", "a:192.0.2.1"], "custom host-to-IP mapping and the network mode"),
    ] {
        let run = [&["run", "--rm", "--network", "container:base"][..], flags, &["busybox", "true"]].concat();
        let refused = engine.docker(&run);
        let words = format!("conflicting options: {words}");
        ensure!(refused.status == 125 && refused.stderr.contains(&words), "{flags:?}: {refused:?}");
    }
    ensure!(engine.docker(&["ps", "-aq", "--no-trunc"]).ok().lines().count() == 1, "something is left");
    let told = engine.docker(&["run", "--rm", "--network", "host", "-p", "80:80", "busybox", "true"]);
    ensure!(told.stderr.contains("Published ports are discarded when using host network mode"), "{told:?}");
    Ok(())
}

#[test]
fn who_joins_what_does_not_run_is_told_so_in_dockers_words() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["create", "--name", "idle", "busybox", "true"]).ok();
    let again =
        ["run", "-d", "--name", "again", "--restart", "always", "--ipc", "shareable", "busybox", "false"];
    let id = engine.docker(&again).ok().to_owned();
    let restarting = format!("Container {id} is restarting, wait until the container is running");
    let network = format!("cannot join network namespace of container: {restarting}");
    let idle = "cannot join network namespace of a non running container: container idle is created";
    for (flag, words) in [
        ("--network=container:idle", idle),
        ("--network=container:again", &network),
        ("--ipc=container:again", &restarting),
    ] {
        // Between two restarts it runs for a moment.
        until(words, || engine.docker(&["run", "--rm", flag, "busybox", "true"]).stderr.contains(words))?;
    }
    Ok(())
}
