//! A network of a test's own, certificates of its own, and an engine that listens there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use dhow_testkit::Engine;
use dhow_testkit::process::{self, Answer};
use tempfile::TempDir;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A network namespace with a loopback interface, and a folder.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    network: String,
}

impl Place {
    pub(crate) fn new() -> Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let network = format!("dhow-{}-{number}", std::process::id());
        let folder = tempfile::Builder::new().prefix("dhow-place-").tempdir()?;
        process::must(Command::new("ip").args(["netns", "add", &network]))?;
        let place = Self { folder, network };
        process::must(Command::new("ip").args(["-n", &place.network, "link", "set", "lo", "up"]))?;
        Ok(place)
    }

    /// A command in that network.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.network)).arg("--").arg(program.as_ref());
        for name in ["DOCKER_HOST", "DHOW_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"] {
            command.env_remove(name);
        }
        command.env("DOCKER_CONFIG", self.folder.path().join("config"));
        command
    }

    /// Runs a command there.
    pub(crate) fn run(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Result<Answer> {
        process::answer(self.command(program).args(arguments), b"")
    }

    /// An engine that lives there, with what a shell would do before it.
    pub(crate) fn engine(&self, before: &str, flags: &[&str]) -> Result<Engine> {
        Engine::start_binary(&self.program(before)?, flags)
    }

    /// The program as it runs there.
    pub(crate) fn program(&self, before: &str) -> Result<PathBuf> {
        let path = self.folder.path().join("dhow");
        let binary = dhow_testkit::engine::binary()?;
        let text = format!(
            "#!/bin/sh\n{before}\nexec nsenter --net=/run/netns/{} -- {} \"$@\"\n",
            self.network,
            binary.display()
        );
        std::fs::write(&path, text)?;
        process::must(Command::new("chmod").arg("0755").arg(&path))?;
        Ok(path)
    }

    /// A path in its folder.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let deleted = process::must(Command::new("ip").args(["netns", "del", &self.network]));
        if let Err(error) = deleted {
            eprintln!("network of a test: {error:#}");
        }
    }
}

/// An authority, an engine's certificate and a client's, as Docker's manual makes them with openssl; and
/// another authority's client.
///
/// `ca.pem`, `server.pem`, `client/{ca,cert,key}.pem`, `other/{ca,cert,key}.pem`.
pub(crate) fn certificates(folder: &Path) -> Result<()> {
    authority(folder, "ca")?;
    authority(folder, "other-ca")?;
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n";
    certificate(folder, "ca", "server", names)?;
    for (name, signer) in [("client", "ca"), ("other", "other-ca")] {
        let own = folder.join(name);
        certificate(folder, signer, name, "extendedKeyUsage=clientAuth\n")?;
        std::fs::create_dir(&own)?;
        for (from, to) in [
            (format!("{signer}.pem"), "ca.pem"),
            (format!("{name}.pem"), "cert.pem"),
            (format!("{name}.key"), "key.pem"),
        ] {
            std::fs::copy(folder.join(from), own.join(to)).with_context(|| format!("copy {to}"))?;
        }
    }
    Ok(())
}

const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

fn openssl(folder: &Path, arguments: &[&str]) -> Result<()> {
    process::must(Command::new("openssl").args(arguments).current_dir(folder)).map(drop)
}

fn authority(folder: &Path, name: &str) -> Result<()> {
    let (key, file, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/CN={name}"));
    let arguments = ["req", "-x509", "-days", "2", "-subj", &subject, "-keyout", &key, "-out", &file];
    openssl(folder, &[&arguments[..], &KEY].concat())
}

fn certificate(folder: &Path, signer: &str, name: &str, extensions: &str) -> Result<()> {
    let named = |ending: &str| format!("{name}.{ending}");
    std::fs::write(folder.join(named("ext")), extensions)?;
    let (key, request, subject) = (named("key"), named("csr"), format!("/CN={name}"));
    let arguments = ["req", "-subj", &subject, "-keyout", &key, "-out", &request];
    openssl(folder, &[&arguments[..], &KEY].concat())?;
    let (authority, its_key) = (format!("{signer}.pem"), format!("{signer}.key"));
    let signing = ["x509", "-req", "-days", "2", "-CAcreateserial", "-CA", &authority, "-CAkey", &its_key];
    let files = ["-in", &request, "-out", &named("pem"), "-extfile", &named("ext")];
    openssl(folder, &[&signing[..], &files].concat())
}
