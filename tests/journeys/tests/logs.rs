//! What containers write: kept, sent, read back, followed, emptied, by the stock `docker` command line and
//! our own.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use dhow_journeys::engine;
use dhow_testkit::{Engine, engine, process};

/// Waits until something is so.
fn until(what: &str, mut so: impl FnMut() -> bool) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(30);
    while !so() {
        ensure!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The files of the one container's log whose names contain `part`, sorted.
fn files(engine: &Engine, part: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut places = vec![engine.data().join("containers")];
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(place)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() && !["rw", "work"].contains(&&*entry.file_name().to_string_lossy())
            {
                places.push(entry.path());
            } else if entry.file_name().to_string_lossy().contains(part) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[test]
fn what_was_written_is_read_back_by_stream_time_and_number() -> Result<()> {
    let engine = engine()?;
    let script = "for n in 1 2 3; do echo out $n; echo err $n >&2; sleep 0.05; done; printf end";
    for driver in ["json-file", "local"] {
        engine
            .docker(&["run", "--name", driver, "--log-driver", driver, "busybox", "sh", "-c", script])
            .check()?;
        let logs = |more: &[&str]| engine.docker(&[&["logs"], more, &[driver]].concat());
        let all = logs(&[]);
        assert_eq!(all.stdout, "out 1\nout 2\nout 3\nend", "{driver}");
        assert_eq!(all.stderr, "err 1\nerr 2\nerr 3\n", "{driver}");
        let tail = logs(&["--tail", "2"]);
        assert_eq!((tail.stdout.as_str(), tail.stderr.as_str()), ("end", "err 3\n"), "{driver}");
        let timed = logs(&["-t", "--tail", "2"]);
        let third = timed.stderr.split(' ').next().context("no time")?.to_owned();
        let since = logs(&["--since", &third]);
        assert_eq!((since.stdout.as_str(), since.stderr.as_str()), ("end", "err 3\n"), "{driver}");
        let before = logs(&["--until", &third]);
        assert_eq!(before.stdout, "out 1\nout 2\nout 3\n", "{driver}");
        assert_eq!(engine.dhow(&["logs", driver]), all, "{driver}");
    }
    let none = ["run", "--name", "none", "--log-driver", "none", "busybox", "echo", "hi"];
    assert_eq!(engine.docker(&none).stdout, "hi\n");
    let refused = engine.docker(&["logs", "none"]);
    let words = "configured logging driver does not support reading";
    assert!(refused.status == 1 && refused.stderr.contains(words), "{}", refused.stderr);
    Ok(())
}

/// A line without its end was dated when it began, and written when it ended: behind later ones.
#[test]
fn a_line_that_is_long_in_coming_is_found_by_its_time() -> Result<()> {
    let engine = engine()?;
    let script = "printf early; sleep 0.2; echo later >&2; sleep 0.2; echo; printf last";
    for driver in ["json-file", "local"] {
        engine
            .docker(&["run", "--name", driver, "--log-driver", driver, "busybox", "sh", "-c", script])
            .check()?;
        let logs = |more: &[&str]| engine.docker(&[&["logs", "-t"], more, &[driver]].concat());
        let all = logs(&[]);
        let stamp = |text: &str| text.split(' ').next().map(str::to_owned).context("no time");
        let (early, later) = (stamp(&all.stdout)?, stamp(&all.stderr)?);
        assert!(later < early, "{driver}: {all:?}");
        let until = logs(&["--until", &early]);
        assert_eq!((&until.stdout, &until.stderr), (&format!("{early} early\n"), &all.stderr), "{driver}");
        assert_eq!(logs(&["--since", &early]).stdout, all.stdout, "{driver}");
        let until = logs(&["--until", &later]);
        assert_eq!((until.stdout.as_str(), &until.stderr), ("", &all.stderr), "{driver}");
    }
    Ok(())
}

#[test]
fn lines_bear_what_was_asked_for() -> Result<()> {
    let engine = engine()?;
    for driver in ["json-file", "local"] {
        engine
            .docker(&[
                "run",
                "--name",
                driver,
                "--log-driver",
                driver,
                "--label",
                "com.tier=web x",
                "-e",
                "OS=y",
                "--log-opt",
                "labels-regex=^com",
                "--log-opt",
                "env=OS,none",
                "--log-opt",
                "tag={{.Name}}!",
                "busybox",
                "echo",
                "hi",
            ])
            .check()?;
        let detailed = engine.docker(&["logs", "--details", driver]);
        assert_eq!(detailed.ok(), format!("OS=y,com.tier=web+x,tag={driver}%21 hi"));
    }
    let inspected = engine.docker(&["inspect", "-f", "{{.LogPath}}", "json-file"]);
    let text = std::fs::read_to_string(inspected.ok())?;
    let attributes = r#""attrs":{"OS":"y","com.tier":"web x","tag":"json-file!"},"time":""#;
    assert!(text.contains(attributes), "{text}");
    assert_eq!(engine.inspect("local", "{{.LogPath}}"), "");
    Ok(())
}

#[test]
fn no_log_fills_the_disk_and_a_reader_follows_through_every_rotation() -> Result<()> {
    let engine = engine()?;
    for driver in ["json-file", "local"] {
        let script =
            "n=0; while [ $n -lt 3000 ]; do echo this is line $n of many; n=$((n+1)); done; sleep 1000";
        let size = if driver == "local" { "max-size=10k" } else { "max-size=20k" };
        engine
            .docker(&[
                "run",
                "-d",
                "--name",
                driver,
                "--log-driver",
                driver,
                "--log-opt",
                size,
                "--log-opt",
                "max-file=4",
                "--log-opt",
                "compress=true",
                "busybox",
                "sh",
                "-c",
                script,
            ])
            .check()?;
        let follower = follow(&engine, driver)?;
        let last = || engine.docker(&["logs", "--tail", "1", driver]).stdout == "this is line 2999 of many\n";
        until("it does not write", last)?;
        engine.docker(&["kill", driver]).check()?;
        let followed = String::from_utf8(follower.wait_with_output()?.stdout)?;
        assert!(followed.ends_with("this is line 2999 of many\n"), "it did not follow to the end");
        // It may fall behind by more than is kept; what it shows is in order, and each line once.
        let numbers: Vec<u32> = followed.lines().map(number).collect::<Result<_>>()?;
        assert!(numbers.is_sorted_by(|one, next| one < next), "{driver}: lines come twice");
        let names = files(&engine, if driver == "local" { "container.log" } else { "-json.log" })?;
        let compressed = names.iter().filter(|name| name.extension().is_some_and(|end| end == "gz")).count();
        assert_eq!((names.len(), compressed), (4, 3), "{names:?}");
        let read = engine.docker(&["logs", driver]).stdout;
        assert!(read.lines().count() > 500 && followed.ends_with(&read), "{driver}");
        engine.docker(&["rm", "-f", driver]).check()?;
    }
    Ok(())
}

fn follow(engine: &Engine, name: &str) -> Result<std::process::Child> {
    let mut command = Command::new("docker");
    command.args(["logs", "-f", name]).env("DOCKER_HOST", engine.host()).stdout(Stdio::piped());
    Ok(command.spawn()?)
}

/// `this is line 7 of many`.
fn number(line: &str) -> Result<u32> {
    Ok(line.split(' ').nth(3).with_context(|| format!("no such line: {line:?}"))?.parse()?)
}

#[test]
fn a_damaged_log_is_read_up_to_the_damage_and_past_it() -> Result<()> {
    let engine = engine()?;
    for driver in ["json-file", "local"] {
        let run =
            ["run", "--name", driver, "--log-driver", driver, "busybox", "sh", "-c", "echo one; echo two"];
        engine.docker(&run).check()?;
        let name = if driver == "local" { "container.log" } else { "-json.log" };
        let file = files(&engine, name)?.pop().context("no log")?;
        let mut text = std::fs::read(&file)?;
        // As a power cut may leave it: a hole, and half an entry.
        text.extend_from_slice(&[0; 3000]);
        text.extend_from_within(..20);
        std::fs::write(&file, text)?;
        assert_eq!(engine.docker(&["logs", driver]).ok(), "one\ntwo");
        engine.docker(&["start", "-a", driver]).check()?;
        assert_eq!(engine.docker(&["logs", driver]).ok(), "one\ntwo\none\ntwo", "{driver}");
        engine.docker(&["rm", driver]).check()?;
    }
    Ok(())
}

#[test]
fn a_log_is_emptied_while_it_is_written_and_followed() -> Result<()> {
    let engine = engine()?;
    let script = "echo before; until [ -e /go ]; do sleep 0.05; done; echo after; sleep 1000";
    let run = ["run", "-d", "--name", "it", "busybox", "sh", "-c", script];
    engine.docker(&run).check()?;
    until("it does not write", || engine.docker(&["logs", "it"]).stdout == "before\n")?;
    let follower = follow(&engine, "it")?;
    assert!(engine.dhow(&["system", "df", "-v"]).ok().contains("it        json-file"));
    engine.dhow(&["logs", "--clear", "it"]).check()?;
    assert_eq!(engine.docker(&["logs", "it"]).stdout, "");
    engine.docker(&["exec", "it", "touch", "/go"]).check()?;
    until("it does not go on", || engine.docker(&["logs", "it"]).stdout == "after\n")?;
    engine.docker(&["rm", "-f", "it"]).check()?;
    let followed = String::from_utf8(follower.wait_with_output()?.stdout)?;
    assert!(followed.ends_with("after\n"), "{followed:?}");
    let nobody = engine.dhow(&["logs", "--clear", "nobody"]);
    assert!(nobody.status == 1 && nobody.stderr.contains("No such container: nobody"), "{}", nobody.stderr);
    Ok(())
}

#[test]
fn a_syslog_server_gets_every_line_and_logs_can_be_read_all_the_same() -> Result<()> {
    let engine = engine()?;
    let listener = engine.in_network(|| TcpListener::bind("127.0.0.1:0"))?;
    let address = format!("syslog-address=tcp://{}", listener.local_addr()?);
    engine
        .docker(&[
            "run",
            "--name",
            "sent",
            "--log-driver",
            "syslog",
            "--log-opt",
            &address,
            "--log-opt",
            "syslog-format=rfc5424",
            "--log-opt",
            "syslog-facility=local0",
            "--log-opt",
            "tag={{.Name}}",
            "busybox",
            "sh",
            "-c",
            "echo one; echo two >&2",
        ])
        .check()?;
    let (peer, _) = listener.accept()?;
    let lines: Vec<String> = BufReader::new(peer).lines().collect::<std::io::Result<_>>()?;
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, priority, end) in [(&lines[0], "<134>1 ", "sent - one"), (&lines[1], "<131>1 ", "sent - two")]
    {
        assert!(line.starts_with(priority) && line.ends_with(end), "{line}");
    }
    let read = engine.docker(&["logs", "sent"]);
    assert_eq!((read.stdout.as_str(), read.stderr.as_str()), ("one\n", "two\n"));
    let cached = engine.docker(&[
        "run",
        "--name",
        "kept",
        "--log-driver",
        "syslog",
        "--log-opt",
        &address,
        "--log-opt",
        "cache-disabled=true",
        "busybox",
        "echo",
        "hi",
    ]);
    cached.check()?;
    let refused = engine.docker(&["logs", "kept"]);
    let words = "configured logging driver does not support reading";
    assert!(refused.status == 1 && refused.stderr.contains(words), "{}", refused.stderr);
    drop(listener);
    let gone = ["run", "--name", "gone", "--log-driver", "syslog", "--log-opt", &address, "busybox", "true"];
    let gone = engine.docker(&gone);
    let words = "failed to initialize logging driver: dial tcp 127.0.0.1";
    assert!(gone.stderr.contains(words) && gone.stderr.contains("connection refused"), "{}", gone.stderr);
    assert_eq!(engine.inspect("gone", "{{.State.Status}}"), "created");
    Ok(())
}

#[test]
fn a_server_that_hangs_holds_up_only_who_waits_for_it() -> Result<()> {
    let engine = engine()?;
    let listener = engine.in_network(|| TcpListener::bind("127.0.0.1:0"))?;
    let address = format!("syslog-address=tcp://{}", listener.local_addr()?);
    // 40 MB, more than sockets hold: nobody reads them.
    let script = "yes a line that nobody ever takes | head -n 1300000; echo done > /done; sleep 1000";
    for (name, mode) in [("waits", "mode=blocking"), ("drops", "mode=non-blocking")] {
        engine
            .docker(&[
                "run",
                "-d",
                "--name",
                name,
                "--log-driver",
                "syslog",
                "--log-opt",
                &address,
                "--log-opt",
                mode,
                "--log-opt",
                "cache-disabled=true",
                "busybox",
                "sh",
                "-c",
                script,
            ])
            .check()?;
    }
    let is_done = |name| engine.docker(&["exec", name, "cat", "/done"]).status == 0;
    until("it is held up by the server", || is_done("drops"))?;
    ensure!(!is_done("waits"), "it did not wait for the server");
    // Whoever waits can be looked at and ended.
    engine.docker(&["exec", "waits", "true"]).check()?;
    let begun = Instant::now();
    engine.docker(&["rm", "-f", "waits", "drops"]).check()?;
    ensure!(begun.elapsed() < Duration::from_secs(20), "the server held up the end");
    Ok(())
}

/// An engine whose journal is a socket in `directory`.
fn engine_with_journal(directory: &Path) -> Result<Engine> {
    let program = directory.join("dhow");
    let script = format!(
        "#!/bin/sh\nexec unshare --mount --propagation private sh -c 'set -e
        mount -t tmpfs none /run; mkdir -p /run/systemd/journal
        mount --bind {} /run/systemd/journal; exec {} \"$@\"' sh \"$@\"\n",
        directory.display(),
        engine::binary()?.display()
    );
    std::fs::write(&program, script)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    let engine = Engine::start_binary(&program, &[])?;
    engine.import_busybox()?;
    Ok(engine)
}

#[test]
fn the_journal_gets_every_line_with_its_fields() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let socket = UnixDatagram::bind(directory.path().join("socket"))?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    let engine = engine_with_journal(directory.path())?;
    engine
        .docker(&[
            "run",
            "--name",
            "web",
            "--label",
            "tier=front",
            "--log-driver",
            "journald",
            "--log-opt",
            "labels=tier",
            "busybox",
            "sh",
            "-c",
            "echo out; echo err >&2",
        ])
        .check()?;
    for (message, priority, ordinal) in [("out", "6", "1"), ("err", "3", "2")] {
        let mut buffer = [0; 10_000];
        let length = socket.recv(&mut buffer)?;
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        for field in [
            format!("MESSAGE={message}"),
            format!("PRIORITY={priority}"),
            format!("CONTAINER_LOG_ORDINAL={ordinal}"),
            "CONTAINER_NAME=web".into(),
            "IMAGE_NAME=busybox".into(),
            "TIER=front".into(),
        ] {
            assert!(text.lines().any(|line| line == field), "{field}\n{text}");
        }
    }
    let read = engine.docker(&["logs", "web"]);
    assert_eq!((read.stdout.as_str(), read.stderr.as_str()), ("out\n", "err\n"));
    Ok(())
}

#[test]
fn without_a_journal_its_driver_is_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let engine = engine_with_journal(directory.path())?;
    let refused = engine.docker(&["run", "--log-driver", "journald", "busybox", "true"]);
    assert!(refused.stderr.contains("journald is not enabled on this host"), "{}", refused.stderr);
    Ok(())
}

#[test]
fn drivers_and_options_are_refused_in_dockers_words() -> Result<()> {
    let engine = engine()?;
    for (arguments, words) in [
        (&["--log-driver", "gelf"][..], "logger: no log driver named 'gelf' is registered"),
        (&["--log-driver", "mine"], "error looking up logging plugin mine: plugin \"mine\" not found"),
        (&["--log-opt", "nope=1"], "unknown log opt 'nope' for json-file log driver"),
        (&["--log-opt", "max-size=ten"], "failed to initialize logging driver: invalid size: 'ten'"),
        (&["--log-opt", "mode=often"], "logger: logging mode not supported: often"),
    ] {
        let answer = engine.docker(&[&["create"], arguments, &["busybox"]].concat());
        assert!(answer.status == 1 && answer.stderr.contains(words), "{arguments:?}: {}", answer.stderr);
    }
    assert_eq!(engine.docker(&["ps", "-aq"]).ok(), "");
    let drivers = engine.docker(&["info", "-f", "{{json .Plugins.Log}}"]);
    assert_eq!(drivers.ok(), r#"["journald","json-file","local","none","syslog"]"#);
    Ok(())
}

#[test]
fn the_engine_has_defaults_for_logs() -> Result<()> {
    let flags = ["--log-driver", "local", "--log-opt", "max-size=1m", "--log-opt", "cache-max-file=2"];
    let engine = Engine::with_busybox(&flags)?;
    engine.docker(&["create", "--name", "own", "--log-opt", "max-size=2m", "busybox"]).check()?;
    let config = |name| engine.inspect(name, "{{json .HostConfig.LogConfig}}");
    assert_eq!(config("own"), r#"{"Type":"local","Config":{"cache-max-file":"2","max-size":"2m"}}"#);
    engine.docker(&["create", "--name", "other", "--log-driver", "json-file", "busybox"]).check()?;
    assert_eq!(config("other"), r#"{"Type":"json-file","Config":{"cache-max-file":"2"}}"#);
    assert_eq!(engine.docker(&["info", "-f", "{{.LoggingDriver}}"]).ok(), "local");
    let wrong = process::answer(
        Command::new(engine::binary()?).args(["daemon", "--validate", "--log-driver", "gelf"]),
        b"",
    )?;
    assert!(wrong.status != 0 && wrong.stderr.contains("no log driver named 'gelf'"), "{}", wrong.stderr);
    Ok(())
}
