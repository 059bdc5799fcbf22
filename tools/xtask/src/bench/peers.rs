//! The contenders: Dhow's release build, and each peer that is installed.

use std::cell::OnceCell;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use dhow_testkit::http::Connection;
use dhow_testkit::network::NetworkSpace;
use dhow_testkit::{Engine, rootfs};
use dhow_testkit::{network, process};
use tempfile::TempDir;

use super::cgroup::{Group, PARENT};
use crate::shell;

/// Everything that runs while a benchmark does.
pub(crate) struct Arena {
    pub(crate) dhow: Dhow,
    pub(crate) docker: Option<Docker>,
    pub(crate) podman: Option<Podman>,
    /// OCI runtimes: name, program, arguments in front.
    pub(crate) runtimes: Vec<Runtime>,
    pub(crate) bundle: PathBuf,
    archive: OnceCell<PathBuf>,
    directory: TempDir,
    _state: TempDir,
}

pub(crate) struct Dhow {
    pub(crate) engine: Engine,
    pub(crate) group: Group,
    _state: TempDir,
}

pub(crate) struct Docker {
    program: PathBuf,
    root: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) group: Group,
    pub(crate) daemon: Child,
    network: NetworkSpace,
    state: TempDir,
}

pub(crate) struct Podman {
    pub(crate) program: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) group: Group,
    state: TempDir,
}

pub(crate) struct Runtime {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) group: Group,
}

impl Arena {
    /// A directory that goes with it, for files of the cases.
    pub(crate) fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// Starts all engines, each with a busybox image.
    pub(crate) fn new() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("dhow-bench-").tempdir()?;
        let tar = directory.path().join("busybox.tar");
        rootfs::busybox_tar(&tar)?;
        let bundle = bundle(directory.path())?;
        let state = state()?;
        let arena = Self {
            dhow: dhow()?,
            docker: docker(directory.path(), &tar)?,
            podman: podman(directory.path(), &tar)?,
            runtimes: runtimes(state.path())?,
            bundle,
            archive: OnceCell::new(),
            directory,
            _state: state,
        };
        Ok(arena)
    }
}

impl Arena {
    /// Where the host of an engine with networks is; none for others.
    pub(crate) fn host_network(&self, name: &str) -> Result<Option<OwnedFd>> {
        let space = match name {
            "dhow" => Some(self.dhow.engine.network()),
            "docker" => self.docker.as_ref().map(|docker| &docker.network),
            _ => None,
        };
        Ok(space.map(|space| space.handle().try_clone()).transpose()?)
    }

    /// The archive of a large image, made when it is first asked for.
    pub(crate) fn archive(&self) -> Result<&Path> {
        if self.archive.get().is_none() {
            let made = super::archive::make(&self.dhow.engine, self.directory.path())?;
            self.archive.set(made).ok();
        }
        self.archive.get().map(PathBuf::as_path).context("there is an archive")
    }
}

/// The release build of this checkout, or `DHOW_BINARY`.
pub(crate) fn build() -> Result<PathBuf> {
    if std::env::var_os("DHOW_BINARY").is_none() {
        shell::run("cargo build --quiet --release --package dhow --locked")?;
    }
    release_binary()
}

/// Where it is.
pub(crate) fn release_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("DHOW_BINARY") {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(2).context("xtask runs from the target directory")?;
    Ok(target.join("release/dhow"))
}

/// Where a contender keeps what is gone with the next boot: on a tmpfs, as /run is.
fn state() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("dhow-bench-").tempdir_in("/dev/shm")?)
}

/// Another engine of its own, with a busybox image.
pub(crate) fn dhow() -> Result<Dhow> {
    let group = Group::new("dhow")?;
    group.enter()?;
    let parent = format!("/{PARENT}/dhow/containers");
    let state = state()?;
    let run = state.path().display().to_string();
    let engine =
        Engine::start_binary(&release_binary()?, &["--cgroup-parent", &parent, "--exec-root", &run])?;
    engine.import_busybox()?;
    Ok(Dhow { engine, group, _state: state })
}

/// Another engine of its own, with a busybox image.
pub(crate) fn docker(directory: &Path, tar: &Path) -> Result<Option<Docker>> {
    let Some(dockerd) = process::find("dockerd") else {
        return Ok(None);
    };
    let group = Group::new("docker")?;
    group.enter()?;
    let root = directory.join("docker");
    fs::create_dir_all(&root)?;
    let socket = root.join("docker.sock");
    let network = network::host()?;
    let state = state()?;
    let daemon = dockerd_in((&root, state.path()), &dockerd, &network)?;
    let docker = Docker { program: dockerd, root, socket, group, daemon, network, state };
    docker.import(tar)?;
    Ok(Some(docker))
}

fn dockerd_in((root, state): (&Path, &Path), program: &Path, network: &NetworkSpace) -> Result<Child> {
    let log = fs::File::create(root.join("log"))?;
    let daemon = network::command(network, program)
        .arg("--cgroup-parent")
        .arg(format!("/{PARENT}/docker/containers"))
        .arg("--data-root")
        .arg(root.join("data"))
        .arg("--exec-root")
        .arg(state)
        .arg("--pidfile")
        .arg(root.join("pid"))
        .arg("-H")
        .arg(format!("unix://{}", root.join("docker.sock").display()))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    Ok(daemon)
}

impl Docker {
    /// For `DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) -> Result<()> {
        process::must(Command::new("kill").arg(self.daemon.id().to_string()))?;
        self.daemon.wait()?;
        Ok(())
    }

    /// Starts it again and waits until it answers.
    pub(crate) fn launch(&mut self) -> Result<()> {
        self.daemon = dockerd_in((&self.root, self.state.path()), &self.program, &self.network)?;
        self.wait_until_ready()
    }

    fn wait_until_ready(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let ping =
                Connection::open(&self.socket).and_then(|mut c| c.request("GET", "/_ping", &().into()));
            if ping.is_ok_and(|response| response.status == 200) {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("dockerd does not answer");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn import(&self, tar: &Path) -> Result<()> {
        self.wait_until_ready()?;
        let path = "/images/create?fromSrc=-&repo=busybox&tag=latest&changes=CMD%20sh";
        let mut connection = Connection::open(&self.socket)?;
        let response = connection.request_bytes("POST", path, "application/x-tar", &fs::read(tar)?)?;
        if response.status != 200 {
            bail!("dockerd import: {}", String::from_utf8_lossy(&response.body));
        }
        Ok(())
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        drop(process::must(Command::new("kill").arg(self.daemon.id().to_string())));
        drop(self.daemon.wait());
    }
}

fn podman(directory: &Path, tar: &Path) -> Result<Option<Podman>> {
    let Some(program) = process::find("podman") else {
        return Ok(None);
    };
    let (root, group) = (directory.join("podman"), Group::new("podman")?);
    let podman = Podman { program, root, group, state: state()? };
    process::must(podman.command().arg("import").arg(tar).arg("busybox:latest"))?;
    Ok(Some(podman))
}

impl Podman {
    /// `podman` with storage of its own.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.root.join("data")).arg("--runroot").arg(self.state.path());
        command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
        command
    }
}

fn runtimes(state: &Path) -> Result<Vec<Runtime>> {
    let ours = release_binary()?;
    let root = |name: &str| vec!["--root".to_owned(), state.join(name).display().to_string()];
    let mut all = vec![Runtime {
        name: "dhow",
        program: ours,
        arguments: [vec!["runtime".to_owned()], root("dhow")].concat(),
        group: Group::new("dhow-runtime")?,
    }];
    for name in ["crun", "runc"] {
        if let Some(program) = process::find(name) {
            all.push(Runtime { name, program, arguments: root(name), group: Group::new(name)? });
        }
    }
    Ok(all)
}

/// A bundle whose process is busybox' `true`, with the namespaces and limits of a usual container.
fn bundle(directory: &Path) -> Result<PathBuf> {
    let bundle = directory.join("bundle");
    rootfs::busybox_tree(&bundle.join("rootfs"))?;
    let spec = serde_json::json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "env": ["PATH=/bin"], "cwd": "/",
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "cgroupsPath": format!("/{PARENT}-runtime"),
            "resources": {"pids": {"limit": 100}, "devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
            ],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    });
    fs::write(bundle.join("config.json"), serde_json::to_vec_pretty(&spec)?)?;
    Ok(bundle)
}
