//! Machines that lack something: what cannot be had is told once, clearly, and the rest works.
//!
//! Each engine runs in namespaces of its own, in which something is taken away before it starts.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use dhow_testkit::{Engine, engine, process};

/// Cgroups as a container around us shows them.
const READ_ONLY: &str = "mount -o remount,bind,ro /sys
for place in $(awk '$2 ~ \"^/sys/fs/cgroup\" { print $2 }' /proc/mounts); do
    mount -o remount,bind,ro $place
done";

/// Version 2 of cgroups and nothing else, wherever the machine has put its controllers.
const VERSION_2: &str = "umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup";

/// An engine that is started when a script has run in a mount namespace of its own.
fn engine_after(script: &str, directory: &Path) -> Result<Engine> {
    started_by(
        &format!("exec unshare --mount --propagation private sh {}", written(script, directory)?),
        directory,
    )
}

/// The same as root of a user namespace that has the first 65536 ids, and with its own network.
fn engine_in_user_namespace(script: &str, directory: &Path) -> Result<Engine> {
    let pipe = directory.join("mapped");
    let inner = written(script, directory)?;
    let outer = format!(
        "mkfifo {pipe}
        before=$(readlink /proc/$$/ns/user)
        (
            while [ $(readlink /proc/$$/ns/user) = $before ]; do sleep 0.01; done
            echo 0 0 65536 > /proc/$$/uid_map; echo 0 0 65536 > /proc/$$/gid_map; echo > {pipe}; rm {pipe}
        ) >/dev/null 2>&1 &
        exec unshare --user --mount --net sh -c 'read nothing < {pipe}; exec sh {inner} \"$@\"' sh",
        pipe = pipe.display()
    );
    started_by(&outer, directory)
}

/// A script that ends as the program.
fn written(script: &str, directory: &Path) -> Result<String> {
    let path = directory.join("inner");
    std::fs::write(&path, format!("set -e\n{script}\nexec {} \"$@\"\n", engine::binary()?.display()))?;
    Ok(path.display().to_string())
}

fn started_by(script: &str, directory: &Path) -> Result<Engine> {
    let path = directory.join("dhow");
    std::fs::write(&path, format!("#!/bin/sh\n{script} \"$@\"\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    let engine = Engine::start_binary(&path, &[])?;
    engine.import_busybox()?;
    Ok(engine)
}

/// The stock client: ours would be started in the same way as the engine.
fn run(engine: &Engine, more: &[&str]) -> process::Answer {
    engine.docker(&["run", "--rm"].iter().chain(more).copied().collect::<Vec<_>>())
}

fn warnings(engine: &Engine) -> String {
    engine.docker(&["info", "--format", "{{json .Warnings}} {{json .SecurityOptions}}"]).ok().to_owned()
}

#[test]
fn without_cgroups_limits_are_discarded_and_device_nodes_closed() -> Result<()> {
    for (script, reason) in [
        (READ_ONLY, "No cgroups: they are read-only"),
        ("mount -t tmpfs none /sys/fs/cgroup", "No cgroups: they are not mounted"),
    ] {
        let directory = tempfile::tempdir()?;
        let engine = engine_after(script, directory.path())?;
        assert!(warnings(&engine).contains(reason), "{}", warnings(&engine));

        let limited = run(&engine, &["--memory", "64m", "--pids-limit", "9", "busybox", "echo", "alive"]);
        assert_eq!(limited.ok(), "alive");
        for words in ["memory limit capabilities", "PIDs limit capabilities"] {
            assert!(limited.stderr.contains(words), "{}", limited.stderr);
        }
        let refused = run(&engine, &["--cpus", "0.5", "busybox", "true"]);
        assert!(refused.stderr.contains("NanoCPUs can not be set"), "{}", refused.stderr);

        device_nodes_are_closed(&engine)?;
        let told = std::fs::read_to_string(engine.log())?;
        assert_eq!(told.matches("device rules are left out").count(), 1, "{told}");
    }
    Ok(())
}

/// Nobody holds these containers to their device rules.
fn device_nodes_are_closed(engine: &Engine) -> Result<()> {
    let tree = engine.scratch().join("tree");
    std::fs::create_dir_all(&tree)?;
    process::must(Command::new("mknod").arg(tree.join("zero")).args(["c", "1", "5"]))?;
    let volume = format!("{}:/nodes", tree.display());
    let script =
        "mknod /tmp/zero c 1 5; head -c 1 /nodes/zero; head -c 3 /dev/zero | wc -c; echo > /dev/null";
    let answer = run(engine, &["-v", &volume, "busybox", "sh", "-c", script]);
    assert_eq!(answer.ok(), "3", "the container has its own /dev and nothing else");
    assert!(answer.stderr.contains("mknod: /tmp/zero: Operation not permitted"), "{}", answer.stderr);
    assert!(answer.stderr.contains("head: /nodes/zero: Permission denied"), "{}", answer.stderr);

    engine.docker(&["run", "-d", "--name", "held", "busybox", "sleep", "1000"]).ok();
    let exec = engine.docker(&["exec", "held", "mknod", "/dev/disk", "b", "7", "0"]);
    assert!(exec.stderr.contains("Operation not permitted"), "{}", exec.stderr);
    let paused = engine.docker(&["pause", "held"]);
    assert!(paused.stderr.contains("no cgroup that could be frozen"), "{}", paused.stderr);

    let all = run(engine, &["--privileged", "-v", &volume, "busybox", "head", "-c", "1", "/nodes/zero"]);
    assert_eq!(all.ok(), "\0", "who may use every device is not held back");
    Ok(())
}

#[test]
fn in_a_user_namespace_containers_run() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let engine = engine_in_user_namespace("", directory.path())?;
    assert_eq!(run(&engine, &["busybox", "id", "-u"]).ok(), "0");
    assert_eq!(run(&engine, &["-t", "busybox", "tty"]).ok().trim(), "/dev/pts/0");
    // Rights of the machine, which root of a user namespace has not.
    let options = ["--oom-score-adj", "-500", "--ulimit", "nofile=99999999", "busybox", "echo", "alive"];
    let ran = run(&engine, &options);
    assert_eq!(ran.ok(), "alive");
    for words in ["OOM score -500 cannot be had here.", "Ulimit nofile of 99999999 cannot be had here."] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    Ok(())
}

#[test]
fn a_namespace_that_cannot_be_had_is_named() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let script = "for kind in net cgroup; do echo 0 > /proc/sys/user/max_${kind}_namespaces; done";
    let engine = engine_in_user_namespace(script, directory.path())?;
    let reason = "no net namespaces are allowed here (user.max_net_namespaces is 0)";
    let told = warnings(&engine);
    assert!(told.contains(reason) && !told.contains("name=cgroupns"), "{told}");

    let refused = run(&engine, &["--network", "none", "busybox", "true"]);
    assert!(refused.stderr.contains(reason), "{}", refused.stderr);
    assert_eq!(run(&engine, &["--network", "host", "busybox", "echo", "alive"]).ok(), "alive");
    Ok(())
}

#[test]
fn who_is_not_root_is_told() -> Result<()> {
    let answer =
        process::answer(Command::new("unshare").arg("--user").arg(engine::binary()?).arg("daemon"), b"")?;
    assert_eq!(answer.status, 1);
    assert!(answer.stderr.contains("dhow needs to be started with root privileges"), "{}", answer.stderr);
    Ok(())
}

/// A userland with our own program in it, which runs an engine of its own there.
const INSIDE: &str = "mkdir /tree; cp -a /bin /tree/; rm /tree/bin/dhow
    tar -C /tree -c bin | dhow import - inner >/dev/null
    dhow run --rm --memory 32m inner sh -c 'echo alive; cd /sys/fs/cgroup
        cat memory.max 2>/dev/null || cat memory/memory.limit_in_bytes'
    dhow run -d --name held inner sleep 1000 >/dev/null && dhow pause held && dhow rm -f held";

#[test]
fn inside_a_privileged_container_everything_works() -> Result<()> {
    let engine = Engine::with_busybox(&[])?;
    let program = format!("{}:/bin/dhow:ro", dhow_testkit::engine::binary()?.display());
    let options = ["--privileged", "-v", "data:/var/lib/dhow", "-v", &program];
    let answer = run(&engine, &[&options[..], &["busybox", "sh", "-c", INSIDE]].concat());
    assert!(answer.ok().ends_with("alive\n33554432\nheld\nheld"), "{}{}", answer.stdout, answer.stderr);
    Ok(())
}

/// Where version 1 has all controllers there is nothing to limit with; the rest is version 2's own.
#[test]
fn with_version_2_alone_containers_are_held_to_their_devices_frozen_and_killed() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let engine = engine_after(VERSION_2, directory.path())?;
    assert_eq!(
        engine.docker(&["info", "--format", "{{.CgroupVersion}} {{.CgroupDriver}}"]).ok(),
        "2 cgroupfs"
    );

    let script =
        "mknod /tmp/disk b 7 0 && head -c 1 /tmp/disk; mknod /tmp/zero c 1 5 && head -c 3 /tmp/zero | wc -c
        grep ^0: /proc/self/cgroup; grep -c cgroup /proc/mounts";
    let answer = run(&engine, &["busybox", "sh", "-c", script]);
    assert_eq!(answer.ok(), "3\n0::/\n1");
    assert!(answer.stderr.contains("head: /tmp/disk: Operation not permitted"), "{}", answer.stderr);

    engine.docker(&["run", "-d", "--init", "--name", "held", "busybox", "sleep", "1000"]).ok();
    engine.docker(&["pause", "held"]).ok();
    let state = ["inspect", "-f", "{{.State.Status}}", "held"];
    assert_eq!(engine.docker(&state).ok(), "paused");
    engine.docker(&["unpause", "held"]).ok();
    let exec = engine.docker(&["exec", "held", "sh", "-c", "mknod /tmp/disk b 7 0; head -c 1 /tmp/disk"]);
    assert!(exec.stderr.contains("Operation not permitted"), "{}", exec.stderr);
    engine.docker(&["pause", "held"]).ok();
    engine.docker(&["kill", "held"]).ok();
    assert_eq!(engine.docker(&["wait", "held"]).ok(), "137");
    engine.docker(&["rm", "held"]).ok();
    Ok(())
}
