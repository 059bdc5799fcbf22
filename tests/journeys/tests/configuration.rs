//! Flags and daemon.json, reloading, and how an engine begins and ends.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use dhow_testkit::process::{self, Answer};
use dhow_testkit::{Engine, until};
use tempfile::TempDir;

/// `dhow daemon` with these flags, which ends at once.
fn daemon(flags: &[&str]) -> Result<Answer> {
    let mut command = Command::new(dhow_testkit::engine::binary()?);
    process::answer(command.arg("daemon").args(flags), b"")
}

/// `dhow daemon --validate` with this file.
fn validate(text: &str, flags: &[&str]) -> Result<Answer> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("daemon.json");
    std::fs::write(&file, text)?;
    let file = file.display().to_string();
    daemon(&[&["--validate", "--config-file", &file][..], flags].concat())
}

fn signal(engine: &Engine, name: &str) -> Result<()> {
    let pid = engine.pid().context("no engine")?.to_string();
    process::must(Command::new("kill").args(["-s", name, &pid])).map(drop)
}

#[test]
fn a_good_file_is_good_and_starts_nothing() -> Result<()> {
    let text = r#"{
        "debug": true, "labels": ["a=b"], "log-level": "warn", "log-format": "json", "live-restore": true,
        "log-driver": "json-file", "log-opts": {"max-size": "1m"}, "default-shm-size": "128m",
        "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 64, "Soft": 32}}, "dns": ["10.0.0.1"],
        "storage-driver": "overlay2", "exec-opts": ["native.cgroupdriver=cgroupfs"], "shutdown-timeout": 30,
        "max-concurrent-downloads": 6, "runtimes": {"mine": {"path": "/bin/true"}}, "init": false
    }"#;
    assert_eq!(validate(text, &[])?.ok(), "configuration OK");
    assert_eq!(validate("", &[])?.ok(), "configuration OK");
    assert_eq!(validate("\u{feff}{}", &[])?.ok(), "configuration OK");
    Ok(())
}

#[test]
fn a_file_of_dockerds_starts_this_engine_and_it_is_told_what_has_no_effect() -> Result<()> {
    let text = r#"{
        "features": {"buildkit": true}, "experimental": true, "builder": {"gc": {"enabled": true}},
        "insecure-registries": ["r:5000"], "registry-mirrors": [], "min-api-version": "1.24",
        "selinux-enabled": false, "containerd": "/run/containerd/containerd.sock", "userns-remap": "",
        "exec-opts": ["native.cgroupdriver=systemd"], "host-gateway-ip": "10.9.8.7",
        "storage-opts": ["overlay2.override_kernel_check=true"],
        "runtimes": {
            "shim": {"runtimeType": "io.containerd.kata.v2"},
            "mine": {"runtimeType": "io.containerd.runc.v2", "options": {"BinaryName": "/bin/true"}}
        }
    }"#;
    let answer = validate(text, &[])?;
    assert_eq!((answer.status, answer.stdout.trim()), (0, "configuration OK"), "{answer:?}");
    let mut told: Vec<&str> = answer.stderr.lines().collect();
    let keys =
        ["builder", "containerd", "experimental", "features", "insecure-registries", "min-api-version"];
    let mut expected: Vec<String> = keys.map(|key| format!("warning: {key} has no effect")).into();
    expected.push("warning: overlay2.override_kernel_check has no effect".into());
    expected
        .push("warning: native.cgroupdriver=systemd has no effect: cgroups are made without systemd".into());
    expected.push(
        "warning: runtime 'shim' is one of containerd's shims: containers that ask for it are refused".into(),
    );
    told.sort_unstable();
    expected.sort_unstable();
    assert_eq!(told, expected);
    let (engine, _folder) = with_file(text)?;
    assert!(std::fs::read_to_string(engine.log())?.contains("features has no effect"));
    let runtimes = engine.docker(&["info", "-f", "{{json .Runtimes}}"]);
    assert!(runtimes.stdout.contains("mine") && !runtimes.stdout.contains("shim"), "{runtimes:?}");
    Ok(())
}

#[test]
fn values_that_cannot_be_are_told_in_dockerds_words() -> Result<()> {
    for (text, words) in [
        (r#"{"dns": ["x"]}"#, "x is not an ip address"),
        (r#"{"dns-search": ["a b"]}"#, "a b is not a valid domain"),
        (r#"{"max-download-attempts": 0}"#, "invalid max download attempts: 0"),
        (
            r#"{"default-ulimits": {"nofile": {"Name": "nofile", "Hard": 10, "Soft": 20}}}"#,
            "ulimit soft limit must be less than or equal to hard limit: 20 > 10",
        ),
        (r#"{"selinux-enabled": true}"#, "the following directives are not supported yet: selinux-enabled"),
    ] {
        let refused = validate(text, &[])?;
        assert!(refused.status == 1 && refused.stderr.contains(words), "{text}: {refused:?}");
    }
    Ok(())
}

#[test]
fn flags_with_nothing_behind_them_are_told_or_refused() -> Result<()> {
    for name in ["--rootless", "--selinux-enabled"] {
        let flag = daemon(&[name])?;
        let words = format!("{name} is not supported yet");
        assert!(flag.status == 125 && flag.stderr.contains(&words), "{flag:?}");
    }
    // Units of dockerd have this one.
    let told = validate("{}", &["--containerd=/run/containerd/containerd.sock", "--rootless=false"])?;
    assert!(told.status == 0 && told.stderr.contains("--containerd has no effect"), "{told:?}");
    Ok(())
}

#[test]
fn what_is_wrong_in_a_file_is_told_in_dockerds_words() -> Result<()> {
    for (text, flags, words) in [
        ("{", &[][..], "invalid JSON: "),
        ("[]", &[], "invalid JSON: "),
        (
            r#"{"bogus": 1, "other": 2}"#,
            &[],
            "the following directives don't match any configuration option: bogus, other",
        ),
        (r#"{"rootless": true}"#, &[], "the following directives are not supported yet: rootless"),
        (r#"{"bip": "10.0.0.1"}"#, &[], "bip: invalid CIDR address: 10.0.0.1"),
        (
            r#"{"bridge": "br0", "bip": "10.0.0.1/24"}"#,
            &[],
            "You specified -b & --bip, mutually exclusive options",
        ),
        (r#"{"ip6tables": false}"#, &[], "ip6tables: rules are made for both versions of IP"),
        (
            r#"{"hosts": ["tcp://127.0.0.1:2376"]}"#,
            &["-H", "unix:///run/a.sock"],
            "the following directives are specified both as a flag and in the configuration file: hosts: (from flag: \
             [unix:///run/a.sock], from file: [tcp://127.0.0.1:2376])",
        ),
        (
            r#"{"labels": ["a=b"], "debug": false}"#,
            &["--debug", "--label", "c=d"],
            "debug: (from flag: true, from file: false), labels: (from flag: [c=d], from file: [a=b])",
        ),
        (r#"{"labels": ["a=b", "a=c"]}"#, &[], "conflict labels for a=c and a=b"),
        (r#"{"labels": ["a"]}"#, &[], "bad attribute format: a"),
        (r#"{"log-level": "loud"}"#, &[], "invalid logging level: loud"),
        (r#"{"log-format": "xml"}"#, &[], "invalid log format: xml"),
        (r#"{"max-concurrent-downloads": -1}"#, &[], "invalid max concurrent downloads: -1"),
        (r#"{"default-stop-timeout": -1}"#, &[], "invalid default stop timeout: -1"),
        (r#"{"storage-driver": "btrfs"}"#, &[], "driver not supported: btrfs"),
        (
            r#"{"hosts": ["gopher://x"]}"#,
            &[],
            "invalid bind address (gopher://x): unsupported proto 'gopher'",
        ),
        (r#"{"runtimes": {"dhow": {"path": "/bin/true"}}}"#, &[], "runtime name 'dhow' is reserved"),
        (r#"{"default-ipc-mode": "host"}"#, &[], "IPC mode \"host\" is not supported as default value"),
        (
            r#"{"default-cgroupns-mode": "x"}"#,
            &[],
            "invalid default cgroup namespace (x): use \"host\" or \"private\"",
        ),
        (r#"{"default-runtime": "mine"}"#, &[], "specified default runtime 'mine' does not exist"),
        (r#"{"tlsverify": true, "tlscert": "/no/such/file"}"#, &[], "could not load X509 key pair"),
    ] {
        let refused = validate(text, flags)?;
        assert!(refused.status == 1 && refused.stderr.contains(words), "{text} {flags:?}: {refused:?}");
    }
    let missing = daemon(&["--validate", "--config-file", "/no/such/file"])?;
    let words = "unable to configure the Docker daemon with file /no/such/file: open /no/such/file: no such file or directory";
    assert!(missing.stderr.contains(words), "{}", missing.stderr);
    Ok(())
}

/// An engine with a file of its own.
fn with_file(text: &str) -> Result<(Engine, TempDir)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("daemon.json");
    std::fs::write(&file, text)?;
    let engine = Engine::start_with(&["--config-file", &file.display().to_string()])?;
    Ok((engine, folder))
}

#[test]
fn a_reload_takes_what_dockerd_takes_and_tells_of_it() -> Result<()> {
    let (engine, folder) = with_file(r#"{"labels": ["a=b"], "dns": ["10.0.0.1"]}"#)?;
    let info = |format: &str| engine.docker(&["info", "-f", format]).ok().to_owned();
    assert_eq!(info("{{.Debug}} {{.Labels}} {{.LiveRestoreEnabled}}"), "false [a=b] true");
    let text = r#"{
        "labels": ["c=d"], "debug": true, "live-restore": false, "shutdown-timeout": 7, "dns": ["10.0.0.2"],
        "max-concurrent-uploads": 9, "runtimes": {"mine": {"path": "/bin/true"}}
    }"#;
    std::fs::write(folder.path().join("daemon.json"), text)?;
    signal(&engine, "HUP")?;
    until("nothing was reloaded", || {
        info("{{.Debug}} {{.Labels}} {{.LiveRestoreEnabled}}") == "true [c=d] false"
    })?;
    let format = "{{.Type}} {{.Action}} {{json .Actor.Attributes}}";
    let mut told = String::new();
    until("the reload is not told", || {
        told = engine.docker(&["events", "--since", "1h", "--until", "0s", "--format", format]).stdout;
        told.contains("daemon reload ")
    })?;
    let attributes = told.lines().find_map(|line| line.strip_prefix("daemon reload ")).unwrap_or_default();
    let attributes: serde_json::Value = serde_json::from_str(attributes)?;
    for (key, value) in [
        ("debug", "true"),
        ("labels", r#"["c=d"]"#),
        ("live-restore", "false"),
        ("shutdown-timeout", "7"),
        ("max-concurrent-uploads", "9"),
        ("max-concurrent-downloads", "3"),
        ("runtimes", "mine:/bin/true"),
    ] {
        assert_eq!(attributes[key], value, "{key}");
    }
    assert!(attributes["name"].is_string());
    let log = std::fs::read_to_string(engine.log())?;
    assert!(log.contains("Reloaded configuration"), "{log}");
    assert!(log.contains("dns, dns-opts or dns-search has changed: it is taken by the next start"), "{log}");
    Ok(())
}

#[test]
fn a_reload_of_a_broken_file_changes_nothing() -> Result<()> {
    let (engine, folder) = with_file(r#"{"labels": ["a=b"]}"#)?;
    std::fs::write(folder.path().join("daemon.json"), r#"{"labels": ["c=d"], "bogus": 1}"#)?;
    signal(&engine, "HUP")?;
    let log = || std::fs::read_to_string(engine.log()).unwrap_or_default();
    until("the error is not told", || {
        log().contains("Error reloading configuration: ") && log().contains("any configuration option: bogus")
    })?;
    assert_eq!(engine.docker(&["info", "-f", "{{.Labels}}"]).ok(), "[a=b]");
    Ok(())
}

#[test]
fn containers_have_the_defaults_of_their_engine() -> Result<()> {
    let (engine, _folder) = with_file(
        r#"{"default-ipc-mode": "shareable", "default-cgroupns-mode": "host", "default-shm-size": 1048576, "init": true,
            "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 64, "Soft": 32}}, "no-new-privileges": true}"#,
    )?;
    engine.import_busybox()?;
    engine.docker(&["create", "--name", "it", "busybox", "true"]).ok();
    let format = "{{.HostConfig.IpcMode}} {{.HostConfig.CgroupnsMode}} {{.HostConfig.ShmSize}}";
    assert_eq!(engine.inspect("it", format), "shareable host 1048576");
    let script = "ulimit -n; grep NoNewPrivs /proc/self/status; cat /proc/1/comm";
    let shown = engine.docker(&["run", "--rm", "busybox", "sh", "-c", script]);
    assert_eq!(shown.ok().split_whitespace().take(3).collect::<Vec<_>>(), ["32", "NoNewPrivs:", "1"]);
    assert!(!shown.stdout.ends_with("sh\n"), "the first process is the small init: {}", shown.stdout);
    Ok(())
}

#[test]
fn messages_are_json_when_they_are_asked_for() -> Result<()> {
    let engine = Engine::start_with(&["--log-format", "json", "--log-level", "debug"])?;
    engine.docker(&["ps"]).ok();
    let log = std::fs::read_to_string(engine.log())?;
    let levels: Vec<String> = log
        .lines()
        .map(|line| Ok(serde_json::from_str::<serde_json::Value>(line)?["level"].to_string()))
        .collect::<Result<_>>()?;
    assert!(levels.iter().any(|level| level == "\"DEBUG\""), "{log}");
    Ok(())
}

#[test]
fn one_engine_has_a_pid_file_and_a_data_directory() -> Result<()> {
    let engine = Engine::start()?;
    let (pidfile, data) = (engine.scratch().join("pid"), engine.data());
    assert_eq!(std::fs::read_to_string(&pidfile)?, engine.pid().unwrap_or_default().to_string());
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let second = |pidfile: &Path, data: &Path| {
        let (pidfile, data) = (pidfile.display().to_string(), data.display().to_string());
        let host = format!("unix://{}", path("socket"));
        daemon(&["--pidfile", &pidfile, "--data-root", &data, "--exec-root", &path("run"), "-H", &host])
    };
    let same_file = second(&pidfile, &folder.path().join("data"))?;
    let words = format!(
        "failed to start daemon, ensure docker is not running or delete {}: process with PID {} is still running",
        pidfile.display(),
        engine.pid().unwrap_or_default()
    );
    assert!(same_file.status == 1 && same_file.stderr.contains(&words), "{same_file:?}");
    let same_data = second(&folder.path().join("pid"), &data)?;
    assert!(same_data.status == 1 && same_data.stderr.contains("is used by another engine"), "{same_data:?}");
    assert_eq!(engine.docker(&["ps", "-q"]).ok(), "");
    Ok(())
}

#[test]
fn a_pid_file_that_an_engine_left_behind_stops_nobody() -> Result<()> {
    let mut engine = Engine::start()?;
    engine.kill()?;
    let pidfile = engine.scratch().join("pid");
    // The number is another program's by now.
    std::fs::write(&pidfile, std::process::id().to_string())?;
    engine.launch()?;
    engine.stop()?;
    assert!(!pidfile.exists());
    Ok(())
}

#[test]
fn the_service_manager_hears_how_things_stand() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("notify");
    let manager = UnixDatagram::bind(&place)?;
    manager.set_read_timeout(Some(Duration::from_secs(30)))?;
    let program = folder.path().join("dhow");
    let text = format!(
        "#!/bin/sh\nexport NOTIFY_SOCKET={} WATCHDOG_USEC=200000\nexec {} \"$@\"\n",
        place.display(),
        dhow_testkit::engine::binary()?.display()
    );
    std::fs::write(&program, text)?;
    process::must(Command::new("chmod").arg("0755").arg(&program))?;
    let mut engine = Engine::start_binary(&program, &[])?;
    let hear = |wanted: &str| -> Result<String> {
        let mut buffer = [0; 256];
        loop {
            let count = manager.recv(&mut buffer).context(wanted.to_owned())?;
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            if text.starts_with(wanted) {
                return Ok(text);
            }
        }
    };
    hear("READY=1")?;
    hear("WATCHDOG=1")?;
    hear("WATCHDOG=1")?;
    signal(&engine, "HUP")?;
    assert!(hear("RELOADING=1")?.contains("\nMONOTONIC_USEC="));
    hear("READY=1")?;
    engine.stop()?;
    hear("STOPPING=1")?;
    Ok(())
}

#[test]
fn containers_go_on_unless_live_restore_is_off() -> Result<()> {
    for (flags, state) in [(&[][..], "running 0"), (&["--live-restore=false"], "exited 3")] {
        let mut engine = Engine::with_busybox(flags)?;
        let script = "trap 'exit 3' TERM; echo ready; while true; do sleep 0.05; done";
        engine.docker(&["run", "-d", "--name", "one", "busybox", "sh", "-c", script]).ok();
        engine
            .docker(&["run", "-d", "--name", "two", "--restart", "always", "busybox", "sh", "-c", script])
            .ok();
        for name in ["one", "two"] {
            until("it does not come up", || engine.docker(&["logs", name]).stdout.contains("ready"))?;
        }
        engine.stop()?;
        engine.launch()?;
        let shown = engine.docker(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "one"]);
        assert_eq!(shown.ok(), state, "{flags:?}");
        until("what is always to run does not", || {
            engine.docker(&["inspect", "-f", "{{.State.Status}}", "two"]).stdout.trim() == "running"
        })?;
    }
    Ok(())
}

/// As with Docker: what the engine was told is not the longest, when a container was told another.
#[test]
fn a_container_has_its_own_time_to_stop_when_the_engine_ends() -> Result<()> {
    let mut engine = Engine::with_busybox(&["--live-restore=false", "--shutdown-timeout", "1"])?;
    let slow = "trap 'sleep 2; exit 7' TERM; echo ready; while true; do sleep 0.05; done";
    let deaf = "trap '' TERM; echo ready; sleep 600";
    for (name, seconds, script) in [("slow", "30", slow), ("deaf", "3", deaf)] {
        let run = ["run", "-d", "--name", name, "--stop-timeout", seconds, "busybox", "sh", "-c", script];
        engine.docker(&run).ok();
        until("it does not come up", || engine.docker(&["logs", name]).stdout.contains("ready"))?;
    }
    engine.stop()?;
    engine.launch()?;
    for (name, state) in [("slow", "exited 7"), ("deaf", "exited 137")] {
        assert_eq!(engine.inspect(name, "{{.State.Status}} {{.State.ExitCode}}"), state, "{name}");
    }
    Ok(())
}
