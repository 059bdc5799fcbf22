//! What every story needs: directories, a root file system, a runtime, a way to wait.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dhow_model::ContainerId;
use dhow_model::container::{Exit, Running};
use dhow_model::ports::{
    AttachOptions, ExecPlan, LogFileKind, LogFileOptions, LogOptions, LogQuery, RootfsPlan, Runtime,
    RuntimeEvent, StartFailure, StartPlan, StdioPlan, Target,
};
use dhow_oci::runtime::{Process, Spec};
use dhow_runtime::launcher::Launcher;
use dhow_runtime::port::{Directories, LauncherRuntime};

/// The role of the program that a story kills.
pub(crate) const ENGINE: &str = "engine-that-will-be-killed";

/// The role of the program when a container executes it.
pub(crate) const OVERWRITER: &str = "program-that-overwrites-itself";

/// Longer than anything takes; nobody waits for it but a test that fails.
const FOREVER: Duration = Duration::from_secs(20);

pub(crate) const OUTPUT: AttachOptions = AttachOptions { stdin: false, stdout: true, stderr: true };
pub(crate) const BOTH: AttachOptions = AttachOptions { stdin: true, stdout: true, stderr: true };

/// A runtime with directories of its own.
pub(crate) struct Stage {
    pub(crate) directory: PathBuf,
    pub(crate) runtime: LauncherRuntime,
    events: Mutex<Receiver<RuntimeEvent>>,
}

/// Why the stories cannot be told here.
pub(crate) fn cannot_run() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root");
    }
    if !Path::new("/bin/busybox").exists() {
        return Some("needs /bin/busybox, statically linked (package busybox-static)");
    }
    None
}

/// Tells one story and checks that nothing is left of it.
pub(crate) fn on_stage(story: &fn(&Stage)) {
    let directory = tempfile::tempdir().unwrap();
    make_rootfs(&directory.path().join("rootfs"));
    // Monitors of engines that are killed come to us, so that we see them end.
    dhow_sys::process::become_subreaper().unwrap();
    let descriptors = count_descriptors();
    let told = catch_unwind(AssertUnwindSafe(|| story(&Stage::at(directory.path()))));
    let left = end_children(told.is_err());
    told.unwrap_or_else(|panic| resume_unwind(panic));
    assert_eq!(left, 0, "processes are left");
    assert_eq!(count_descriptors(), descriptors, "descriptors are left open");
}

/// Waits for what this process has become the parent of, or kills it, at once or after a while;
/// returns how many had to be killed.
fn end_children(mut at_once: bool) -> usize {
    use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
    let (until, mut killed) = (std::time::Instant::now() + Duration::from_secs(10), 0);
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => continue,
            Ok(None) if at_once || std::time::Instant::now() > until => {
                let children = format!("/proc/self/task/{}/children", std::process::id());
                let children = std::fs::read_to_string(children).unwrap();
                for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
                    killed += usize::from(kill_process(Pid::from_raw(child).unwrap(), Signal::KILL).is_ok());
                }
                at_once = false;
            }
            Ok(None) => std::thread::yield_now(),
            Err(_) => return killed,
        }
    }
}

impl Stage {
    /// A runtime in `directory`, as a new engine makes it.
    pub(crate) fn at(directory: &Path) -> Self {
        let (sender, events) = channel();
        let directories =
            Directories { exec_root: directory.join("run"), containers: directory.join("containers") };
        let sender = Mutex::new(sender);
        let send = move |event| drop(sender.lock().unwrap().send(event));
        let runtime = LauncherRuntime::new(Launcher::start().unwrap(), directories, Arc::new(send)).unwrap();
        Self { directory: directory.into(), runtime, events: Mutex::new(events) }
    }

    /// A plan that runs `script` in the shell.
    pub(crate) fn plan(&self, id: &ContainerId, script: &str) -> StartPlan {
        let directory = self.directory.join("containers").join(id.as_str());
        std::fs::create_dir_all(&directory).unwrap();
        StartPlan {
            id: id.clone(),
            spec: Arc::new(spec(id, &["/bin/sh", "-c", script])),
            rootfs: RootfsPlan::Directory(self.directory.join("rootfs")),
            trees: BTreeMap::new(),
            stdio: StdioPlan::default(),
            log: json_log(None),
            directory,
            init: false,
            program: None,
            donors: Vec::new(),
        }
    }

    pub(crate) fn start(&self, plan: StartPlan) -> Running {
        self.runtime.start(plan).unwrap_or_else(|failure| panic!("{}", failure.error.report()))
    }

    pub(crate) fn exec(
        &self,
        id: &ContainerId,
        pid: i32,
        stdio: StdioPlan,
        arguments: &[&str],
    ) -> (Target, Result<Running, StartFailure>) {
        let target = exec_target(id);
        let plan = self.exec_plan(&target, pid, stdio, arguments);
        (target, self.runtime.exec(plan))
    }

    pub(crate) fn exec_plan(
        &self,
        target: &Target,
        pid: i32,
        stdio: StdioPlan,
        arguments: &[&str],
    ) -> ExecPlan {
        let spec = spec(&target.id, arguments);
        let process = Process { terminal: stdio.terminal, ..spec.process.clone().unwrap() };
        ExecPlan {
            target: target.clone(),
            pid,
            process: Arc::new(process),
            spec: Arc::new(spec),
            stdio,
            program: None,
        }
    }

    pub(crate) fn attach(&self, target: &Target, options: AttachOptions) -> UnixStream {
        let stream: OwnedFd = self.runtime.attach(target, options).unwrap();
        UnixStream::from(stream)
    }

    pub(crate) fn next_event(&self) -> RuntimeEvent {
        self.events.lock().unwrap().recv_timeout(FOREVER).expect("no event came")
    }

    /// Waits for the exit of a target; other exits and events are passed over.
    pub(crate) fn exit_of(&self, target: &Target) -> Exit {
        loop {
            match self.next_event() {
                RuntimeEvent::Exited { target: other, exit } if other == *target => return exit,
                _ => {}
            }
        }
    }

    pub(crate) fn log(&self, id: &ContainerId, query: LogQuery) -> Vec<u8> {
        let query = LogQuery { stdout: true, stderr: true, ..query };
        let entries = self.runtime.logs(id, LogFileKind::Json, query).unwrap();
        entries.flat_map(|entry| entry.unwrap().bytes).collect()
    }
}

/// A log of JSON, in files of so many bytes.
pub(crate) fn json_log(max_size: Option<u64>) -> LogOptions {
    let file = LogFileOptions {
        kind: LogFileKind::Json,
        max_size,
        max_files: 100,
        compress: false,
        attributes: Default::default(),
    };
    LogOptions { file: Some(file), service: None }
}

pub(crate) fn new_id() -> ContainerId {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).unwrap();
    ContainerId::from_random(bytes)
}

pub(crate) fn exec_target(id: &ContainerId) -> Target {
    Target { id: id.clone(), exec: Some(new_id().to_string()) }
}

/// What a client without a terminal got, by stream.
pub(crate) fn frames(mut stream: &UnixStream) -> (Vec<u8>, Vec<u8>) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut header = [0; 8];
    while stream.read_exact(&mut header).is_ok() {
        let length = u32::from_be_bytes(header[4..].try_into().unwrap());
        let mut bytes = vec![0; length as usize];
        stream.read_exact(&mut bytes).unwrap();
        match header[0] {
            1 => stdout.extend(bytes),
            2 => stderr.extend(bytes),
            other => panic!("stream {other}"),
        }
    }
    (stdout, stderr)
}

/// Reads until `wanted` has come.
pub(crate) fn read_until(mut stream: &UnixStream, wanted: &str) -> String {
    stream.set_read_timeout(Some(FOREVER)).unwrap();
    let mut text = String::new();
    let mut bytes = [0; 1024];
    while !text.contains(wanted) {
        let length = stream.read(&mut bytes).unwrap();
        assert!(length > 0, "the stream ended with {text:?} and without {wanted:?}");
        text.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    text
}

fn count_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Busybox alone.
fn make_rootfs(rootfs: &Path) {
    for directory in ["bin", "dev", "proc", "sys", "tmp", "etc"] {
        std::fs::create_dir_all(rootfs.join(directory)).unwrap();
    }
    std::fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
    for applet in ["sh", "cat", "true", "sleep", "stty", "dd", "tail", "ls", "readlink", "grep"] {
        std::os::unix::fs::symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
    }
}

/// A configuration such as the engine makes, cut to what the stories need.
fn spec(id: &ContainerId, arguments: &[&str]) -> Spec {
    let mount = |destination: &str, kind: &str, options: &[&str]| serde_json::json!({"destination": destination, "type": kind, "source": kind, "options": options});
    let namespaces: Vec<_> = ["pid", "mount", "ipc", "uts", "network", "cgroup"]
        .map(|kind| serde_json::json!({"type": kind}))
        .into();
    serde_json::from_value(serde_json::json!({
        "ociVersion": "1.2.1",
        "hostname": "story",
        "process": {
            "args": arguments, "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
            "noNewPrivileges": true, "oomScoreAdj": 0,
        },
        "root": {"path": "rootfs"},
        "mounts": [
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
        ],
        "linux": {
            "cgroupsPath": format!("/dhow-runtime-stories/{id}"),
            "namespaces": namespaces,
        },
    }))
    .unwrap()
}
