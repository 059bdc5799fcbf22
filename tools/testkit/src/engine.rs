//! A whole engine of a test's own: data directory, socket and cgroup; ended with the value.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use dhow_model::ports::NetworkSpace;
use tempfile::TempDir;

use crate::coverage;
use crate::http::Connection;
use crate::network;
use crate::process::{self, Answer};
use crate::rootfs;

/// A running `dhow daemon`, in a network namespace of its own. The thread that starts one which listens to TCP goes
/// there too, with all that it starts afterwards.
pub struct Engine {
    binary: PathBuf,
    directory: TempDir,
    child: Option<Child>,
    extra: Vec<String>,
    network: NetworkSpace,
}

/// The binary that tests run: `DHOW_BINARY`, or the one that this build made beside the test.
///
/// # Errors
/// When there is none: `cargo build --package dhow` makes it.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("DHOW_BINARY") {
        return Ok(path.into());
    }
    let test = std::env::current_exe()?;
    let places = test.ancestors().skip(1).take(2).map(|directory| directory.join("dhow"));
    let found = places.into_iter().find(|file| file.is_file());
    found.context("no dhow beside the test: cargo build --package dhow, or set DHOW_BINARY")
}

impl Engine {
    /// Starts an engine with an empty data directory and waits until it answers.
    ///
    /// # Errors
    /// When the binary is missing or the engine ends.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same with further flags of `dhow daemon`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(extra: &[&str]) -> Result<Self> {
        Self::start_binary(&binary()?, extra)
    }

    /// The same, with busybox as `busybox:latest`.
    ///
    /// # Errors
    /// As [`start`](Self::start) and [`import_busybox`](Self::import_busybox).
    pub fn with_busybox(extra: &[&str]) -> Result<Self> {
        let engine = Self::start_with(extra)?;
        engine.import_busybox()?;
        Ok(engine)
    }

    /// The same with a binary of the caller's choice.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_binary(binary: &Path, extra: &[&str]) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("dhow-").tempdir()?;
        Self::start_below(directory, binary, extra)
    }

    /// The same with its directory in another one, which may be of another file system.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_in(place: &Path, extra: &[&str]) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("dhow-").tempdir_in(place)?;
        Self::start_below(directory, &binary()?, extra)
    }

    fn start_below(directory: TempDir, binary: &Path, extra: &[&str]) -> Result<Self> {
        let extra = extra.iter().map(|s| (*s).to_owned()).collect();
        let network = network::host()?;
        let mut engine = Self { binary: binary.to_owned(), directory, child: None, extra, network };
        if engine.extra.iter().any(|flag| flag.contains("tcp://") || flag == "--metrics-addr") {
            network::enter(engine.network.handle().as_fd())?;
        }
        engine.launch()?;
        Ok(engine)
    }

    /// Another engine on the same host, as far as networks are concerned.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_beside(other: &Self) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("dhow-").tempdir()?;
        let (binary, network) = (binary()?, other.network.clone());
        let mut engine = Self { binary, directory, child: None, extra: Vec::new(), network };
        engine.launch()?;
        Ok(engine)
    }

    /// The same with other flags than before.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn launch_with(&mut self, extra: &[&str]) -> Result<()> {
        self.extra = extra.iter().map(|flag| (*flag).to_owned()).collect();
        self.launch()
    }

    /// Starts it again on the same data, after [`kill`](Self::kill) or [`stop`](Self::stop).
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn launch(&mut self) -> Result<()> {
        let root = self.directory.path();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = self.within_network(&self.binary);
        command.arg("daemon").arg("--data-root").arg(root.join("data"));
        command.arg("--pidfile").arg(root.join("pid")).arg("-H").arg(self.host()).args(&self.extra);
        let says = |flag: &str| self.extra.iter().any(|extra| extra == flag);
        if !says("--exec-root") {
            command.arg("--exec-root").arg(root.join("run"));
        }
        if !says("--cgroup-parent") {
            command.arg("--cgroup-parent").arg(self.cgroup());
        }
        command.args(coverage::flags(&self.extra));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn()?);
        self.wait_until_ready()
    }

    /// A program on the engine's host, as far as networks are concerned.
    #[must_use]
    pub fn within_network(&self, program: &Path) -> Command {
        network::command(&self.network, program)
    }

    /// Its host's namespace.
    #[must_use]
    pub const fn network(&self) -> &NetworkSpace {
        &self.network
    }

    /// A machine on a wire with the engine's host, whose address there is [`network::HOST`].
    ///
    /// # Errors
    /// The kernel's.
    pub fn outside(&self) -> Result<NetworkSpace> {
        network::outside(&self.network)
    }

    /// Does something on the engine's host, as far as networks are concerned.
    ///
    /// # Panics
    /// When the deed does, or the namespace cannot be entered.
    pub fn in_network<T: Send>(&self, deed: impl FnOnce() -> T + Send) -> T {
        network::within(self.network.handle().as_fd(), deed)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let ping =
                Connection::open(&self.socket()).and_then(|mut c| c.request("GET", "/_ping", &().into()));
            if ping.is_ok_and(|response| response.status == 200) {
                return Ok(());
            }
            let ended = self.child.as_mut().map(Child::try_wait).transpose()?.flatten();
            if ended.is_some() || Instant::now() > end {
                bail!("the engine does not answer ({ended:?}):\n{}", std::fs::read_to_string(self.log())?);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            process::must(Command::new("kill").arg(child.id().to_string()))?;
            child.wait()?;
        }
        Ok(())
    }

    /// The binary that it was started from.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// `unix://…`, for `DOCKER_HOST`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("dhow.sock")
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A directory that goes with it, for files of the test.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// The cgroup below which its containers are.
    #[must_use]
    pub fn cgroup(&self) -> String {
        let name = self.directory.path().file_name().unwrap_or_default();
        format!("/dhow-test/{}", name.display())
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("engine.log")
    }

    /// A connection to its API.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn connect(&self) -> Result<Connection> {
        Connection::open(&self.socket())
    }

    /// Runs our command line against it.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn dhow(&self, arguments: &[&str]) -> Answer {
        self.client(&self.binary, arguments, b"")
    }

    /// Runs the stock `docker` command line against it.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn docker(&self, arguments: &[&str]) -> Answer {
        self.client(Path::new("docker"), arguments, b"")
    }

    /// What stock docker shows of a container, by a template.
    ///
    /// # Panics
    /// When there is no such container.
    #[must_use]
    pub fn inspect(&self, name: &str, format: &str) -> String {
        self.docker(&["inspect", "-f", format, name]).ok().to_owned()
    }

    /// Runs a client against it, with `input` on its standard input.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn client(&self, program: &Path, arguments: &[&str], input: &[u8]) -> Answer {
        let mut command = Command::new(program);
        command.args(arguments).env("DOCKER_HOST", self.host()).env("DOCKER_CONFIG", self.directory.path());
        match process::answer(&mut command, input) {
            Ok(answer) => answer,
            Err(error) => panic!("{error:#}"),
        }
    }

    /// Imports a busybox userland as `busybox:latest`.
    ///
    /// # Errors
    /// When busybox is missing or the engine refuses.
    pub fn import_busybox(&self) -> Result<()> {
        let tar = self.directory.path().join("busybox.tar");
        rootfs::busybox_tar(&tar)?;
        let bytes = std::fs::read(&tar)?;
        let path = "/images/create?fromSrc=-&repo=busybox&tag=latest&changes=CMD%20sh";
        let response = self.connect()?.request_bytes("POST", path, "application/x-tar", &bytes)?;
        if response.status != 200 {
            bail!("import: {}", String::from_utf8_lossy(&response.body));
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Containers outlive the engine: they are removed first, while it still answers.
        if self.child.is_some() {
            let ids = self.dhow(&["ps", "-aq"]).stdout;
            let ids: Vec<&str> = ids.lines().collect();
            if !ids.is_empty() {
                let arguments: Vec<&str> = ["rm", "-f", "-v"].into_iter().chain(ids).collect();
                drop(self.dhow(&arguments));
            }
        }
        let ended = self.stop().and_then(|()| coverage::keep(&self.log()));
        if let Err(error) = ended {
            eprintln!("engine of a test: {error:#}");
        }
    }
}
