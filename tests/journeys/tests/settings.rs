//! What a container is created with, seen from inside it and by the stock command line.

use anyhow::{Result, ensure};
use dhow_testkit::{Engine, process};

fn engine() -> Result<Engine> {
    let engine = Engine::start()?;
    engine.import_busybox()?;
    Ok(engine)
}

/// Whether a container can be run by another runtime here.
fn has_runtime(engine: &Engine, name: &str) -> Result<bool> {
    if process::find(name).is_none() {
        eprintln!("LEFT OUT: {name} is not installed");
        return Ok(false);
    }
    let answer = engine.docker(&["run", "--rm", "--runtime", name, "busybox", "true"]);
    // crun 1.8 refuses machines that have controllers in both versions of cgroups.
    if answer.stderr.contains("cgroups in hybrid mode not supported") {
        eprintln!("LEFT OUT: {name} does not run on this machine: {}", answer.stderr.trim());
        return Ok(false);
    }
    answer.check()?;
    Ok(true)
}

#[test]
fn another_runtime_makes_the_container_and_the_rest_is_as_always() -> Result<()> {
    for runtime in ["runc", "crun"] {
        let mut engine = engine()?;
        if has_runtime(&engine, runtime)? {
            runs_programs(&engine, runtime)?;
            lives(&mut engine, runtime)?;
        }
    }
    Ok(())
}

fn runs_programs(engine: &Engine, runtime: &str) -> Result<()> {
    let run = ["run", "--rm", "--runtime", runtime, "busybox"];
    for (command, status, words) in [
        (&["sh", "-c", "echo out; echo err >&2; exit 3"][..], 3, "err"),
        (&["nope"], 127, "not found in $PATH"),
        (&["/etc/passwd"], 126, "permission denied"),
    ] {
        let answer = engine.docker(&[&run[..], command].concat());
        ensure!(
            answer.status == status && answer.stderr.contains(words),
            "{runtime} {command:?}: {answer:?}"
        );
    }
    let terminal = ["run", "--rm", "-t", "--runtime", runtime, "busybox", "tty"];
    ensure!(engine.docker(&terminal).ok().trim() == "/dev/pts/0");
    let init = engine.docker(&["run", "--rm", "--init", "--runtime", runtime, "busybox", "true"]);
    ensure!(init.stderr.contains("HostConfig.Init with the runtime"), "{init:?}");
    Ok(())
}

fn lives(engine: &mut Engine, runtime: &str) -> Result<()> {
    let script = "trap 'echo bye; exit 7' TERM; while :; do echo tick; sleep 0.1; done";
    let limits = ["-m", "64m", "-v", "vol:/v"];
    let begin = ["run", "-d", "--name", "lives", "--runtime", runtime];
    engine.docker(&[&begin[..], &limits, &["busybox", "sh", "-c", script]].concat()).ok();
    // Made by it: its state is where we told it to keep it.
    let state = process::find("find").map(|find| {
        let mut command = std::process::Command::new(find);
        command.arg(engine.scratch().join("run/containers")).args(["-path", "*/other/state/*"]);
        process::must(&mut command)
    });
    ensure!(state.transpose()?.is_some_and(|found| !found.is_empty()), "{runtime} keeps no state");
    let answer = engine.docker(&["exec", "lives", "sh", "-c", "echo inside; exit 4"]);
    ensure!(answer.status == 4 && answer.stdout == "inside\n", "{answer:?}");
    ensure!(engine.docker(&["exec", "lives", "nope"]).status == 127);
    ensure!(engine.docker(&["exec", "-t", "lives", "tty"]).ok().contains("/dev/pts/"));
    engine.docker(&["pause", "lives"]).ok();
    ensure!(engine.docker(&["ps", "--format", "{{.Status}}"]).ok().contains("(Paused)"));
    engine.docker(&["unpause", "lives"]).ok();
    let canary = engine.scratch().join("canary");
    std::fs::write(&canary, "copied")?;
    engine.docker(&["cp", &canary.to_string_lossy(), "lives:/v/canary"]).ok();
    ensure!(engine.docker(&["exec", "lives", "cat", "/v/canary"]).ok() == "copied");
    engine.kill()?;
    engine.launch()?;
    ensure!(engine.docker(&["exec", "lives", "echo", "after"]).ok() == "after");
    engine.docker(&["stop", "lives"]).ok();
    ensure!(engine.docker(&["inspect", "-f", "{{.State.ExitCode}}", "lives"]).ok() == "7");
    ensure!(engine.docker(&["logs", "--tail", "1", "lives"]).ok() == "bye");
    engine.docker(&["start", "lives"]).ok();
    engine.docker(&["kill", "lives"]).ok();
    ensure!(engine.docker(&["wait", "lives"]).ok() == "137");
    engine.docker(&["start", "lives"]).ok();
    engine.docker(&["rm", "-f", "lives"]).ok();
    Ok(())
}

#[test]
fn runtimes_are_named_in_the_configuration() -> Result<()> {
    let Some(runc) = process::find("runc") else {
        eprintln!("LEFT OUT: runc is not installed");
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("daemon.json");
    let runtimes = serde_json::json!({"runtimes": {
        "quiet": {"path": runc, "runtimeArgs": ["--debug=false"]},
        "gone": {"path": "/nope/runc"},
    }, "default-runtime": "quiet"});
    std::fs::write(&file, runtimes.to_string())?;
    let engine = Engine::start_with(&["--config-file", &file.to_string_lossy()])?;
    engine.import_busybox()?;
    ensure!(engine.docker(&["run", "--rm", "busybox", "echo", "hi"]).ok() == "hi");
    engine.docker(&["create", "--name", "made", "busybox"]).ok();
    ensure!(engine.docker(&["inspect", "-f", "{{.HostConfig.Runtime}}", "made"]).ok() == "quiet");
    for (name, words) in [
        ("gone", "runtime gone: /nope/runc is no program"),
        ("other", "unknown or invalid runtime name: other"),
        ("/nope", "unknown or invalid runtime name: /nope"),
        ("../runc", "unknown or invalid runtime name: ../runc"),
    ] {
        let answer = engine.docker(&["create", "--runtime", name, "busybox"]);
        ensure!(answer.status != 0 && answer.stderr.contains(words), "{name}: {answer:?}");
    }
    ensure!(engine.docker(&["run", "--rm", "--runtime", "dhow", "busybox", "echo", "own"]).ok() == "own");
    Ok(())
}
