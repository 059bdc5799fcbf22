//! Life of containers, seen by the stock `docker` command line and by our own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use dhow_journeys::engine;
use dhow_testkit::process;

#[test]
fn what_a_container_changes_stays_in_its_own_layer() -> Result<()> {
    let engine = engine()?;
    let script = "echo hi > /new; rm /etc/group; echo more >> /etc/passwd";
    engine.dhow(&["run", "--name", "one", "busybox", "sh", "-c", script]).ok();
    let diff = engine.dhow(&["diff", "one"]);
    assert_eq!(diff.ok(), "C /etc\nD /etc/group\nC /etc/passwd\nA /new");
    assert_eq!(
        engine.dhow(&["run", "--rm", "busybox", "ls", "/etc"]).ok(),
        "group\nhostname\nhosts\nmtab\npasswd\nresolv.conf"
    );
    Ok(())
}

#[test]
fn both_command_lines_see_the_same() -> Result<()> {
    let engine = engine()?;
    let arguments = ["run", "--rm", "-e", "A=b", "-w", "/tmp", "busybox", "sh", "-c", "echo $A $PWD; exit 3"];
    for answer in [engine.dhow(&arguments), engine.docker(&arguments)] {
        assert_eq!((answer.status, answer.stdout.as_str()), (3, "b /tmp\n"), "{}", answer.stderr);
    }
    Ok(())
}

#[test]
fn exit_codes_tell_what_happened() -> Result<()> {
    let engine = engine()?;
    for (command, status, words) in [
        (&["true"][..], 0, ""),
        (&["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137, ""),
        (&["/no/such/program"], 127, "no such file or directory"),
        (&["no-such-program"], 127, "executable file not found in $PATH"),
        (&["/etc/passwd"], 126, "permission denied"),
    ] {
        for program in ["docker", "dhow"] {
            let arguments: Vec<&str> =
                ["run", "--rm", "busybox"].into_iter().chain(command.iter().copied()).collect();
            let answer =
                if program == "docker" { engine.docker(&arguments) } else { engine.dhow(&arguments) };
            assert_eq!(answer.status, status, "{program} {command:?}: {}", answer.stderr);
            assert!(answer.stderr.contains(words), "{program} {command:?}: {}", answer.stderr);
        }
    }
    let missing = engine.docker(&["start", "nobody"]);
    assert_eq!(missing.status, 1);
    assert!(missing.stderr.contains("No such container: nobody"), "{}", missing.stderr);
    Ok(())
}

#[test]
fn a_name_is_taken_once() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["create", "--name", "solo", "busybox"]).ok();
    let again = engine.docker(&["create", "--name", "solo", "busybox"]);
    assert_eq!(again.status, 1);
    assert!(
        again.stderr.contains("Conflict. The container name \"/solo\" is already in use by container"),
        "{}",
        again.stderr
    );
    Ok(())
}

#[test]
fn stopping_asks_first_and_then_insists() -> Result<()> {
    let engine = engine()?;
    engine
        .docker(&[
            "run",
            "-d",
            "--name",
            "polite",
            "busybox",
            "sh",
            "-c",
            "trap 'exit 7' TERM; sleep 1000 & wait",
        ])
        .ok();
    engine.docker(&["stop", "polite"]).ok();
    assert_eq!(engine.inspect("polite", "{{.State.Status}} {{.State.ExitCode}}"), "exited 7");
    engine.docker(&["run", "-d", "--name", "deaf", "busybox", "sleep", "1000"]).ok();
    engine.docker(&["stop", "-t", "1", "deaf"]).ok();
    assert_eq!(engine.inspect("deaf", "{{.State.ExitCode}}"), "137");
    engine.docker(&["start", "polite"]).ok();
    assert_eq!(engine.inspect("polite", "{{.State.Running}}"), "true");
    Ok(())
}

#[test]
fn input_reaches_the_container_and_its_end_too() -> Result<()> {
    let engine = engine()?;
    for program in ["docker", "dhow"] {
        let path = if program == "docker" { "docker".into() } else { dhow_testkit::engine::binary()? };
        let answer = engine.client(&path, &["run", "--rm", "-i", "busybox", "cat"], b"over the sea\n");
        assert_eq!(answer.ok(), "over the sea", "{program}");
    }
    Ok(())
}

#[test]
fn who_writes_on_when_nobody_reads_still_learns_the_exit_code() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["run", "-d", "--name", "busy", "--network", "none", "busybox", "sleep", "1000"]).ok();
    for verb in ["run -i --rm --network none busybox", "exec -i busy"] {
        let words = verb.split(' ').chain(["sh", "-c", "head -n 1; exit 6"]);
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", engine.host()).args(words);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut input = child.stdin.take().context("no input")?;
        let writing = std::thread::spawn(move || while input.write_all(b"y\n").is_ok() {});
        let output = child.wait_with_output()?;
        ensure!(output.status.code() == Some(6) && output.stdout == b"y\n", "{verb}: {output:?}");
        assert!(writing.join().is_ok());
    }
    Ok(())
}

#[test]
fn only_what_goes_with_its_end_owes_the_disk_nothing() -> Result<()> {
    let engine = engine()?;
    let root = |flags: &[&str]| {
        let run = [&["run"], flags, &["busybox", "grep", " / ", "/proc/mounts"]].concat();
        engine.docker(&run).ok().to_owned()
    };
    ensure!(root(&["--rm"]).contains("volatile"), "its writable layer is synced for nobody");
    ensure!(!root(&[]).contains("volatile"), "what is kept is lost in a power cut");
    Ok(())
}

#[test]
fn logs_are_kept_by_stream_and_time() -> Result<()> {
    let engine = engine()?;
    engine
        .docker(&["run", "--name", "talker", "busybox", "sh", "-c", "echo out; echo end; echo err >&2"])
        .ok();
    let logs = engine.docker(&["logs", "talker"]);
    assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("out\nend\n", "err\n"));
    assert_eq!(engine.docker(&["logs", "--tail", "3", "talker"]).ok(), "out\nend");
    let stamped = engine.docker(&["logs", "-t", "talker"]);
    assert!(stamped.ok().ends_with("Z end"), "{}", stamped.stdout);
    Ok(())
}

#[test]
fn exec_runs_beside_the_first_process() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["run", "-d", "--name", "host", "busybox", "sleep", "1000"]).ok();
    assert_eq!(
        engine.docker(&["exec", "-e", "X=1", "host", "sh", "-c", "echo $X; cat /proc/1/comm"]).ok(),
        "1\nsleep"
    );
    assert_eq!(engine.docker(&["exec", "host", "sh", "-c", "exit 9"]).status, 9);
    assert_eq!(engine.docker(&["exec", "host", "no-such-program"]).status, 127);
    assert_eq!(
        engine.docker(&["exec", "-u", "web", "host", "id"]).ok(),
        "uid=1000(web) gid=1000(web) groups=29(audio),44(video),1000(web)"
    );
    Ok(())
}

#[test]
fn files_are_copied_in_and_out() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["create", "--name", "box", "busybox"]).ok();
    let file = engine.scratch().join("cargo");
    std::fs::write(&file, "spices")?;
    engine.docker(&["cp", &file.display().to_string(), "box:/tmp/hold"]).ok();
    let back = engine.scratch().join("back");
    engine.docker(&["cp", "box:/tmp/hold", &back.display().to_string()]).ok();
    assert_eq!(std::fs::read_to_string(back)?, "spices");
    let missing = engine.docker(&["cp", "box:/no/where", "/tmp/x"]);
    assert!(
        missing.stderr.contains("Could not find the file /no/where in container box"),
        "{}",
        missing.stderr
    );
    Ok(())
}

#[test]
fn volumes_outlive_their_containers_and_begin_with_what_the_image_has() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["run", "--rm", "-v", "hold:/etc", "busybox", "sh", "-c", "echo x > /etc/mark"]).ok();
    let seen =
        engine.docker(&["run", "--rm", "-v", "hold:/mnt:ro", "busybox", "cat", "/mnt/mark", "/mnt/group"]);
    assert!(seen.ok().starts_with("x\nroot:x:0:"), "{}", seen.stdout);
    let refused = engine.docker(&["run", "--rm", "-v", "hold:/mnt:ro", "busybox", "touch", "/mnt/new"]);
    assert!(refused.stderr.contains("Read-only file system"), "{}", refused.stderr);
    assert_eq!(engine.docker(&["volume", "ls", "-q"]).ok(), "hold");
    Ok(())
}

#[test]
fn pausing_freezes_every_process() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["run", "-d", "--name", "clock", "busybox", "sleep", "1000"]).ok();
    engine.docker(&["pause", "clock"]).ok();
    assert_eq!(engine.inspect("clock", "{{.State.Status}}"), "paused");
    let refused = engine.docker(&["exec", "clock", "true"]);
    assert!(refused.stderr.contains("is paused, unpause the container before exec"), "{}", refused.stderr);
    engine.docker(&["unpause", "clock"]).ok();
    engine.docker(&["exec", "clock", "true"]).ok();
    Ok(())
}

#[test]
fn an_init_passes_signals_on_reaps_orphans_and_ends_as_the_program_does() -> Result<()> {
    let engine = engine()?;
    let run = |script: &str| {
        let arguments = ["run", "--rm", "--init", "--network", "none", "busybox", "sh", "-c", script];
        engine.dhow(&arguments)
    };
    assert_eq!(run("exit 7").status, 7);
    assert_eq!(run("kill -9 $$").status, 137);
    assert_eq!(run("nosuchprogram").status, 127);
    // Children of a child that is gone: without an init they stay as zombies.
    let orphans = run(
        "for i in 1 2 3; do sh -c 'sleep 0 & exit'; done; sleep 0.3; grep -l zombie /proc/[0-9]*/status; echo $$",
    );
    assert_eq!(orphans.stdout, "2\n", "the program is the second process: {}", orphans.stderr);
    // As process 1 a sleep would not hear SIGTERM, and be killed after ten seconds.
    engine
        .dhow(&["run", "-d", "--init", "--name", "waits", "--network", "none", "busybox", "sleep", "1000"])
        .ok();
    engine.dhow(&["stop", "waits"]).ok();
    assert_eq!(engine.dhow(&["inspect", "-f", "{{.State.ExitCode}}", "waits"]).ok(), "143");
    Ok(())
}

/// Its root is no longer the container's, and commands run beside it all the same.
#[test]
fn a_program_may_change_its_root() -> Result<()> {
    let engine = engine()?;
    let script = "mkdir -p /r/bin && cp /bin/busybox /r/bin && exec chroot /r /bin/busybox sh -c 'echo up; exec /bin/busybox sleep 600'";
    engine.dhow(&["run", "-d", "--name", "elsewhere", "busybox", "sh", "-c", script]).ok();
    while engine.dhow(&["logs", "elsewhere"]).stdout != "up\n" {}
    assert_eq!(engine.dhow(&["exec", "-u", "web", "elsewhere", "id", "-un"]).ok(), "web");
    let tar = engine.scratch().join("elsewhere.tar");
    engine.dhow(&["export", "-o", &tar.display().to_string(), "elsewhere"]).ok();
    assert!(process::must(Command::new("tar").arg("-tf").arg(&tar))?.contains("r/bin/busybox"));
    Ok(())
}

/// A signal to the command is one to the container, but with `--sig-proxy=false` the command's own end alone.
#[test]
fn signals_are_the_containers_unless_that_is_not_wanted() -> Result<()> {
    let engine = engine()?;
    let script = "trap 'echo got; exit 7' TERM; echo up; while :; do sleep 0.02; done";
    for (proxied, ends, state) in [("true", Some(7), "exited 7"), ("false", None, "running 0")] {
        let name = format!("proxy-{proxied}");
        let flag = format!("--sig-proxy={proxied}");
        let mut command = Command::new(engine.binary());
        command.args(["run", "--name", &name, &flag, "busybox", "sh", "-c", script]);
        let mut child = command.env("DOCKER_HOST", engine.host()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        assert_eq!(lines.next().transpose()?.as_deref(), Some("up"));
        process::must(Command::new("kill").arg("-TERM").arg(child.id().to_string()))?;
        let ended = child.wait()?;
        assert_eq!(ended.code(), ends, "{proxied}");
        let inspected = engine.dhow(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", &name]);
        assert_eq!(inspected.ok(), state, "{proxied}");
    }
    Ok(())
}
