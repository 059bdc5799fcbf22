//! A syslog server that is spoken to by TLS alone.

use std::process::{Child, Stdio};

use anyhow::{Result, ensure};
use dhow_testkit::Engine;
use dhow_testkit::process::Answer;

use crate::place::{Place, certificates};

const ADDRESS: &str = "syslog-address=tcp+tls://127.0.0.1:6514";

/// openssl's server: takes clients of our authority alone, and writes down what they send.
struct Server(Child);

impl Server {
    fn start(place: &Place) -> Result<Self> {
        let mut command = place.command("openssl");
        command.args([
            "s_server",
            "-quiet",
            "-accept",
            "127.0.0.1:6514",
            "-Verify",
            "1",
            "-verify_return_error",
        ]);
        for (flag, file) in [("-cert", "server.pem"), ("-key", "server.key"), ("-CAfile", "ca.pem")] {
            command.args([flag, &place.path(file)]);
        }
        let output = std::fs::File::create(place.path("received"))?;
        let server = command.stdin(Stdio::piped()).stdout(output).stderr(Stdio::null()).spawn()?;
        let listens = || place.run("ss", &["-ltn"]).is_ok_and(|shown| shown.stdout.contains(":6514"));
        let server = Self(server);
        dhow_testkit::until("the server listens", listens)?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(engine: &Engine, place: &Place, options: &[(&str, &str)], script: &str) -> Answer {
    let options: Vec<String> =
        options.iter().map(|(option, file)| format!("syslog-tls-{option}={}", place.path(file))).collect();
    let mut arguments = vec!["run", "--rm", "--log-driver", "syslog", "--log-opt", ADDRESS];
    arguments.extend(options.iter().flat_map(|option| ["--log-opt", option]));
    arguments.extend(["busybox", "sh", "-c", script]);
    engine.docker(&arguments)
}

#[test]
fn a_syslog_server_behind_tls_gets_every_line_of_whom_it_knows() -> Result<()> {
    let place = Place::new()?;
    certificates(place.folder.path())?;
    let engine = place.engine("", &[])?;
    engine.import_busybox()?;
    let own = [("ca-cert", "ca.pem"), ("cert", "client/cert.pem"), ("key", "client/key.pem")];
    let server = Server::start(&place)?;
    let script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done";
    run(&engine, &place, &own, script).check()?;
    let received = || std::fs::read_to_string(place.path("received")).unwrap_or_default();
    dhow_testkit::until("all lines came", || received().lines().count() >= 2000)?;
    let all = received();
    let whole = all.lines().enumerate().all(|(number, line)| line.ends_with(&format!(": line {number}")));
    ensure!(whole && all.starts_with("<30>"), "{all}");
    // Any server will do for who says so, and no other for who does not.
    let other = [("ca-cert", "other-ca.pem"), own[1], own[2]];
    let refused = run(&engine, &place, &other, "true");
    ensure!(refused.status != 0, "{refused:?}");
    ensure!(refused.stderr.contains("failed to initialize logging driver: tls: "), "{refused:?}");
    let any = [other[0], other[1], other[2], ("skip-verify", "x")];
    run(&engine, &place, &any, "echo at last").check()?;
    dhow_testkit::until("its line came", || received().contains("at last"))?;
    for (options, words) in
        [(&[("ca-cert", "nope.pem")][..], "could not read"), (&[("ca-cert", "ca.key")], "certificates")]
    {
        let answer = run(&engine, &place, options, "true");
        ensure!(answer.status != 0 && answer.stderr.contains(words), "{answer:?}");
    }
    drop(server);
    let nobody = run(&engine, &place, &own, "true");
    ensure!(nobody.stderr.contains("dial tcp 127.0.0.1:6514: connect: connection refused"), "{nobody:?}");
    Ok(())
}
