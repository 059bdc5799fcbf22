//! podman and containerd run containers with `dhow runtime`: what they show is what they show with runc.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use dhow_conformance::left_out;
use dhow_testkit::process::{Answer, answer, find, must};
use dhow_testkit::{engine, rootfs};
use tempfile::TempDir;

/// The binary under the name by which it knows that it is a runtime.
fn runtime(directory: &Path) -> Result<PathBuf> {
    let link = directory.join("dhow-runtime");
    std::os::unix::fs::symlink(engine::binary()?, &link)?;
    Ok(link)
}

/// A podman with everything of its own: storage, state, configuration, mount namespace.
struct Podman {
    directory: TempDir,
}

impl Podman {
    fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().display();
        let runtime = runtime(directory.path())?;
        // Its cleanup, a process of its own, looks for the database below the storage. Of itself podman
        // would raise limits, for which machines without CAP_SYS_RESOURCE have no right.
        let configuration = format!(
            "[containers]\ndefault_ulimits = []\nnetns = \"none\"\nlog_driver = \"k8s-file\"\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"dhow\"\n\
             static_dir = \"{path}/root/libpod\"\ntmp_dir = \"{path}/tmp\"\n\
             [engine.runtimes]\ndhow = [\"{}\"]\n",
            runtime.display()
        );
        std::fs::write(directory.path().join("containers.conf"), configuration)?;
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{path}/root\"\nrunroot = \"{path}/run\"\n"
        );
        std::fs::write(directory.path().join("storage.conf"), storage)?;
        Ok(Self { directory })
    }

    /// Runs a script in which `podman` is this one.
    fn script(&self, script: &str) -> Result<Answer> {
        let path = self.directory.path();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-e", "-c", script]).current_dir(path);
        command.env("CONTAINERS_CONF", path.join("containers.conf"));
        command.env("CONTAINERS_STORAGE_CONF", path.join("storage.conf"));
        answer(&mut command, b"")
    }
}

#[test]
fn podman_runs_containers_with_our_runtime() -> Result<()> {
    if find("podman").is_none() || find("conmon").is_none() {
        return left_out("podman");
    }
    let podman = Podman::new()?;
    rootfs::busybox_tar(&podman.directory.path().join("busybox.tar"))?;
    // One mount namespace for all: podman's own mounts end with it.
    let script = r"
        exec 2>&1
        podman import busybox.tar busybox >/dev/null 2>&1
        code() { set +e; podman $* >/dev/null 2>&1; echo code $?; set -e; }
        code run --rm busybox sh -c false
        code run --rm busybox no-such-program
        code run --rm busybox /etc
        podman run --rm --read-only --cap-drop all --user 1000:1000 --hostname host busybox sh -c 'id; hostname; touch /x || echo read-only' 2>/dev/null
        podman run -d --name stays -m 64m --pids-limit 50 busybox sleep 1000 >/dev/null
        podman inspect -f '{{.State.Status}} {{.OCIRuntime}}' stays
        podman exec -u web stays id -G
        code exec stays no-such-program
        podman pause stays >/dev/null; podman inspect -f '{{.State.Status}}' stays
        podman unpause stays >/dev/null; podman top stays comm | tail -1
        podman kill -s KILL stays >/dev/null; podman wait stays
        podman rm -f -t 0 stays >/dev/null
        podman run --rm --uidmap 0:100000:1000 --gidmap 0:100000:1000 busybox cat /proc/self/uid_map | tr -s ' '
        podman run --rm --tmpfs /t --sysctl kernel.msgmax=5000 busybox sh -c 'grep -c /t.tmpfs /proc/mounts; cat /proc/sys/kernel/msgmax'
        podman ps -aq
    ";
    let answer = podman.script(script)?;
    let expected = "code 1\ncode 127\ncode 126\nuid=1000(web) gid=1000(web) groups=1000(web)\nhost\nread-only\nrunning dhow\n1000 29 44\n\
                    code 127\npaused\nsleep\n137\n 0 100000 1000\n1\n5000\n";
    assert_eq!(answer.stdout, expected, "{}", answer.stderr);
    Ok(())
}

/// A containerd with everything of its own; ended with the value.
struct Containerd {
    directory: TempDir,
    child: Child,
    runtime: PathBuf,
}

impl Containerd {
    fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().display();
        let configuration = format!(
            "version = 2\nroot = \"{path}/root\"\nstate = \"{path}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{path}/socket\"\n[ttrpc]\naddress = \"{path}/ttrpc\"\n"
        );
        std::fs::write(directory.path().join("config.toml"), configuration)?;
        let runtime = runtime(directory.path())?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--kill-child", "containerd", "-c"]);
        command.arg(directory.path().join("config.toml")).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let containerd = Self { child: command.spawn()?, directory, runtime };
        let end = Instant::now() + Duration::from_secs(30);
        while containerd.ctr(&["version"])?.status != 0 {
            ensure!(Instant::now() < end, "containerd does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(containerd)
    }

    fn ctr(&self, arguments: &[&str]) -> Result<Answer> {
        let mut command = Command::new("ctr");
        answer(command.arg("-a").arg(self.directory.path().join("socket")).args(arguments), b"")
    }

    fn run(&self, flags: &[&str], name: &str, arguments: &[&str]) -> Result<Answer> {
        let runtime = self.runtime.display().to_string();
        let own = ["run", "--runc-binary", &runtime];
        self.ctr(&[&own[..], flags, &["docker.io/library/busybox:latest", name], arguments].concat())
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `docker save`'s archive of busybox, which containerd reads.
fn archive(path: &Path) -> Result<()> {
    let engine = dhow_conformance::engine()?;
    let file = path.display().to_string();
    engine.dhow(&["save", "-o", &file, "busybox"]).check()
}

#[test]
fn containerd_runs_containers_with_our_runtime() -> Result<()> {
    if find("containerd").is_none() || find("ctr").is_none() {
        return left_out("containerd");
    }
    let containerd = Containerd::start()?;
    let image = containerd.directory.path().join("busybox.tar");
    archive(&image)?;
    containerd.ctr(&["images", "import", image.to_str().context("a path")?])?.check()?;
    let once = containerd.run(&["--rm"], "once", &["sh", "-c", "echo hi; exit 5"])?;
    assert_eq!((once.status, once.stdout.as_str()), (5, "hi\n"), "{}", once.stderr);
    // The runtime's state is below /run, for every containerd of this machine.
    let stays = format!("stays-{}", std::process::id());
    let stays = stays.as_str();
    let missing = containerd.run(&["--rm"], "missing", &["no-such-program"])?;
    assert!(missing.stderr.contains("executable file not found in $PATH"), "{}", missing.stderr);
    containerd.run(&["-d", "--memory-limit", "67108864"], stays, &["sleep", "1000"])?.check()?;
    let exec = containerd.ctr(&["task", "exec", "--exec-id", "one", stays, "sh", "-c", "id -u; exit 4"])?;
    assert_eq!((exec.status, exec.stdout.as_str()), (4, "0\n"), "{}", exec.stderr);
    let status = || -> Result<String> {
        let list = containerd.ctr(&["task", "ls"])?.stdout;
        let line = list.lines().find(|line| line.starts_with(stays)).unwrap_or_default();
        Ok(line.split_whitespace().last().unwrap_or_default().to_owned())
    };
    containerd.ctr(&["task", "pause", stays])?.check()?;
    assert_eq!(status()?, "PAUSED");
    containerd.ctr(&["task", "resume", stays])?.check()?;
    assert_eq!(status()?, "RUNNING");
    let metrics = containerd.ctr(&["task", "metrics", stays])?.stdout;
    assert!(metrics.contains("67108864"), "{metrics}");
    containerd.ctr(&["task", "kill", "-s", "KILL", stays])?.check()?;
    let end = Instant::now() + Duration::from_secs(30);
    while status()? != "STOPPED" {
        ensure!(Instant::now() < end, "it does not stop");
        std::thread::sleep(Duration::from_millis(20));
    }
    containerd.ctr(&["task", "delete", stays])?;
    containerd.ctr(&["container", "delete", stays])?.check()?;
    must(Command::new(&containerd.runtime).arg("--version"))?;
    Ok(())
}
