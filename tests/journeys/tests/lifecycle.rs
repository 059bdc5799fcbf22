//! Containers that end and are started again: restart policies, also across the death of the engine.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use dhow_journeys::engine;
use dhow_testkit::{Engine, until};

fn state(engine: &Engine, name: &str) -> String {
    engine.docker(&["inspect", "-f", "{{.State.Status}}", name]).stdout.trim().to_owned()
}

fn count(engine: &Engine, name: &str) -> u32 {
    let count = engine.docker(&["inspect", "-f", "{{.RestartCount}}", name]);
    count.stdout.trim().parse().unwrap_or(0)
}

/// What happened to a container so far, without what differs from run to run.
fn events(engine: &Engine, name: &str) -> Vec<String> {
    let filter = format!("container={name}");
    let format = "{{.Action}}{{with .Actor.Attributes.exitCode}} {{.}}{{end}}";
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
    let arguments = ["events", "--since", "1h", "--until", &now, "--filter", &filter, "--format", format];
    engine.docker(&arguments).stdout.lines().map(str::to_owned).collect()
}

#[test]
fn on_failure_tries_as_often_as_it_was_told() -> Result<()> {
    let engine = engine()?;
    let policy = "on-failure:2";
    engine
        .docker(&["run", "-d", "--name", "fails", "--restart", policy, "busybox", "sh", "-c", "exit 3"])
        .ok();
    until("it never gives up", || state(&engine, "fails") == "exited")?;
    assert_eq!(count(&engine, "fails"), 2);
    let again = ["start", "die 3"].repeat(3);
    assert_eq!(events(&engine, "fails"), [&["create"][..], &again].concat());
    engine.docker(&["run", "-d", "--name", "works", "--restart", policy, "busybox", "true"]).ok();
    engine.docker(&["wait", "works"]).ok();
    assert_eq!((state(&engine, "works").as_str(), count(&engine, "works")), ("exited", 0));
    Ok(())
}

#[test]
fn a_container_that_waits_to_be_started_again_is_no_other_than_in_docker() -> Result<()> {
    let engine = engine()?;
    engine
        .docker(&["run", "-d", "--name", "waits", "--restart", "always", "busybox", "sh", "-c", "exit 7"])
        .ok();
    until("it does not wait long", || count(&engine, "waits") >= 5)?;
    until("it does not wait", || state(&engine, "waits") == "restarting")?;
    let flags = "{{.State.Running}} {{.State.Restarting}} {{.State.Pid}} {{.State.ExitCode}}";
    assert_eq!(engine.inspect("waits", flags), "true true 0 7");
    assert!(engine.docker(&["ps"]).ok().contains("Restarting (7)"));
    assert_eq!(engine.docker(&["ps", "-q", "--filter", "status=restarting"]).ok().lines().count(), 1);
    for (arguments, words) in [
        (&["exec", "waits", "true"][..], "is restarting, wait until the container is running"),
        (&["pause", "waits"], "is restarting, wait until the container is running"),
        (&["top", "waits"], "is restarting, wait until the container is running"),
        (&["rm", "waits"], "container is restarting: stop the container before removing or force remove"),
    ] {
        let answer = engine.docker(arguments);
        assert!(answer.status != 0 && answer.stderr.contains(words), "{arguments:?}: {}", answer.stderr);
    }
    engine.docker(&["start", "waits"]).ok();
    engine.docker(&["stop", "waits"]).ok();
    assert_eq!(state(&engine, "waits"), "exited");
    let starts = events(&engine, "waits").iter().filter(|action| *action == "start").count();
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(state(&engine, "waits"), "exited", "the wait went on after the stop");
    assert_eq!(events(&engine, "waits").iter().filter(|action| *action == "start").count(), starts);
    engine.docker(&["start", "waits"]).ok();
    assert!(count(&engine, "waits") < 3, "a start does not count anew");
    engine.docker(&["rm", "-f", "waits"]).ok();
    Ok(())
}

#[test]
fn what_somebody_stops_stays_stopped() -> Result<()> {
    let engine = engine()?;
    for (policy, end) in
        [("always", &["stop", "-t", "0"][..]), ("unless-stopped", &["kill"]), ("on-failure", &["kill"])]
    {
        engine.docker(&["run", "-d", "--name", policy, "--restart", policy, "busybox", "sleep", "600"]).ok();
        engine.docker(&[end, &[policy]].concat()).ok();
        assert_eq!(state(&engine, policy), "exited", "{policy}");
        let kill_events = events(&engine, policy);
        assert_eq!(kill_events.iter().filter(|action| *action == "start").count(), 1, "{kill_events:?}");
    }
    Ok(())
}

#[test]
fn one_that_is_removed_when_it_ends_can_be_restarted() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["run", "-d", "--rm", "--name", "once", "busybox", "sleep", "600"]).ok();
    engine.docker(&["restart", "-t", "0", "once"]).ok();
    assert_eq!(state(&engine, "once"), "running");
    engine.docker(&["stop", "-t", "0", "once"]).ok();
    until("it stays", || engine.docker(&["ps", "-aq"]).stdout.is_empty())
}

#[test]
fn a_killed_engine_owes_no_start() -> Result<()> {
    let mut engine = engine()?;
    let script = "test -e /later && sleep 600; touch /later; exit 1";
    engine
        .docker(&["run", "-d", "--name", "owed", "--restart", "always", "busybox", "sh", "-c", "exit 1"])
        .ok();
    engine
        .docker(&["run", "-d", "--name", "later", "--restart", "always", "busybox", "sh", "-c", script])
        .ok();
    until("it does not wait", || count(&engine, "owed") >= 4)?;
    until("it does not wait", || state(&engine, "owed") == "restarting")?;
    let before = count(&engine, "owed");
    engine.kill()?;
    engine.launch()?;
    until("the start was forgotten", || count(&engine, "owed") > before)?;
    until("it does not run", || state(&engine, "later") == "running")?;
    assert_eq!(count(&engine, "later"), 1, "it was started once more, and its count is kept");
    Ok(())
}

/// Killed containers and an empty run directory are what a power cut leaves.
#[test]
fn after_a_power_cut_runs_what_ran_and_was_not_stopped() -> Result<()> {
    let mut engine = engine()?;
    let run = |name: &str, policy: &str| {
        engine.docker(&["run", "-d", "--name", name, "--restart", policy, "busybox", "sleep", "600"]).ok();
    };
    for policy in ["no", "always", "unless-stopped", "on-failure"] {
        run(policy, policy);
        run(&format!("{policy}-stopped"), policy);
        engine.docker(&["stop", "-t", "0", &format!("{policy}-stopped")]).ok();
    }
    engine.docker(&["create", "--name", "never", "--restart", "always", "busybox", "true"]).ok();
    let joins = ["run", "-d", "--name", "joins", "--restart", "always"];
    engine.docker(&[&joins[..], &["--network", "container:always", "busybox", "sleep", "600"]].concat()).ok();
    let running = ["no", "always", "unless-stopped", "on-failure", "joins"];
    let pids = running.map(|name| engine.inspect(name, "{{.State.Pid}}"));
    engine.kill()?;
    let pids = pids.iter().map(String::as_str);
    let monitors: Vec<String> = pids.clone().filter_map(parent).collect();
    for pid in pids {
        dhow_testkit::process::must(std::process::Command::new("kill").args(["-9", pid]))?;
        until("it outlives SIGKILL", || !lives(pid))?;
    }
    // A monitor that still writes how its container ended would write to what the next boot finds.
    for monitor in monitors {
        until("a monitor outlives its container", || !lives(&monitor))?;
    }
    std::fs::remove_dir_all(engine.scratch().join("run"))?;
    engine.launch()?;
    for (name, expected) in [
        ("always", "running"),
        ("always-stopped", "running"),
        ("unless-stopped", "running"),
        ("on-failure", "running"),
        ("joins", "running"),
        ("no", "exited"),
        ("no-stopped", "exited"),
        ("unless-stopped-stopped", "exited"),
        ("on-failure-stopped", "exited"),
        ("never", "created"),
    ] {
        until(&format!("{name} is not {expected}"), || state(&engine, name) == expected)?;
    }
    Ok(())
}

fn status_of(pid: &str, field: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(":\t"))?;
    Some(line.to_owned())
}

fn parent(pid: &str) -> Option<String> {
    status_of(pid, "PPid")
}

/// Whom nobody has waited for yet is dead all the same.
fn lives(pid: &str) -> bool {
    status_of(pid, "State").is_some_and(|state| !state.starts_with('Z'))
}

/// The engine is killed, another program is put in its place, and that is started: all that the first one
/// had begun goes on.
#[test]
fn everything_goes_on_after_an_upgrade() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let program = directory.path().join("dhow");
    std::fs::copy(dhow_testkit::engine::binary()?, &program)?;
    let mut engine = Engine::start_binary(&program, &[])?;
    engine.import_busybox()?;
    let run = |arguments: &[&str]| engine.docker(&[&["run", "-d"][..], arguments].concat()).ok().to_owned();
    let probe = ["--health-cmd", "test -e /ok", "--health-interval", "100ms", "--health-retries", "1"];
    let ticks = "trap 'exit 5' TERM; while true; do date +%s%N; sleep 0.05; done";
    run(&[&["--name", "probed"][..], &probe, &["busybox", "sh", "-c", ticks]].concat());
    let waits = "read line; echo got $line; exit 3";
    run(&["--name", "again", "-i", "--restart", "on-failure", "busybox", "sh", "-c", waits]);
    engine.docker(&["exec", "-d", "probed", "sh", "-c", "sleep 1; touch /ok"]).ok();
    engine.kill()?;
    let next = directory.path().join("next");
    std::fs::copy(&program, &next)?;
    std::fs::rename(&next, &program)?;
    engine.launch()?;
    let lines = |engine: &Engine| engine.docker(&["logs", "probed"]).stdout.lines().count();
    let before = lines(&engine);
    until("its log stands still", || lines(&engine) > before)?;
    let health =
        |engine: &Engine| engine.docker(&["inspect", "-f", "{{.State.Health.Status}}", "probed"]).stdout;
    until("its exec is gone, or it is not probed", || health(&engine).trim() == "healthy")?;
    let talked = engine.client(std::path::Path::new("docker"), &["attach", "again"], b"to me\n");
    assert!(talked.stdout.contains("got to me"), "{}{}", talked.stdout, talked.stderr);
    until("it is not started again", || count(&engine, "again") == 1)?;
    until("it does not run", || state(&engine, "again") == "running")?;
    engine.docker(&["exec", "again", "true"]).ok();
    engine.docker(&["stop", "probed"]).ok();
    assert_eq!(engine.inspect("probed", "{{.State.ExitCode}}"), "5");
    Ok(())
}

/// Starts are not queued behind one another, and boot is not made longer by what does not run.
#[test]
fn many_are_started_side_by_side_and_found_again_at_once() -> Result<()> {
    let mut engine = engine()?;
    let names: Vec<String> = (0..60).map(|number| format!("many-{number}")).collect();
    for name in &names {
        engine.docker(&["create", "--name", name, "--network", "none", "busybox", "sleep", "600"]).ok();
    }
    let started: Vec<_> = names
        .iter()
        .take(30)
        .map(|name| {
            let (socket, path) = (engine.socket(), format!("/containers/{name}/start"));
            std::thread::spawn(move || {
                dhow_testkit::http::Connection::open(&socket)?.request("POST", &path, &().into())
            })
        })
        .collect();
    for start in started {
        let answer = start.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        assert_eq!(answer.status, 204);
    }
    engine.kill()?;
    engine.launch()?;
    assert_eq!(engine.docker(&["ps", "-q"]).ok().lines().count(), 30);
    assert_eq!(engine.docker(&["ps", "-aq"]).ok().lines().count(), 60);
    Ok(())
}
