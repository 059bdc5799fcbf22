//! What the engine fetches itself: an import from a URL.

use std::process::{Child, Stdio};

use anyhow::{Result, ensure};
use dhow_testkit::rootfs;

use crate::place::{Place, certificates};

/// A server of files in a place, ended with the value.
struct Server(Child);

impl Server {
    fn start(place: &Place, program: &[&str], port: u16) -> Result<Self> {
        let mut command = place.command(program[0]);
        command.args(&program[1..]).current_dir(place.folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self(command.spawn()?);
        let sign = format!(":{port} ");
        let listens = || place.run("ss", &["-ltn"]).is_ok_and(|shown| shown.stdout.contains(&sign));
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

const PLAIN: [&str; 5] = ["busybox", "httpd", "-f", "-p", "127.0.0.1:8000"];
const SECURE: [&str; 10] = [
    "openssl",
    "s_server",
    "-quiet",
    "-WWW",
    "-accept",
    "127.0.0.1:8443",
    "-cert",
    "server.pem",
    "-key",
    "server.key",
];

#[test]
fn an_image_is_imported_from_a_url() -> Result<()> {
    let place = Place::new()?;
    certificates(place.folder.path())?;
    rootfs::busybox_tar(&place.folder.path().join("root.tar"))?;
    let engine = place.engine(&format!("export SSL_CERT_FILE={}", place.path("ca.pem")), &[])?;
    let servers = (Server::start(&place, &PLAIN, 8000)?, Server::start(&place, &SECURE, 8443)?);
    // Names are those of /etc/hosts, or this machine.
    for (name, url) in [
        ("plain", "http://127.0.0.1:8000/root.tar"),
        ("bare", "localhost:8000/root.tar"),
        ("secure", "https://localhost:8443/root.tar"),
    ] {
        let arguments = ["import", "-c", "CMD echo imported", url, name];
        let told = if name == "bare" { engine.docker(&arguments) } else { engine.dhow(&arguments) };
        if url.contains("://") {
            let told = told.ok();
            ensure!(told.starts_with(&format!("Downloading from {url}\n")), "{told}");
            ensure!(told.trim_end().lines().last().is_some_and(|id| id.starts_with("sha256:")), "{told}");
            assert_eq!(engine.docker(&["run", "--rm", "--network", "none", name]).ok(), "imported");
            let comment = engine.docker(&["image", "inspect", "-f", "{{.Comment}}", name]);
            assert_eq!(comment.ok(), format!("Imported from {url}"));
        } else {
            // Without a scheme it is a file of the client's.
            ensure!(told.status != 0 && told.stderr.contains("no such file"), "{told:?}");
        }
    }
    refused(&engine)?;
    let trusts_nobody = place.engine("export SSL_CERT_FILE=/dev/null", &[])?;
    let doubted = trusts_nobody.dhow(&["import", "https://localhost:8443/root.tar"]);
    let words = "failed to verify certificate: x509: certificate signed by unknown authority";
    ensure!(doubted.status != 0 && doubted.stderr.contains(words), "{doubted:?}");
    drop(servers);
    let nobody = engine.dhow(&["import", "http://127.0.0.1:8000/root.tar"]);
    ensure!(nobody.stderr.contains("dial tcp 127.0.0.1:8000: connect: connection refused"), "{nobody:?}");
    assert_eq!(engine.docker(&["images", "-aq"]).ok().lines().count(), 2);
    Ok(())
}

fn refused(engine: &dhow_testkit::Engine) -> Result<()> {
    let mut connection = engine.connect()?;
    for (source, status, words) in [
        (
            "http://127.0.0.1:8000/none",
            404,
            "failed to GET http://127.0.0.1:8000/none with status 404 Not Found",
        ),
        // Without a scheme it is one of http.
        ("127.0.0.1:8000/none", 404, "failed to GET http://127.0.0.1:8000/none with status 404"),
        ("https://127.0.0.1:8000/x", 500, "Get \"https://127.0.0.1:8000/x\": "),
        ("gopher://x/", 500, "Get \"gopher://x/\": unsupported protocol scheme \"gopher\""),
        (
            "http://127.0.0.1:8000/%25zz",
            400,
            "parse \"http://127.0.0.1:8000/%zz\": invalid URL escape \"%zz\"",
        ),
    ] {
        let path = format!("/images/create?repo=not-there&fromSrc={source}");
        let answer = connection.request("POST", &path, &serde_json::Value::Null)?;
        let told = answer.json()?["message"].to_string().replace("\\\"", "\"");
        ensure!(answer.status == status && told.contains(words), "{source}: {} {told}", answer.status);
    }
    // It is told in the stream once the stream has begun.
    let path = "/images/create?repo=not-there&fromSrc=http://127.0.0.1:8000/ca.pem";
    let answer = connection.request("POST", path, &serde_json::Value::Null)?;
    let told = String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(answer.status == 200 && told.contains("\"errorDetail\":{\"message\":"), "{told}");
    Ok(())
}
