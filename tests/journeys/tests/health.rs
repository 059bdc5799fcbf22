//! Containers that are probed: what users see of their health, and what follows from it.

use anyhow::Result;
use dhow_journeys::engine;
use dhow_testkit::{Engine, until};
use serde_json::Value;

/// Runs a container that is healthy when `/ok` is there.
fn run(engine: &Engine, name: &str, more: &[&str]) {
    let probe = ["--health-cmd", "echo probing; test -e /ok", "--health-interval", "100ms"];
    let arguments = [&["run", "-d", "--name", name][..], &probe, more, &["busybox", "sleep", "600"]].concat();
    engine.docker(&arguments).ok();
}

fn status(engine: &Engine, name: &str) -> String {
    engine.docker(&["inspect", "-f", "{{.State.Health.Status}}", name]).stdout.trim().to_owned()
}

fn health(engine: &Engine, name: &str) -> Result<Value> {
    let shown = engine.docker(&["inspect", "-f", "{{json .State.Health}}", name]);
    Ok(serde_json::from_str(shown.ok())?)
}

#[test]
fn health_is_seen_in_lists_inspection_and_events() -> Result<()> {
    let engine = engine()?;
    run(&engine, "well", &["--health-retries", "2"]);
    assert!(engine.docker(&["ps"]).ok().contains("(health: starting)"));
    until("it does not get ill", || status(&engine, "well") == "unhealthy")?;
    assert!(engine.docker(&["ps"]).ok().contains("(unhealthy)"));
    engine.docker(&["exec", "well", "touch", "/ok"]).ok();
    until("it does not get well", || status(&engine, "well") == "healthy")?;
    assert!(engine.docker(&["ps"]).ok().contains("(healthy)"));
    let listed = |value: &str| {
        let filter = format!("health={value}");
        engine.docker(&["ps", "-q", "--filter", &filter]).ok().lines().count()
    };
    assert_eq!((listed("healthy"), listed("unhealthy"), listed("none")), (1, 0, 0));
    until("probes are not remembered", || health(&engine, "well").is_ok_and(|h| h["Log"][4].is_object()))?;
    let health = health(&engine, "well")?;
    assert_eq!(health["FailingStreak"], 0);
    assert_eq!(health["Log"].as_array().map(Vec::len), Some(5));
    assert_eq!(health["Log"][4]["Output"], "probing\n");
    let list = engine.connect()?.request("GET", "/v1.52/containers/json", &Value::Null)?.json()?;
    assert_eq!(list[0]["Health"], serde_json::json!({"Status": "healthy", "FailingStreak": 0}));
    engine.docker(&["stop", "-t", "0", "well"]).ok();
    assert_eq!(status(&engine, "well"), "unhealthy", "as Docker shows what is not probed any more");
    Ok(())
}

#[test]
fn a_probe_that_hangs_or_cannot_run_has_failed() -> Result<()> {
    let engine = engine()?;
    let arguments = ["--health-retries", "1", "--health-timeout", "200ms", "--health-cmd"];
    run(&engine, "hangs", &[&arguments[..], &["echo slow; sleep 300; true"]].concat());
    until("it may take for ever", || status(&engine, "hangs") == "unhealthy")?;
    let found = &health(&engine, "hangs")?["Log"][0];
    assert_eq!(found["ExitCode"], -1);
    assert_eq!(found["Output"], "Health check exceeded timeout (200ms): slow\n");
    engine.docker(&["pause", "hangs"]).ok();
    let left = engine.docker(&["top", "hangs", "-eo", "pid,args"]).ok().matches("sleep 300").count();
    // The shell's own line, and what it runs, of the probe that runs now.
    assert!(left <= 2, "probes that were given up still run: {left}");
    engine.docker(&["unpause", "hangs"]).ok();
    let body = serde_json::json!({
        "Image": "busybox", "Cmd": ["sleep", "600"],
        "Healthcheck": {"Test": ["CMD", "/no/such"], "Interval": 100_000_000, "Retries": 1},
    });
    engine.connect()?.request("POST", "/containers/create?name=missing", &body)?;
    engine.docker(&["start", "missing"]).ok();
    until("what cannot run is no failure", || status(&engine, "missing") == "unhealthy")?;
    let found = health(&engine, "missing")?["Log"][0]["Output"].to_string();
    assert!(found.contains("/no/such") && found.contains("no such file or directory"), "{found}");
    Ok(())
}

#[test]
fn much_output_is_cut_and_the_start_period_forgives() -> Result<()> {
    let engine = engine()?;
    run(
        &engine,
        "loud",
        &[
            "--health-cmd",
            "yes | head -c 9999; exit 1",
            "--health-start-period",
            "1h",
            "--health-start-interval",
            "50ms",
        ],
    );
    until("it is not probed", || health(&engine, "loud").is_ok_and(|h| h["Log"][4].is_object()))?;
    let health = health(&engine, "loud")?;
    assert_eq!((&health["Status"], &health["FailingStreak"]), (&"starting".into(), &0.into()));
    let output = health["Log"][0]["Output"].as_str().unwrap_or_default();
    assert!(output.len() == 4096 + 3 && output.ends_with("..."), "{}", output.len());
    Ok(())
}

#[test]
fn wrong_checks_are_refused_in_dockers_words() -> Result<()> {
    let engine = engine()?;
    for (check, words) in [
        (r#"{"Test": ["CMD", "x"], "Interval": 5}"#, "Interval in Healthcheck cannot be less than 1ms"),
        (r#"{"Test": ["CMD", "x"], "Timeout": -5}"#, "Timeout in Healthcheck cannot be less than 1ms"),
        (r#"{"Test": ["CMD", "x"], "Retries": -1}"#, "Retries in Healthcheck cannot be negative"),
    ] {
        let check: Value = serde_json::from_str(check)?;
        let body = serde_json::json!({"Image": "busybox", "Healthcheck": check});
        let answer = engine.connect()?.request("POST", "/containers/create", &body)?;
        assert_eq!((answer.status, &answer.json()?["message"]), (400, &words.into()));
    }
    let none = engine.docker(&["run", "-d", "--no-healthcheck", "busybox", "sleep", "600"]).ok().to_owned();
    assert_eq!(engine.inspect(&none, "{{.State.Health}}"), "<nil>");
    Ok(())
}

#[test]
fn a_container_that_is_ill_is_restarted_stopped_or_killed_if_that_was_asked_for() -> Result<()> {
    let engine = engine()?;
    let ill = |name: &str, flag: &[&str]| {
        let probe = ["--health-cmd", "false", "--health-interval", "100ms", "--health-retries", "1"];
        let arguments = [
            &["run", "-d", "--name", name, "--stop-timeout", "0"][..],
            &probe,
            flag,
            &["busybox", "sleep", "600"],
        ];
        engine.dhow(&arguments.concat()).ok();
    };
    ill("none", &[]);
    ill("stop", &["--health-on-failure", "stop", "--restart", "always"]);
    ill("kill", &["--health-on-failure", "kill"]);
    ill("kill-again", &["--health-on-failure", "kill", "--restart", "on-failure"]);
    ill("restart", &["--label", "dhow.health-on-failure=restart"]);
    let seen =
        |name: &str, format: &str| engine.docker(&["inspect", "-f", format, name]).stdout.trim().to_owned();
    let first = seen("restart", "{{.State.StartedAt}}");
    until("it is not stopped", || seen("stop", "{{.State.Status}}") == "exited")?;
    until("it is not killed", || seen("kill", "{{.State.Status}} {{.State.ExitCode}}") == "exited 137")?;
    until("it is not started again", || seen("kill-again", "{{.RestartCount}}") != "0")?;
    until("it is not restarted", || seen("restart", "{{.State.StartedAt}}") != first)?;
    assert_eq!(seen("none", "{{.State.Status}}"), "running");
    let wrong = engine.dhow(&["run", "--health-on-failure", "explode", "busybox"]);
    assert!(wrong.stderr.contains("must be none, restart, stop or kill"), "{}", wrong.stderr);
    Ok(())
}

#[test]
fn a_killed_engine_goes_on_probing_and_remembers() -> Result<()> {
    let mut engine = engine()?;
    run(&engine, "well", &["--health-retries", "1"]);
    engine.docker(&["exec", "well", "touch", "/ok"]).ok();
    until("it does not get well", || status(&engine, "well") == "healthy")?;
    // In the middle of a probe, as likely as not.
    engine.docker(&["exec", "well", "sh", "-c", "mv /ok /was"]).ok();
    engine.kill()?;
    engine.launch()?;
    until("it is not probed any more", || status(&engine, "well") == "unhealthy")?;
    engine.docker(&["exec", "well", "mv", "/was", "/ok"]).ok();
    until("it does not get well again", || status(&engine, "well") == "healthy")?;
    engine.kill()?;
    engine.launch()?;
    assert_eq!(status(&engine, "well"), "healthy", "what was found is forgotten");
    Ok(())
}

#[test]
fn no_probe_outlives_the_engine_that_made_it() -> Result<()> {
    let mut engine = engine()?;
    run(&engine, "hangs", &["--health-timeout", "1h", "--health-cmd", "sleep 300; true"]);
    let probes = |engine: &Engine| -> Vec<String> {
        let processes = engine.docker(&["top", "hangs", "-eo", "pid,args"]).stdout;
        let probes = processes.lines().filter(|line| line.ends_with(" sleep 300"));
        probes.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    };
    until("it is not probed", || !probes(&engine).is_empty())?;
    let first = probes(&engine);
    engine.kill()?;
    engine.launch()?;
    until("the old probe goes on", || probes(&engine).iter().all(|pid| !first.contains(pid)))?;
    until("it is not probed again", || !probes(&engine).is_empty())?;
    Ok(())
}
