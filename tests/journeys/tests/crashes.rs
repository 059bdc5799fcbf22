//! The engine is killed at any time: containers go on, nothing acknowledged is lost.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dhow_journeys::engine;
use dhow_testkit::{Engine, until};

#[test]
fn a_container_outlives_its_engine_and_is_found_again() -> Result<()> {
    let mut engine = engine()?;
    let script = "n=0; while true; do echo line $n; n=$((n+1)); sleep 0.1; done";
    engine.docker(&["run", "-d", "--name", "stays", "busybox", "sh", "-c", script]).ok();
    let pid = engine.inspect("stays", "{{.State.Pid}}");
    until("it does not write", || engine.docker(&["logs", "stays"]).stdout.contains("line 1"))?;
    engine.kill()?;
    ensure!(std::path::Path::new("/proc").join(&pid).exists(), "it died with the engine");
    engine.launch()?;
    assert_eq!(engine.inspect("stays", "{{.State.Status}} {{.State.Pid}}"), format!("running {pid}"));
    let lines = engine.docker(&["logs", "stays"]).stdout.lines().count();
    until("its log ended with the engine", || {
        engine.docker(&["logs", "stays"]).stdout.lines().count() > lines
    })?;
    engine.docker(&["exec", "stays", "true"]).ok();
    engine.docker(&["rm", "-f", "stays"]).ok();
    Ok(())
}

#[test]
fn an_exit_while_the_engine_is_away_is_known_afterwards() -> Result<()> {
    let mut engine = engine()?;
    let shared = engine.scratch().join("shared");
    std::fs::create_dir(&shared)?;
    dhow_testkit::process::must(std::process::Command::new("mkfifo").arg(shared.join("go")))?;
    let bind = format!("{}:/shared", shared.display());
    let script = "read line < /shared/go; exit 5";
    engine.docker(&["run", "-d", "--name", "short", "-v", &bind, "busybox", "sh", "-c", script]).ok();
    let pid = engine.inspect("short", "{{.State.Pid}}");
    engine.kill()?;
    std::fs::write(shared.join("go"), "go\n")?;
    until("it still runs", || !std::path::Path::new("/proc").join(&pid).exists())?;
    engine.launch()?;
    let seen = engine.docker(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "short"]);
    assert_eq!(seen.ok(), "exited 5");
    assert_eq!(engine.docker(&["wait", "short"]).ok(), "5");
    Ok(())
}

/// An upgrade that copies the new program over the old one: monitors do not run from that file, and
/// nothing of theirs goes away with it.
#[test]
fn the_program_can_be_replaced_while_containers_run() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let program = directory.path().join("dhow");
    // Another process writes it: what a test beside this one spawns may hold our descriptors for a moment, and a file
    // that is open to be written cannot be executed.
    let put = || Command::new("cp").arg(dhow_testkit::engine::binary()?).arg(&program).status().context("cp");
    ensure!(put()?.success());
    let mut engine = Engine::start_binary(&program, &[])?;
    engine.import_busybox()?;
    let script = "trap 'exit 3' TERM; n=0; while true; do echo line $n; n=$((n+1)); sleep 0.1; done";
    engine.docker(&["run", "-d", "--name", "stays", "busybox", "sh", "-c", script]).ok();
    engine.kill()?;
    std::fs::write(&program, "")?;
    let log = || -> Result<usize> {
        let id = std::fs::read_dir(engine.data().join("containers"))?.next().context("no container")??;
        let log = id.path().join(format!("{}-json.log", id.file_name().display()));
        Ok(std::fs::read_to_string(log)?.lines().count())
    };
    let lines = log()?;
    until("its monitor died with the file", || log().is_ok_and(|now| now > lines + 3))?;
    ensure!(put()?.success());
    engine.launch()?;
    engine.docker(&["exec", "stays", "true"]).ok();
    engine.docker(&["stop", "stays"]).ok();
    assert_eq!(engine.inspect("stays", "{{.State.ExitCode}}"), "3");
    Ok(())
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash() -> Result<()> {
    let mut engine = engine()?;
    for round in 0..5 {
        let name = format!("kept-{round}");
        engine.docker(&["create", "--name", &name, "busybox"]).ok();
        engine.docker(&["tag", "busybox", &name]).ok();
        engine.kill()?;
        engine.launch()?;
        assert_eq!(engine.inspect(&name, "{{.State.Status}}"), "created");
        engine.docker(&["image", "inspect", &name]).ok();
    }
    Ok(())
}

/// Whoever made it to be removed with its end has gone with the engine, or will never start it.
#[test]
fn a_container_that_was_to_be_removed_and_never_started_goes_with_its_engine() -> Result<()> {
    let mut engine = engine()?;
    engine.docker(&["create", "--rm", "--name", "never", "-v", "/data", "busybox", "true"]).ok();
    engine.docker(&["create", "--name", "kept", "busybox", "true"]).ok();
    engine.docker(&["run", "-d", "--rm", "--name", "runs", "busybox", "sleep", "1000"]).ok();
    engine.kill()?;
    engine.launch()?;
    let mut left: Vec<String> =
        engine.docker(&["ps", "-a", "--format", "{{.Names}}"]).ok().lines().map(str::to_owned).collect();
    left.sort();
    ensure!(left == ["kept", "runs"], "{left:?}");
    ensure!(engine.docker(&["volume", "ls", "-q"]).ok().is_empty(), "its volume is left");
    Ok(())
}
