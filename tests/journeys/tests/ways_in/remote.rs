//! TCP: with TLS both sides know each other; without, nobody gets in unasked.

use std::process::Command;

use anyhow::Result;
use dhow_testkit::Engine;
use dhow_testkit::process::{self, Answer};

use crate::place::{Place, certificates};

const ADDRESS: &str = "tcp://127.0.0.1:2376";

fn engine(place: &Place) -> Result<Engine> {
    certificates(place.folder.path())?;
    let file = |name: &str| place.path(name);
    let (authority, certificate, key) = (file("ca.pem"), file("server.pem"), file("server.key"));
    let flags = ["--tlsverify", "--tlscacert", &authority, "--tlscert", &certificate, "--tlskey", &key];
    let engine = place.engine("", &[&["-H", ADDRESS][..], &flags[..]].concat())?;
    engine.import_busybox()?;
    Ok(engine)
}

/// A client with the certificates of one folder.
fn client(place: &Place, program: &str, folder: &str, arguments: &[&str], input: &[u8]) -> Result<Answer> {
    let mut command = place.command(program);
    command.env("DOCKER_HOST", ADDRESS).env("DOCKER_TLS_VERIFY", "1");
    command.env("DOCKER_CERT_PATH", place.path(folder)).args(arguments);
    process::answer(&mut command, input)
}

#[test]
fn both_command_lines_work_over_tls_and_half_close_it() -> Result<()> {
    let place = Place::new()?;
    let engine = engine(&place)?;
    let dhow = place.program("")?.display().to_string();
    for program in ["docker", dhow.as_str()] {
        let run = ["run", "--rm", "-i", "busybox", "sh", "-c", "cat; echo done >&2; exit 7"];
        let large = "line\n".repeat(200_000);
        let answer = client(&place, program, "client", &run, large.as_bytes())?;
        assert_eq!((answer.status, answer.stderr.as_str()), (7, "done\n"), "{program}");
        assert!(answer.stdout == large, "{program}: {} bytes came back", answer.stdout.len());
    }
    drop(engine);
    Ok(())
}

#[test]
fn who_has_no_good_certificate_gets_no_answer() -> Result<()> {
    let place = Place::new()?;
    let _engine = engine(&place)?;
    let dhow = place.program("")?.display().to_string();
    for program in ["docker", dhow.as_str()] {
        let strange = client(&place, program, "other", &["ps"], b"")?;
        assert!(strange.status == 1 && strange.stdout.is_empty(), "{program}: {strange:?}");
        // The client's own refusal is not what this is about, so it trusts anybody here.
        for folder in ["config", "other"] {
            let mut command = place.command(program);
            command.args(["-H", ADDRESS, "--tls"]);
            for (flag, file) in [("--tlscert", "cert.pem"), ("--tlskey", "key.pem")] {
                if folder == "other" {
                    command.args([flag, &place.path(&format!("{folder}/{file}"))]);
                }
            }
            let refused = process::answer(command.arg("version"), b"")?;
            assert_eq!(refused.status, 1, "{program} with {folder}: {refused:?}");
            assert!(!refused.stdout.contains("Server"), "{program} with {folder}: {refused:?}");
        }
        let plain = place.run(program, &["-H", ADDRESS, "ps"])?;
        assert_eq!(plain.status, 1);
        assert!(plain.stderr.contains("Client sent an HTTP request to an HTTPS server"), "{}", plain.stderr);
    }
    Ok(())
}

/// Opens connections on which nothing is said, and becomes another program with all of them open.
const CROWD: &str = r#"
  $^F = 10000;
  for (1 .. 300) {
    socket(my $s, PF_INET, SOCK_STREAM, 0) or die;
    connect($s, pack_sockaddr_in(2376, inet_aton("127.0.0.1"))) or die;
    push @all, $s;
  }
  exec @ARGV or die;
"#;

#[test]
fn who_only_holds_a_hand_out_keeps_nobody_out() -> Result<()> {
    let place = Place::new()?;
    let _engine = engine(&place)?;
    let crowd = ["-MSocket", "-e", CROWD, "docker", "ps", "-q"];
    assert_eq!(client(&place, "perl", "client", &crowd, b"")?.ok(), "");
    Ok(())
}

#[test]
fn plain_tcp_is_for_this_machine_unless_it_is_asked_for_in_so_many_words() -> Result<()> {
    let place = Place::new()?;
    let dhow = place.program("")?;
    let folder = place.folder.path();
    let mut command = Command::new(&dhow);
    command
        .arg("daemon")
        .arg("--data-root")
        .arg(folder.join("data"))
        .arg("--exec-root")
        .arg(folder.join("run"));
    let refused = process::answer(command.args(["-H", "tcp://0.0.0.0:2375"]), b"")?;
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("Binding to IP address without --tlsverify is insecure"), "{refused:?}");
    assert!(refused.stderr.contains("'--tls=false' or '--tlsverify=false'"), "{}", refused.stderr);
    let engine = place.engine("", &["-H", "tcp://0.0.0.0:2375", "--tls=false"])?;
    assert_eq!(place.run("docker", &["-H", "tcp://127.0.0.1:2375", "ps", "-q"])?.ok(), "");
    let log = std::fs::read_to_string(engine.log())?;
    assert!(log.contains("gives root access on this machine to everyone"), "{log}");
    Ok(())
}

#[test]
fn a_wrong_key_or_certificate_is_told_in_dockerds_words() -> Result<()> {
    let place = Place::new()?;
    certificates(place.folder.path())?;
    let dhow = place.program("")?;
    let start = |cert: &str, key: &str, authority: &str| {
        let mut command = Command::new(&dhow);
        command.args(["daemon", "--validate", "--tlsverify", "--tlscert"]).arg(place.path(cert));
        command.arg("--tlskey").arg(place.path(key)).arg("--tlscacert").arg(place.path(authority));
        process::answer(&mut command, b"")
    };
    assert_eq!(start("server.pem", "server.key", "ca.pem")?.ok(), "configuration OK");
    for (cert, key, authority, words) in [
        ("missing.pem", "server.key", "ca.pem", "could not load X509 key pair"),
        ("server.pem", "client.key", "ca.pem", "error reading X509 key pair"),
        ("server.ext", "server.key", "ca.pem", "error reading X509 key pair"),
        ("server.pem", "server.key", "missing.pem", "could not read CA certificate"),
        ("server.pem", "server.key", "server.ext", "failed to append certificates from PEM file"),
    ] {
        let refused = start(cert, key, authority)?;
        assert!(refused.status == 1 && refused.stderr.contains(words), "{words}: {refused:?}");
        assert!(refused.stderr.starts_with("invalid TLS configuration: "), "{}", refused.stderr);
    }
    Ok(())
}

/// A program that stands for ssh: what would run on the other machine runs here.
fn ssh(place: &Place) -> Result<String> {
    let bin = place.folder.path().join("bin");
    std::fs::create_dir(&bin)?;
    let said = place.path("said");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {said}\nwhile [ $# -gt 0 ]; do case $1 in --) shift; break;; *) shift;; esac; done\n\
         host=$1; shift\n[ $host = there ] || {{ echo no route >&2; exit 255; }}\nexec sh -c \"$*\"\n"
    );
    std::fs::write(bin.join("ssh"), script)?;
    process::must(Command::new("chmod").arg("0755").arg(bin.join("ssh")))?;
    // The other machine has this program, under docker's name too: docker's client asks for that.
    let program = place.program("")?;
    for name in ["dhow", "docker"] {
        let there = place.folder.path().join("there");
        std::fs::create_dir_all(&there)?;
        std::os::unix::fs::symlink(&program, there.join(name))?;
    }
    let path = std::env::var("PATH").unwrap_or_default();
    Ok(format!("{}:{}:{path}", bin.display(), place.path("there")))
}

#[test]
fn ssh_reaches_the_engine_of_another_machine() -> Result<()> {
    let place = Place::new()?;
    let engine = place.engine("", &[])?;
    engine.import_busybox()?;
    let path = ssh(&place)?;
    let address = format!("ssh://me@there:2222{}", engine.socket().display());
    let docker = process::find("docker").unwrap_or_default().display().to_string();
    for program in [docker, place.path("dhow")] {
        let mut command = place.command(&program);
        command.env("PATH", &path).env("DOCKER_HOST", &address);
        let run =
            process::answer(command.args(["run", "--rm", "-i", "busybox", "cat"]), b"through and back")?;
        assert_eq!(run.ok(), "through and back", "{program}");
        let mut wrong = place.command(&program);
        wrong.env("PATH", &path).env("DOCKER_HOST", "ssh://nowhere");
        let refused = process::answer(wrong.arg("ps"), b"")?;
        assert_eq!(refused.status, 1);
        // Docker's client says either this or that its pipe is broken, whichever it notices first.
        let told = refused.stderr.contains("no route") && refused.stderr.contains("255");
        assert!(told || program.ends_with("docker"), "{}", refused.stderr);
    }
    let said = std::fs::read_to_string(place.path("said"))?;
    assert!(said.lines().all(|line| line.contains("-T")), "{said}");
    Ok(())
}
