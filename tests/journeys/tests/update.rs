//! Containers whose limits, policy and name change, and execs that are ended.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use dhow_journeys::engine;
use dhow_testkit::{Engine, until};
use serde_json::{Value, json};

fn seen(engine: &Engine, name: &str, format: &str) -> String {
    engine.docker(&["inspect", "-f", format, name]).stdout.trim().to_owned()
}

/// The limit of processes that the kernel has for a container; none where there is no such controller.
fn processes(engine: &Engine, name: &str) -> Option<String> {
    let id = seen(engine, name, "{{.Id}}");
    let places = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"];
    let files = places.map(|place| format!("{place}{}/{id}/pids.max", engine.cgroup()));
    files.iter().find_map(|file| std::fs::read_to_string(file).ok()).map(|text| text.trim().to_owned())
}

#[test]
fn limits_change_on_a_container_that_runs_and_on_one_that_does_not() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["run", "-d", "--name", "runs", "--pids-limit", "40", "busybox", "sleep", "600"]).ok();
    engine.docker(&["create", "--name", "rests", "--pids-limit", "40", "busybox", "sleep", "600"]).ok();
    for client in ["docker", "dhow"] {
        let limit = if client == "docker" { "50" } else { "60" };
        let arguments = ["update", "--pids-limit", limit, "--restart", "on-failure:3", "runs", "rests"];
        let answer = if client == "docker" { engine.docker(&arguments) } else { engine.dhow(&arguments) };
        assert_eq!(answer.ok(), "runs\nrests");
        for name in ["runs", "rests"] {
            assert_eq!(seen(&engine, name, "{{.HostConfig.PidsLimit}}"), limit);
            assert_eq!(seen(&engine, name, "{{.HostConfig.RestartPolicy.MaximumRetryCount}}"), "3");
        }
        let Some(found) = processes(&engine, "runs") else {
            eprintln!("no controller of processes here: what the kernel has is not looked at");
            return Ok(());
        };
        assert_eq!(found, limit);
    }
    engine.docker(&["start", "rests"]).ok();
    assert_eq!(processes(&engine, "rests").as_deref(), Some("60"));
    engine.docker(&["update", "--pids-limit", "-1", "runs"]).ok();
    assert_eq!(processes(&engine, "runs").as_deref(), Some("max"));
    assert_eq!(seen(&engine, "runs", "{{.HostConfig.PidsLimit}}"), "0");
    Ok(())
}

#[test]
fn what_cannot_be_is_refused_in_dockers_words_and_changes_nothing() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["run", "-d", "--rm", "--name", "one", "-m", "64m", "busybox", "sleep", "600"]).ok();
    let before = seen(&engine, "one", "{{json .HostConfig}}");
    for (arguments, words) in [
        (
            &["-m", "200m"][..],
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        ),
        (&["-m", "1m"], "Minimum memory limit allowed is 6MB"),
        (&["--cpuset-cpus", "4000"], "Requested CPUs are not available - requested 4000"),
        (
            &["--restart", "always"],
            "Restart policy cannot be updated because AutoRemove is enabled for the container",
        ),
        (&["--restart", "never"], "invalid restart policy: unknown policy 'never'"),
        (&["--cpu-period", "5"], "CPU cfs period can not be less than 1ms"),
    ] {
        let answer = engine.docker(&[&["update"], arguments, &["one"]].concat());
        assert!(answer.status != 0 && answer.stderr.contains(words), "{arguments:?}: {}", answer.stderr);
        assert_eq!(seen(&engine, "one", "{{json .HostConfig}}"), before, "{arguments:?}");
    }
    let mut connection = engine.connect()?;
    for (path, body, status) in [
        ("/containers/nobody/update", json!({"Memory": 0}), 404),
        ("/containers/one/update", json!({"Memory": "much"}), 400),
        ("/containers/one/update", json!({"RestartPolicy": 5}), 400),
        ("/containers/one/update", json!({}), 200),
        ("/containers/one/update", Value::Null, 200),
    ] {
        let answer = connection.request("POST", path, &body)?;
        assert_eq!(answer.status, status, "{path} {body}: {}", String::from_utf8_lossy(&answer.body));
    }
    assert_eq!(seen(&engine, "one", "{{json .HostConfig}}"), before);
    Ok(())
}

/// Killed at any moment, the next engine has one of both values, on record and in the kernel.
#[test]
fn an_engine_that_is_killed_while_it_updates_leaves_a_whole_state() -> Result<()> {
    let mut engine = engine()?;
    engine.docker(&["run", "-d", "--name", "one", "--pids-limit", "40", "busybox", "sleep", "600"]).ok();
    for round in 1..6_u64 {
        let socket = engine.socket();
        let updates = std::thread::spawn(move || {
            let Ok(mut connection) = dhow_testkit::http::Connection::open(&socket) else { return };
            for limit in 41.. {
                let body = json!({"PidsLimit": limit});
                if connection.request("POST", "/containers/one/update", &body).is_err() {
                    return;
                }
            }
        });
        std::thread::sleep(Duration::from_millis(7 * round));
        engine.kill()?;
        updates.join().ok().context("the client panicked")?;
        engine.launch()?;
        let recorded = seen(&engine, "one", "{{.HostConfig.PidsLimit}}");
        assert_eq!(processes(&engine, "one").unwrap_or_else(|| recorded.clone()), recorded, "round {round}");
    }
    Ok(())
}

#[test]
fn the_policy_of_a_container_that_runs_counts_at_its_next_end() -> Result<()> {
    let engine = engine()?;
    let script = "test -e /once && sleep 600; touch /once; sleep 1; exit 1";
    engine.docker(&["run", "-d", "--name", "one", "busybox", "sh", "-c", script]).ok();
    engine.docker(&["update", "--restart", "on-failure", "one"]).ok();
    until("it is not started again", || seen(&engine, "one", "{{.RestartCount}}") == "1")?;
    until("it does not run", || seen(&engine, "one", "{{.State.Status}}") == "running")?;
    engine.docker(&["rename", "one", "two"]).ok();
    engine.docker(&["run", "-d", "--name", "three", "busybox", "true"]).ok();
    let taken = engine.docker(&["rename", "two", "three"]);
    assert!(
        taken.stderr.contains("Conflict. The container name \"/three\" is already in use"),
        "{}",
        taken.stderr
    );
    assert_eq!(seen(&engine, "two", "{{.State.Status}}"), "running");
    Ok(())
}

#[test]
fn an_exec_is_killed_alone_or_with_its_client() -> Result<()> {
    let mut engine = engine()?;
    engine.docker(&["run", "-d", "--name", "host", "busybox", "sleep", "600"]).ok();
    let inside = |engine: &Engine| engine.docker(&["top", "host", "-eo", "pid,args"]).ok().to_owned();
    engine.dhow(&["exec", "-d", "host", "sh", "-c", "sleep 555; true"]).ok();
    let exec = seen(&engine, "host", "{{index .ExecIDs 0}}");
    engine.dhow(&["kill", "--exec", &exec]).ok();
    until("a part of it goes on", || !inside(&engine).contains("sleep 555"))?;
    until("it does not end", || engine.dhow(&["kill", "--exec", &exec]).stderr.contains("is not running"))?;
    assert_eq!(engine.connect()?.request("POST", "/exec/nobody/kill", &Value::Null)?.status, 404);
    let client = |flags: &[&str], seconds: &str| {
        let mut command = Command::new(dhow_testkit::engine::binary()?);
        command.env("DOCKER_HOST", engine.host()).arg("exec").args(flags).args(["host", "sleep", seconds]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        anyhow::Ok(command.spawn()?)
    };
    let (mut stays, mut goes) = (client(&[], "444")?, client(&["--die-with-client"], "333")?);
    let mut last = client(&["--die-with-client"], "222")?;
    until("they do not run", || {
        let all = inside(&engine);
        ["444", "333", "222"].iter().all(|seconds| all.contains(&format!("sleep {seconds}")))
    })?;
    for child in [&mut stays, &mut goes] {
        child.kill()?;
        child.wait()?;
    }
    until("it outlives its client", || !inside(&engine).contains("sleep 333"))?;
    let all = inside(&engine);
    assert!(all.contains("sleep 444") && all.contains("sleep 222"), "{all}");
    // With the engine every client is gone.
    engine.kill()?;
    last.wait()?;
    engine.launch()?;
    until("it outlives the engine", || !inside(&engine).contains("sleep 222"))?;
    assert!(inside(&engine).contains("sleep 444"));
    Ok(())
}
