//! Unix sockets: whose they are, how many, and those that the service manager opened.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::process::Command;

use anyhow::{Context as _, Result};
use dhow_testkit::Engine;
use dhow_testkit::http::Connection;
use dhow_testkit::process;
use serde_json::Value;

use crate::place::Place;

#[test]
fn a_socket_is_for_root_and_its_group_by_name_or_number() -> Result<()> {
    let groups = std::fs::read_to_string("/etc/group")?;
    let line = groups.lines().find(|line| line.starts_with("daemon:")).context("no group daemon")?;
    let number: u32 = line.split(':').nth(2).context("no number")?.parse()?;
    for (group, gid) in [("daemon".to_owned(), number), ("4711".to_owned(), 4711)] {
        let engine = Engine::start_with(&["--group", &group])?;
        let found = std::fs::metadata(engine.socket())?;
        assert!(found.file_type().is_socket());
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (0, gid, 0o660));
    }
    let refused = process::answer(
        Command::new(dhow_testkit::engine::binary()?).args([
            "daemon",
            "--data-root",
            "/nonexistent-data",
            "--validate",
            "--group",
            "nobody-is-in-it",
        ]),
        b"",
    )?;
    assert_eq!(refused.ok(), "configuration OK", "a group is looked for when there is a socket to give it");
    Ok(())
}

#[test]
fn every_address_answers_and_goes_with_the_engine() -> Result<()> {
    let place = Place::new()?;
    let second = place.folder.path().join("deeper/second.sock");
    let host = format!("unix://{}", second.display());
    let mut engine = place.engine("", &["-H", &host, "-H", &host, "-H", "tcp://127.0.0.1:2375"])?;
    for socket in [&engine.socket(), &second] {
        let ping = Connection::open(socket)?.request("GET", "/_ping", &Value::Null)?;
        assert_eq!(ping.body, b"OK");
    }
    assert_eq!(place.run("curl", &["-s", "http://127.0.0.1:2375/_ping"])?.ok(), "OK");
    engine.kill()?;
    assert!(second.exists(), "a killed engine cleans nothing up");
    engine.launch()?;
    engine.stop()?;
    assert!(!second.exists() && !engine.socket().exists());
    Ok(())
}

/// What systemd does before it starts a unit with sockets (sd_listen_fds(3)).
const ACTIVATE: &str = r#"
exec perl -MSocket -e '
  $^F = 255;
  my $path = shift @ARGV;
  socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die; bind($s, sockaddr_un($path)) or die; listen($s, 5) or die;
  die "descriptor ".fileno($s) unless fileno($s) == 3;
  $ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = 1;
  exec @ARGV;
'"#;

#[test]
fn sockets_of_the_service_manager_are_taken_and_left_to_it() -> Result<()> {
    let place = Place::new()?;
    let given = place.folder.path().join("given.sock");
    let binary = dhow_testkit::engine::binary()?;
    // Only the engine is activated: the same script is the client, too.
    let before = format!(
        "[ \"$1\" != daemon ] || {{ rm -f {given}; {} {given} {} \"$@\"; }}",
        ACTIVATE.trim(),
        binary.display(),
        given = given.display()
    );
    let mut engine = place.engine(&before, &["-H", "fd://"])?;
    let ping = Connection::open(&given)?.request("GET", "/_ping", &Value::Null)?;
    assert_eq!(ping.body, b"OK");
    engine.import_busybox()?;
    // Nothing that the engine starts has it: neither the launcher nor a container.
    let held = engine.docker(&["run", "--rm", "busybox", "ls", "-l", "/proc/self/fd"]);
    assert!(!held.ok().contains("socket"), "{}", held.stdout);
    engine.stop()?;
    assert!(given.exists(), "the socket is not the engine's to remove");
    Ok(())
}

#[test]
fn without_a_service_manager_there_is_nothing_to_take() -> Result<()> {
    let place = Place::new()?;
    let refusal = |host: &str| -> Result<String> {
        let mut command = Command::new(dhow_testkit::engine::binary()?);
        command
            .arg("daemon")
            .arg("--data-root")
            .arg(place.path("data"))
            .arg("--exec-root")
            .arg(place.path("run"));
        Ok(process::answer(command.args(["-H", host]), b"")?.stderr)
    };
    let words = refusal("fd://")?;
    let expected = "failed to load listeners: no sockets found via socket activation: make sure the service was \
                    started by systemd";
    assert!(words.contains(expected), "{words}");
    assert!(refusal("fd://x")?.contains("failed to parse systemd fd address: should be a number: x"));
    assert!(refusal("ssh://x")?.contains("invalid bind address (ssh://x): unsupported proto 'ssh'"));
    Ok(())
}
