//! `docker cp` and what is mounted in a container: what is seen of it, and that no archive takes it away.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use dhow_journeys::engine;
use dhow_testkit::Engine;

/// A container with a bind that cannot be written, one that can, a volume and a tmpfs.
fn container(engine: &Engine) -> Result<()> {
    let host = engine.scratch().join("host");
    fs::create_dir_all(host.join("directory"))?;
    fs::write(host.join("file"), "of the host")?;
    fs::write(host.join("directory/below"), "of the host")?;
    let bind = |what: &str, at: &str| format!("{}:{at}", host.join(what).display());
    let (sealed, open) = (bind("file", "/in/sealed:ro"), bind("file", "/in/open"));
    let (directory, tmpfs) = (bind("directory", "/in/deep/directory"), ["--tmpfs", "/memory"]);
    let script =
        "echo secret >/memory/x && echo v >/vol/file && mkdir -p /in/plain && touch /ready && sleep 1000";
    let mounts = ["-v", &sealed, "-v", &open, "-v", &directory, "-v", "shared:/vol"];
    let begin = ["run", "-d", "--name", "box"];
    engine.docker(&[&begin[..], &mounts, &tmpfs, &["busybox", "sh", "-c", script]].concat()).ok();
    engine.docker(&["exec", "box", "sh", "-c", "until [ -e /ready ]; do sleep 0.01; done"]).ok();
    Ok(())
}

/// What is mounted in the container, as it sees it.
fn mounts(engine: &Engine) -> String {
    engine.docker(&["exec", "box", "sh", "-c", "cut -d' ' -f2 /proc/mounts"]).ok().to_owned()
}

/// Puts a file of that name into a directory of the container.
fn copied_in(engine: &Engine, name: &str, to: &str) -> Result<(u16, String)> {
    let source = engine.scratch().join("source");
    fs::create_dir_all(&source)?;
    fs::write(source.join(name), "evil")?;
    let tar = Command::new("tar").arg("-C").arg(&source).args(["-c", name]).output()?.stdout;
    let path = format!("/containers/box/archive?path={to}");
    let answer = engine.connect()?.request_bytes("PUT", &path, "application/x-tar", &tar)?;
    Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
}

/// The kernel takes a mount away when what it is on is removed from another mount namespace.
#[test]
fn no_entry_of_an_archive_takes_a_mount_away() -> Result<()> {
    let engine = engine()?;
    container(&engine)?;
    let places = [
        ("sealed", "/in"),
        ("open", "/in"),
        ("hosts", "/etc"),
        ("resolv.conf", "/etc"),
        ("directory", "/in/deep"),
        ("deep", "/in"),
        ("vol", "/"),
        ("memory", "/"),
        ("proc", "/"),
        ("sys", "/"),
        ("dev", "/"),
        ("shm", "/dev"),
    ];
    let before = mounts(&engine);
    for (name, to) in places {
        let (status, said) = copied_in(&engine, name, to)?;
        ensure!(status == 500 && said.contains("device or resource busy"), "{to}/{name}: {status} {said}");
        ensure!(mounts(&engine) == before, "{to}/{name} took a mount away");
    }
    let seen = "cat /in/sealed /in/open /in/deep/directory/below /memory/x /vol/file";
    let seen = engine.docker(&["exec", "box", "sh", "-c", seen]);
    assert_eq!(seen.ok(), "of the hostof the hostof the hostsecret\nv");
    ensure!(copied_in(&engine, "plain", "/")?.0 == 200, "what is not mounted can be written");
    ensure!(copied_in(&engine, "more", "/in/deep/directory")?.0 == 200);
    ensure!(fs::read_to_string(engine.scratch().join("host/directory/more"))? == "evil");

    // Those that would be there again are not written behind either.
    engine.docker(&["stop", "-t", "0", "box"]).ok();
    for (name, to) in &places[..7] {
        let (status, said) = copied_in(&engine, name, to)?;
        ensure!(status == 500 && said.contains("device or resource busy"), "{to}/{name}: {status} {said}");
    }
    Ok(())
}

/// As with Docker: the root, volumes, binds and the files of the network; no /proc, no /sys, no memory.
#[test]
fn the_whole_of_a_container_is_its_files() -> Result<()> {
    let engine = engine()?;
    container(&engine)?;
    for state in ["running", "stopped"] {
        let tar = engine.scratch().join(format!("{state}.tar"));
        let answer =
            engine.connect()?.request("GET", "/containers/box/archive?path=/", &serde_json::Value::Null)?;
        ensure!(answer.status == 200, "{state}: {}", answer.status);
        fs::write(&tar, &answer.body)?;
        let listed = Command::new("tar").arg("-tf").arg(&tar).output()?;
        ensure!(listed.status.success(), "{state}: the archive is cut off");
        let listed = String::from_utf8(listed.stdout)?;
        let named = |name: &str| {
            listed.lines().any(|line| line.trim_start_matches('/').trim_end_matches('/') == name)
        };
        for name in
            ["proc", "sys", "dev", "memory", "vol/file", "in/sealed", "in/deep/directory/below", "etc/hosts"]
        {
            ensure!(named(name), "{state}: {name} is missing: {listed}");
        }
        for name in ["proc/self", "proc/irq", "sys/kernel", "dev/null", "memory/x"] {
            ensure!(!named(name), "{state}: {name} is there");
        }
        let answer = engine.docker(&["cp", "box:/etc/hosts", "-"]);
        ensure!(answer.status == 0 && answer.stdout.contains("localhost"), "{state}: {answer:?}");
        for path in ["/proc/1/cmdline", "/memory/x", "/dev/null"] {
            let query = format!("/containers/box/archive?path={path}");
            let answer = engine.connect()?.request("GET", &query, &serde_json::Value::Null)?;
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            let words = format!("Could not find the file {path} in container box");
            ensure!(answer.status == 404 && said.contains(&words), "{state}: {} {said}", answer.status);
        }
        engine.docker(&["stop", "-t", "0", "box"]).ok();
    }
    Ok(())
}
