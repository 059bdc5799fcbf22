//! Mounts whose sources change while they are looked at, and volumes that two clients want.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use dhow_journeys::engine;
use dhow_testkit::{Engine, until};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};

/// Exchanges two names as fast as it can while something is done.
fn while_swapped<T>(one: &Path, other: &Path, deed: impl FnOnce() -> T) -> T {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let _ = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
            }
        });
        let done = deed();
        ended.store(true, Ordering::Relaxed);
        done
    })
}

fn request(engine: &Engine, method: &str, path: &str, body: &Value) -> Result<(u16, Value)> {
    let response = engine.connect()?.request(method, path, body)?;
    Ok((response.status, response.json().unwrap_or_default()))
}

/// A container of one mount: its exit status; none, when it did not start, and why.
fn run(engine: &Engine, mount: &Value, script: &str) -> Result<(Option<i64>, String)> {
    let body = json!({
        "Image": "busybox", "Cmd": ["sh", "-c", script], "NetworkDisabled": true,
        "HostConfig": {"Mounts": [mount], "NetworkMode": "none"}
    });
    let (status, created) = request(engine, "POST", "/containers/create", &body)?;
    let Some(id) = created["Id"].as_str().filter(|_| status == 201) else {
        return Ok((None, created["message"].to_string()));
    };
    let (status, said) = request(engine, "POST", &format!("/containers/{id}/start"), &Value::Null)?;
    let code = match status {
        204 => {
            request(engine, "POST", &format!("/containers/{id}/wait"), &Value::Null)?.1["StatusCode"].as_i64()
        }
        _ => None,
    };
    request(engine, "DELETE", &format!("/containers/{id}?force=1"), &Value::Null)?;
    Ok((code, said["message"].to_string()))
}

/// What was looked at is what is mounted: one of both, as it was asked for, and nothing else.
#[test]
fn a_bind_of_a_link_that_is_swapped_is_one_of_both_and_as_it_was_asked_for() -> Result<()> {
    let engine = engine()?;
    let scratch = engine.scratch().to_owned();
    for name in ["one", "two"] {
        std::fs::create_dir(scratch.join(name))?;
        std::fs::write(scratch.join(name).join("which"), name)?;
    }
    std::fs::write(scratch.join("file"), "a file")?;
    symlink(scratch.join("one"), scratch.join("link"))?;
    for other in ["two", "file"] {
        let swapped = scratch.join("other");
        symlink(scratch.join(other), &swapped)?;
        let mount = json!({"Type": "bind", "Source": scratch.join("link"), "Target": "/x", "ReadOnly": true});
        let script = "if test -d /x; then w=$(cat /x/which); else w=$(cat /x); fi; \
             touch /x/new 2>/dev/null && exit 9; case $w in one) exit 1;; two|'a file') exit 2;; *) exit 8;; esac";
        let seen = while_swapped(&scratch.join("link"), &swapped, || {
            (0..150).map(|_| run(&engine, &mount, script)).collect::<Result<Vec<_>>>()
        })?;
        for (code, said) in &seen {
            assert!(matches!(code, Some(1 | 2)), "{code:?} {said}");
        }
        std::fs::remove_file(swapped)?;
        if !scratch.join("link").read_link()?.ends_with("one") {
            std::fs::remove_file(scratch.join("link"))?;
            symlink(scratch.join("one"), scratch.join("link"))?;
        }
    }
    Ok(())
}

/// As in CVE-2021-25741 (Kubernetes): a part of a volume is what is in the volume, whatever a container that has it does meanwhile.
#[test]
fn a_part_of_a_volume_that_is_swapped_for_a_link_never_leads_out() -> Result<()> {
    let engine = engine()?;
    let outside = engine.scratch().join("outside");
    std::fs::create_dir(&outside)?;
    std::fs::write(outside.join("canary"), "the host's")?;
    engine.docker(&["volume", "create", "parts"]).ok();
    let place = PathBuf::from(engine.docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", "parts"]).ok());
    std::fs::create_dir_all(place.join("sub/deep"))?;
    let mount = json!({
        "Type": "volume", "Source": "parts", "Target": "/x", "VolumeOptions": {"Subpath": "sub/deep"}
    });
    let mut good = 0;
    let up = "../".repeat(20);
    let ways = [
        ("sub", engine.scratch().to_owned()),
        ("sub", PathBuf::from("/proc/self/root")),
        ("sub/deep", outside.clone()),
        ("sub/deep", PathBuf::from(format!("{up}{}", outside.display()))),
    ];
    for (what, target) in ways {
        // Beside the scratch directory's own name there is one that the part would lead to.
        std::fs::create_dir_all(engine.scratch().join("deep"))?;
        std::fs::write(engine.scratch().join("deep/canary"), "the host's")?;
        let link = place.join("link");
        symlink(target, &link)?;
        let script = "test -e /x/canary && exit 9; test -e /x/usr && exit 8; exit 0";
        let seen = while_swapped(&place.join(what), &link, || {
            (0..100).map(|_| run(&engine, &mount, script)).collect::<Result<Vec<_>>>()
        })?;
        for (code, said) in &seen {
            assert!(matches!(code, None | Some(0)), "{what}: {code:?} {said}");
        }
        good += seen.iter().filter(|(code, _)| *code == Some(0)).count();
        // In its place again.
        if place.join(what).is_symlink() {
            renameat_with(CWD, place.join(what), CWD, &link, RenameFlags::EXCHANGE)?;
        }
        std::fs::remove_file(&link)?;
    }
    assert!(good > 0, "it never was the directory");
    Ok(())
}

/// A container and its volume, or neither.
#[test]
fn who_prunes_or_removes_takes_no_volume_from_a_container() -> Result<()> {
    let engine = engine()?;
    let all = "/volumes/prune?filters=%7B%22all%22%3A%5B%22true%22%5D%7D";
    for round in 0..60_u64 {
        let name = format!("wanted-{round}");
        request(&engine, "POST", "/volumes/create", &json!({"Name": name}))?;
        let body = json!({"Image": "busybox", "Cmd": ["true"], "HostConfig": {
            "Binds": [format!("{name}:/v")], "NetworkMode": "none"
        }});
        // What the one who came before leaves behind when he goes with all that is his.
        let (_, first) = request(&engine, "POST", "/containers/create", &body)?;
        let first = first["Id"].as_str().context("no id")?;
        let removals = [("POST", all.to_owned()), ("DELETE", format!("/containers/{first}?v=1"))];
        let barrier = Barrier::new(3);
        let created = std::thread::scope(|scope| {
            let creating = scope.spawn(|| {
                barrier.wait();
                std::thread::sleep(Duration::from_micros(round % 7 * 300));
                request(&engine, "POST", "/containers/create", &body)
            });
            for (method, path) in &removals {
                let (engine, barrier) = (&engine, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    std::thread::sleep(Duration::from_micros(round % 5 * 200));
                    request(engine, method, path, &Value::Null)
                });
            }
            creating.join().map_err(|_| anyhow::anyhow!("a client panicked"))?
        })?;
        let id = created.1["Id"].as_str().with_context(|| format!("{created:?}"))?.to_owned();
        request(&engine, "POST", all, &Value::Null)?;
        let (status, said) = request(&engine, "POST", &format!("/containers/{id}/start"), &Value::Null)?;
        assert_eq!(status, 204, "round {round}: {said}");
        assert_eq!(request(&engine, "GET", &format!("/volumes/{name}"), &Value::Null)?.0, 200);
        request(&engine, "DELETE", &format!("/containers/{id}?force=1"), &Value::Null)?;
    }
    Ok(())
}

/// An anonymous volume goes with its container, unless another one has it by then.
#[test]
fn a_volume_without_a_name_stays_for_its_second_user() -> Result<()> {
    let engine = engine()?;
    for round in 0..40_u64 {
        let body = json!({"Image": "busybox", "Volumes": {"/v": {}}});
        let (_, first) = request(&engine, "POST", "/containers/create", &body)?;
        let first = first["Id"].as_str().context("no id")?.to_owned();
        let second = json!({"Image": "busybox", "Cmd": ["test", "-d", "/v"], "HostConfig": {
            "VolumesFrom": [first], "NetworkMode": "none"
        }});
        let barrier = Barrier::new(2);
        let created = std::thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                request(&engine, "DELETE", &format!("/containers/{first}?v=1"), &Value::Null)
            });
            barrier.wait();
            std::thread::sleep(Duration::from_micros(round * 50));
            request(&engine, "POST", "/containers/create", &second)
        })?;
        let volumes = || -> Result<usize> {
            let (_, list) = request(&engine, "GET", "/volumes", &Value::Null)?;
            Ok(list["Volumes"].as_array().map_or(0, Vec::len))
        };
        let Some(id) = created.1["Id"].as_str() else {
            // The first was gone already, or its volume was.
            assert!(matches!(created.0, 400 | 409), "{created:?}");
            until("a volume stays that nobody has", || volumes().is_ok_and(|count| count == 0))?;
            continue;
        };
        let (status, said) = request(&engine, "POST", &format!("/containers/{id}/start"), &Value::Null)?;
        assert_eq!(status, 204, "round {round}: {said}");
        assert_eq!(volumes()?, 1, "round {round}");
        request(&engine, "DELETE", &format!("/containers/{id}?force=1&v=1"), &Value::Null)?;
        until("a volume stays that nobody has", || volumes().is_ok_and(|count| count == 0))?;
    }
    Ok(())
}

/// `-v` makes what is missing, `--mount` only when it is told to.
#[test]
fn who_makes_a_source_that_is_missing() -> Result<()> {
    let engine = engine()?;
    let scratch = engine.scratch().to_owned();
    let at = |name: &str| scratch.join(name).display().to_string();
    let run = |flag: &str, text: String| {
        engine.docker(&["run", "--rm", flag, &text, "busybox", "test", "-d", "/x"])
    };
    run("-v", format!("{}:/x", at("by/v"))).ok();
    assert!(scratch.join("by/v").is_dir());
    let refused = run("--mount", format!("type=bind,source={},target=/x", at("no")));
    let words =
        format!("invalid mount config for type \"bind\": bind source path does not exist: {}", at("no"));
    assert!(refused.status == 125 && refused.stderr.contains(&words), "{}", refused.stderr);
    assert!(!scratch.join("no").exists());
    let told = format!("type=bind,source={},target=/x,bind-create-src", at("by/mount"));
    engine.dhow(&["run", "--rm", "--mount", &told, "busybox", "test", "-d", "/x"]).ok();
    assert!(scratch.join("by/mount").is_dir());
    // A link to nowhere is nothing that could be made.
    symlink(scratch.join("nowhere"), scratch.join("dangling"))?;
    let refused = run("-v", format!("{}:/x", at("dangling")));
    assert!(refused.status != 0, "{}", refused.stdout);
    assert!(!scratch.join("nowhere").exists(), "{}", refused.stderr);
    Ok(())
}

/// Wherever an import is cut off, a new volume is there with all of it, or not at all.
#[test]
fn an_engine_that_is_killed_while_it_imports_leaves_a_whole_volume_or_none() -> Result<()> {
    let mut engine = engine()?;
    let mut tar = tar::Builder::new(Vec::new());
    for number in 0..3000 {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(4000);
        tar.append_data(&mut header, format!("file{number}"), &[7_u8; 4000][..])?;
    }
    let tar = tar.into_inner()?;
    let mut whole = 0;
    for round in 0..10_u64 {
        let name = format!("new{round}");
        let mut connection = engine.connect()?;
        let (path, tar) = (format!("/dhow/volumes/{name}/import"), tar.clone());
        let asked =
            std::thread::spawn(move || connection.request_bytes("POST", &path, "application/x-tar", &tar));
        std::thread::sleep(Duration::from_millis(35 * round));
        engine.kill()?;
        drop(asked.join());
        engine.launch()?;
        let (status, volume) = request(&engine, "GET", &format!("/volumes/{name}"), &Value::Null)?;
        if status == 200 {
            let place = volume["Mountpoint"].as_str().context("a place")?;
            assert_eq!(std::fs::read_dir(place)?.count(), 3000, "round {round}");
            whole += 1;
        }
    }
    println!("{whole} of 10 were whole, the others not there");
    Ok(())
}
