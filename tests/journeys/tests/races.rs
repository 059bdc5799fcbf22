//! Several clients at once, and an engine that is killed between a deed and its record.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use dhow_journeys::engine;
use dhow_testkit::{Engine, until};
use serde_json::{Value, json};

/// A request without a body: its status, and what it says.
fn ask(engine: &Engine, method: &str, path: &str) -> Result<(u16, String)> {
    let response = engine.connect()?.request(method, path, &Value::Null)?;
    Ok((response.status, String::from_utf8_lossy(&response.body).into_owned()))
}

fn create(engine: &Engine, command: &[&str]) -> Result<String> {
    let body = json!({"Image": "busybox", "Cmd": command});
    let response = engine.connect()?.request("POST", "/containers/create", &body)?;
    Ok(response.json()?["Id"].as_str().context("no id")?.to_owned())
}

/// All requests at once, the later ones some microseconds after those before: the rounds of a test differ.
fn together(engine: &Engine, round: u64, requests: &[(&str, String)]) -> Result<Vec<(u16, String)>> {
    let barrier = Barrier::new(requests.len());
    std::thread::scope(|scope| {
        let each = requests.iter().zip(0u64..).map(|((method, path), index)| {
            let barrier = &barrier;
            scope.spawn(move || {
                let mut connection = engine.connect()?;
                barrier.wait();
                std::thread::sleep(Duration::from_micros(index * round * 150));
                let response = connection.request(method, path, &Value::Null)?;
                Ok((response.status, String::from_utf8_lossy(&response.body).into_owned()))
            })
        });
        let all: Vec<_> = each.collect();
        all.into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
            .collect()
    })
}

#[test]
fn a_forced_removal_also_removes_what_is_just_being_started() -> Result<()> {
    let engine = engine()?;
    for round in 0..30 {
        let id = create(&engine, &["sleep", "1000"])?;
        let start = ("POST", format!("/containers/{id}/start"));
        let remove = ("DELETE", format!("/containers/{id}?force=1"));
        let answers = together(&engine, round, &[start, remove])?;
        assert_eq!(answers[1].0, 204, "round {round}: {answers:?}");
        assert_eq!(ask(&engine, "GET", &format!("/containers/{id}/json"))?.0, 404);
    }
    Ok(())
}

#[test]
fn a_removed_container_keeps_no_name_that_it_was_given_meanwhile() -> Result<()> {
    let mut engine = engine()?;
    for round in 0..30 {
        let id = create(&engine, &["true"])?;
        let remove = ("DELETE", format!("/containers/{id}?force=1"));
        let rename = ("POST", format!("/containers/{id}/rename?name=other"));
        let answers = together(&engine, round, &[remove, rename])?;
        let next = engine.connect()?.request(
            "POST",
            "/containers/create?name=other",
            &json!({"Image": "busybox"}),
        )?;
        assert_eq!(next.status, 201, "round {round}: {answers:?}");
        assert_eq!(ask(&engine, "DELETE", "/containers/other")?.0, 204);
    }
    engine.kill()?;
    engine.launch()?;
    assert_eq!(ask(&engine, "GET", "/containers/json?all=1")?.1.trim(), "[]", "its record came back");
    Ok(())
}

/// Version 1 of cgroups: a process that is frozen before it has seen its signal does not die of it.
#[test]
fn what_is_killed_and_frozen_at_once_ends() -> Result<()> {
    let engine = engine()?;
    for round in 0..20 {
        let id = create(&engine, &["sleep", "1000"])?;
        assert_eq!(ask(&engine, "POST", &format!("/containers/{id}/start"))?.0, 204);
        let kill = ("POST", format!("/containers/{id}/kill"));
        let pause = ("POST", format!("/containers/{id}/pause"));
        let answers = together(&engine, round, &[kill, pause])?;
        assert_eq!(answers[0].0, 204, "round {round}: {answers:?}");
        assert_eq!(ask(&engine, "DELETE", &format!("/containers/{id}"))?.0, 204);
    }
    Ok(())
}

#[test]
fn an_exec_that_two_clients_start_runs_once_and_keeps_its_first_client() -> Result<()> {
    let engine = engine()?;
    let id = create(&engine, &["sleep", "1000"])?;
    assert_eq!(ask(&engine, "POST", &format!("/containers/{id}/start"))?.0, 204);
    for round in 0..20 {
        let body = json!({"Cmd": ["sh", "-c", "echo ran"], "AttachStdout": true});
        let made = engine.connect()?.request("POST", &format!("/containers/{id}/exec"), &body)?.json()?;
        let exec = made["Id"].as_str().context("no id")?.to_owned();
        let start = || ("POST", format!("/exec/{exec}/start"));
        let mut answers = together(&engine, round % 4, &[start(), start(), start()])?;
        answers.sort();
        assert_eq!(answers.iter().map(|answer| answer.0).collect::<Vec<_>>(), [200, 409, 409], "{answers:?}");
        assert!(answers[0].1.ends_with("ran\n"), "{answers:?}");
    }
    Ok(())
}

/// Each lasts as long as its client likes: they must not take the threads that verbs run on, nor stop
/// at the number of inotify instances that a user may have (128).
#[test]
fn hundreds_of_followed_logs_hold_nobody_up() -> Result<()> {
    let engine = engine()?;
    let id = create(&engine, &["sleep", "1000"])?;
    assert_eq!(ask(&engine, "POST", &format!("/containers/{id}/start"))?.0, 204);
    let mut followers = Vec::new();
    for _ in 0..600 {
        let mut socket = std::os::unix::net::UnixStream::connect(engine.socket())?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        let request = format!(
            "GET /containers/{id}/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"
        );
        std::io::Write::write_all(&mut socket, request.as_bytes())?;
        let mut status = [0; 15];
        std::io::Read::read_exact(&mut socket, &mut status)?;
        assert_eq!(&status, b"HTTP/1.1 200 OK", "follower {}", followers.len());
        followers.push(socket);
    }
    assert_eq!(ask(&engine, "GET", "/info")?.0, 200);
    assert_eq!(ask(&engine, "DELETE", &format!("/containers/{id}?force=1"))?.0, 204);
    for mut socket in followers {
        std::io::Read::read_to_end(&mut socket, &mut Vec::new())?;
    }
    Ok(())
}

/// The file that freezes a container, and what it says when it does.
fn freezer(engine: &Engine, id: &str) -> Result<(PathBuf, &'static str)> {
    let below = format!("{}/{id}", engine.cgroup().trim_start_matches('/'));
    let places = [
        ("/sys/fs/cgroup/freezer", "freezer.state", "FROZEN"),
        ("/sys/fs/cgroup", "cgroup.freeze", "1"),
        ("/sys/fs/cgroup/unified", "cgroup.freeze", "1"),
    ];
    let files = places.map(|(top, file, frozen)| (Path::new(top).join(&below).join(file), frozen));
    files.into_iter().find(|(file, _)| file.exists()).context("the container has no freezer")
}

#[test]
fn a_container_that_a_killed_engine_had_frozen_for_a_commit_goes_on() -> Result<()> {
    let mut engine = engine()?;
    let id = create(&engine, &["sleep", "1000"])?;
    assert_eq!(ask(&engine, "POST", &format!("/containers/{id}/start"))?.0, 204);
    let (file, frozen) = freezer(&engine, &id)?;
    std::fs::write(&file, frozen)?;
    engine.kill()?;
    engine.launch()?;
    assert_ne!(std::fs::read_to_string(&file)?.trim(), frozen);
    Ok(())
}

/// A client that does not read keeps the engine at its export, and what may write in the volume frozen.
#[test]
fn what_a_killed_engine_had_frozen_for_a_copy_goes_on_without_any_engine() -> Result<()> {
    let mut engine = engine()?;
    let fill = "dd if=/dev/zero of=/data/f bs=1M count=32 && touch /data/done && sleep 1000";
    let body =
        json!({"Image": "busybox", "Cmd": ["sh", "-c", fill], "HostConfig": {"Binds": ["data:/data"]}});
    let created = engine.connect()?.request("POST", "/containers/create", &body)?;
    let copied = created.json()?["Id"].as_str().context("no id")?.to_owned();
    let paused = create(&engine, &["sleep", "1000"])?;
    for id in [&copied, &paused] {
        assert_eq!(ask(&engine, "POST", &format!("/containers/{id}/start"))?.0, 204);
    }
    assert_eq!(ask(&engine, "POST", &format!("/containers/{paused}/pause"))?.0, 204);
    until("the volume is filled", || engine.data().join("volumes/data/data/done").exists())?;
    let freezers = [freezer(&engine, &copied)?, freezer(&engine, &paused)?];
    let is_frozen = |index: usize| {
        let (file, frozen) = &freezers[index];
        std::fs::read_to_string(file).is_ok_and(|state| state.trim() == *frozen)
    };
    let mut client = std::os::unix::net::UnixStream::connect(engine.socket())?;
    client.write_all(b"GET /dhow/volumes/data/export?pause=1 HTTP/1.1\r\nHost: x\r\n\r\n")?;
    until("it is frozen", || is_frozen(0))?;
    let pid = engine.pid().context("no engine")?.to_string();
    dhow_testkit::process::must(std::process::Command::new("kill").args(["-9", &pid]))?;
    until("it goes on", || !is_frozen(0))?;
    assert!(is_frozen(1), "what a user paused stays so");
    engine.kill()?;
    engine.launch()?;
    assert!(is_frozen(1) && !is_frozen(0));
    Ok(())
}

/// Starts containers until the engine does not answer any more.
fn keep_starting(engine: &Engine, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        let started = create(engine, &["sleep", "1000"])
            .and_then(|id| ask(engine, "POST", &format!("/containers/{id}/start")));
        if started.is_err() {
            return;
        }
    }
}

#[test]
fn an_engine_that_is_killed_while_it_starts_containers_leaves_none_that_runs_unknown() -> Result<()> {
    let mut engine = engine()?;
    for _ in 0..4 {
        let ended = AtomicBool::new(false);
        let pid = engine.pid().context("no engine")?.to_string();
        std::thread::scope(|scope| -> Result<()> {
            for _ in 0..6 {
                scope.spawn(|| keep_starting(&engine, &ended));
            }
            std::thread::sleep(Duration::from_millis(150));
            dhow_testkit::process::must(std::process::Command::new("kill").args(["-9", &pid]))?;
            ended.store(true, Ordering::Relaxed);
            Ok(())
        })?;
        engine.kill()?;
        engine.launch()?;
        let all = engine.connect()?.request("GET", "/containers/json?all=1", &Value::Null)?.json()?;
        for container in all.as_array().context("no list")? {
            let id = container["Id"].as_str().context("no id")?;
            let has_cgroup = freezer(&engine, id).is_ok();
            assert_eq!(container["State"] == "running", has_cgroup, "{container}");
            assert_eq!(ask(&engine, "DELETE", &format!("/containers/{id}?force=1"))?.0, 204);
            assert!(freezer(&engine, id).is_err(), "its cgroup is left");
        }
    }
    Ok(())
}

#[test]
fn an_engine_that_ends_does_not_wait_for_clients_that_never_read() -> Result<()> {
    let mut engine = engine()?;
    let id = create(&engine, &["yes"])?;
    assert_eq!(ask(&engine, "POST", &format!("/containers/{id}/start"))?.0, 204);
    let mut idle = Vec::new();
    for path in ["logs?follow=1&stdout=1", "export", "attach?stream=1&stdout=1"] {
        let method = if path.starts_with("attach") { "POST" } else { "GET" };
        let mut socket = std::os::unix::net::UnixStream::connect(engine.socket())?;
        let request = format!("{method} /containers/{id}/{path} HTTP/1.1\r\nHost: d\r\n\r\n");
        std::io::Write::write_all(&mut socket, request.as_bytes())?;
        idle.push(socket);
    }
    let begun = Instant::now();
    engine.stop()?;
    ensure!(begun.elapsed() < Duration::from_secs(20), "it took {:?}", begun.elapsed());
    engine.launch()?;
    assert_eq!(ask(&engine, "DELETE", &format!("/containers/{id}?force=1"))?.0, 204);
    Ok(())
}

/// A shell gives 1024 descriptors, which some hundred containers would use up.
#[test]
fn the_engine_takes_the_descriptors_it_may_have_and_containers_get_what_was_given() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let script = directory.path().join("limited");
    let binary = dhow_testkit::engine::binary()?;
    std::fs::write(&script, format!("#!/bin/sh\nulimit -Sn 100\nexec {} \"$@\"\n", binary.display()))?;
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let engine = Engine::start_binary(&script, &[])?;
    engine.import_busybox()?;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", engine.pid().context("no engine")?))?;
    let line = limits.lines().find(|line| line.starts_with("Max open files")).context("no limit")?;
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[3], words[4], "{line}");
    assert_eq!(engine.docker(&["run", "--rm", "busybox", "sh", "-c", "ulimit -Sn"]).ok(), "100");
    Ok(())
}

/// No record says yet that a container which is being created uses a volume.
#[test]
fn a_volume_is_not_removed_under_a_container_that_is_being_created() -> Result<()> {
    let engine = engine()?;
    for round in 0..40 {
        let name = format!("wanted-{round}");
        engine.connect()?.request("POST", "/volumes/create", &json!({"Name": name}))?;
        let body =
            json!({"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Binds": [format!("{name}:/v")]}});
        let barrier = Barrier::new(2);
        let created = std::thread::scope(|scope| {
            let creating = scope.spawn(|| {
                let mut connection = engine.connect()?;
                barrier.wait();
                connection.request("POST", "/containers/create", &body)
            });
            let mut connection = engine.connect()?;
            barrier.wait();
            std::thread::sleep(Duration::from_micros(round * 100));
            connection.request("DELETE", &format!("/volumes/{name}"), &Value::Null)?;
            creating.join().map_err(|_| anyhow::anyhow!("a client panicked"))?
        })?;
        let id = created.json()?["Id"].as_str().context("no id")?.to_owned();
        let started = ask(&engine, "POST", &format!("/containers/{id}/start"))?;
        assert_eq!(started.0, 204, "round {round}: {started:?}");
        assert_eq!(ask(&engine, "DELETE", &format!("/containers/{id}?force=1"))?.0, 204);
    }
    Ok(())
}

/// Two writable mounts of one layer are undefined behaviour: a start waits for what is copied in.
#[test]
fn what_is_copied_into_a_container_is_there_when_it_starts_meanwhile() -> Result<()> {
    use std::io::{Read as _, Write as _};
    let engine = engine()?;
    let id = create(&engine, &["wc", "-c", "/canary"])?;
    std::fs::write(engine.scratch().join("canary"), vec![b'x'; 1 << 20])?;
    let folder = engine.scratch().display().to_string();
    let tar = std::process::Command::new("tar").args(["-C", &folder, "-cf", "-", "canary"]).output()?.stdout;
    let mut upload = std::os::unix::net::UnixStream::connect(engine.socket())?;
    upload.set_read_timeout(Some(Duration::from_secs(20)))?;
    let head = format!(
        "PUT /containers/{id}/archive?path=/ HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\n\
         Content-Length: {}\r\n\r\n",
        tar.len()
    );
    let (first, rest) = tar.split_at(tar.len() / 2);
    upload.write_all(&[head.as_bytes(), first].concat())?;
    let layer = engine.data().join("containers").join(&id).join("rw/canary");
    dhow_testkit::until("the first half was written", || layer.exists())?;
    std::thread::scope(|scope| {
        let start = scope.spawn(|| ask(&engine, "POST", &format!("/containers/{id}/start")));
        std::thread::sleep(Duration::from_millis(300));
        ensure!(!start.is_finished(), "it was started in the middle");
        upload.write_all(rest)?;
        let mut status = [0; 15];
        upload.read_exact(&mut status)?;
        ensure!(status.ends_with(b"200 OK"), "{}", String::from_utf8_lossy(&status));
        let started = start.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        ensure!(started.0 == 204, "{started:?}");
        Ok(())
    })?;
    engine.docker(&["wait", &id]).ok();
    ensure!(engine.docker(&["logs", &id]).ok().starts_with("1048576"), "not all of it is there");
    Ok(())
}

/// Whoever comes first: a container that runs is in networks that there are.
#[test]
fn a_network_is_not_removed_under_a_container_that_is_just_coming_into_it() -> Result<()> {
    let engine = engine()?;
    let late = create(&engine, &["sleep", "1000"])?;
    assert_eq!(ask(&engine, "POST", &format!("/containers/{late}/start"))?.0, 204);
    let post = |path: &str, body: &Value| engine.connect()?.request("POST", path, body);
    for round in 0..30 {
        let name = format!("net{round}");
        assert_eq!(post("/networks/create", &json!({"Name": name}))?.status, 201);
        let body = json!({"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": name}});
        let early = post("/containers/create", &body)?.json()?["Id"].as_str().context("no id")?.to_owned();
        let start = ("POST", format!("/containers/{early}/start"));
        let goes = ("DELETE", format!("/networks/{name}"));
        let connect = format!("/networks/{name}/connect");
        let answers = std::thread::scope(|scope| -> Result<_> {
            let connected = scope.spawn(|| post(&connect, &json!({"Container": late})));
            let answers = together(&engine, round % 10, &[start, goes])?;
            drop(connected.join());
            Ok(answers)
        })?;
        let there = ask(&engine, "GET", &format!("/networks/{name}"))?.0 == 200;
        for container in [&early, &late] {
            let told: Value =
                serde_json::from_str(&ask(&engine, "GET", &format!("/containers/{container}/json"))?.1)?;
            let is_in = !told["NetworkSettings"]["Networks"][&name].is_null();
            let runs = told["State"]["Running"] == true;
            ensure!(there || !(runs && is_in), "round {round}: {name} is gone: {answers:?}");
        }
        assert_eq!(ask(&engine, "DELETE", &format!("/containers/{early}?force=1"))?.0, 204);
        if there {
            post(&format!("/networks/{name}/disconnect"), &json!({"Container": late}))?;
            assert_eq!(ask(&engine, "DELETE", &format!("/networks/{name}"))?.0, 204, "round {round}");
        }
    }
    let links = engine.in_network(|| std::fs::read_to_string("/proc/thread-self/net/dev"))?;
    ensure!(!links.contains("br-"), "{links}");
    Ok(())
}
