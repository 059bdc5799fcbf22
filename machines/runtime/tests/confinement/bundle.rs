//! A bundle with busybox in it, and the command that is run over it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dhow_oci::capabilities::DEFAULT;
use dhow_runtime::cgroups::{Cgroup, CgroupPath, Layout};
use serde_json::{Value, json};

/// A bundle, a directory of states and a cgroup of its own; what runs in it ends with it.
pub(crate) struct Bundle {
    directory: tempfile::TempDir,
    /// The cgroup above that of the container.
    cgroup: String,
}

/// The only container of a bundle.
const ID: &str = "container";

impl Bundle {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let rootfs = directory.path().join("rootfs");
        for name in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
            std::fs::create_dir_all(rootfs.join(name)).unwrap();
        }
        std::fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
        let cgroup = format!("dhow-stories{}", directory.path().file_name().unwrap().to_string_lossy());
        Self { directory, cgroup }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    /// A configuration that runs a script: Docker's capabilities, /proc, and nothing else.
    pub(crate) fn config(&self, script: &str) -> Value {
        json!({
            "ociVersion": "1.2.0",
            "root": {"path": "rootfs"},
            "process": {
                "cwd": "/", "env": ["PATH=/bin"], "noNewPrivileges": true,
                "args": ["/bin/busybox", "sh", "-c", script],
                "capabilities": {"bounding": DEFAULT.names(), "effective": DEFAULT.names(),
                                 "permitted": DEFAULT.names()},
            },
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {
                "cgroupsPath": format!("/{}/{ID}", self.cgroup),
                "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}],
            },
        })
    }

    /// Runs a container to its end.
    pub(crate) fn run(&self, config: &Value) -> Output {
        self.write(config);
        self.command("run").arg("--bundle").arg(self.path()).arg(ID).output().unwrap()
    }

    /// Starts a container whose terminal goes to who listens at `socket`.
    pub(crate) fn run_detached_with_terminal(&self, config: &Value, socket: &Path) -> Output {
        self.write(config);
        let mut command = self.command("run");
        command.arg("--detach").arg("--console-socket").arg(socket);
        let output = command.arg("--bundle").arg(self.path()).arg(ID).output().unwrap();
        let _ = self.command("delete").args(["--force", ID]).output();
        output
    }

    /// Runs a container to its end in a network namespace in which nobody else is.
    pub(crate) fn run_in_own_network(&self, config: &Value) -> Output {
        self.run_in(&["--net"], "true", config)
    }

    /// Runs a container to its end in a mount namespace in which `setup` was done before.
    pub(crate) fn run_after(&self, setup: &str, config: &Value) -> Output {
        self.run_in(&["--mount", "--propagation", "private"], setup, config)
    }

    fn run_in(&self, namespaces: &[&str], setup: &str, config: &Value) -> Output {
        self.write(config);
        let run = self.command("run");
        let mut command = Command::new("unshare");
        command.args(namespaces).args(["sh", "-c"]);
        command.arg(format!("{setup}; exec \"$@\"")).arg("sh").arg(run.get_program()).args(run.get_args());
        command.arg("--bundle").arg(self.path()).arg(ID).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a script in a container whose `linux` has these members too.
    pub(crate) fn run_script(&self, script: &str, no_new_privileges: bool, linux: &Value) -> Output {
        let mut config = self.config(script);
        config["process"]["noNewPrivileges"] = no_new_privileges.into();
        for (name, value) in linux.as_object().unwrap() {
            config["linux"][name] = value.clone();
        }
        self.run(&config)
    }

    /// Starts a container that goes on until the bundle is dropped.
    pub(crate) fn start(&self, config: &Value) {
        self.start_with(config, &[]);
    }

    /// The same with further flags.
    pub(crate) fn start_with(&self, config: &Value, flags: &[&str]) {
        self.write(config);
        let mut command = self.command("run");
        command.args(flags).arg("--detach").arg("--bundle").arg(self.path()).arg(ID);
        // Its streams are the container's too: nobody may wait for their end.
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(status.success());
    }

    /// Runs one more program in the container that was started; flags of `exec` come first.
    pub(crate) fn exec(&self, flags: &[&str], arguments: &[&str]) -> Output {
        self.command("exec").args(flags).arg(ID).args(arguments).output().unwrap()
    }

    /// What `state` tells of the container that was started.
    pub(crate) fn state(&self) -> Value {
        serde_json::from_slice(&self.command("state").arg(ID).output().unwrap().stdout).unwrap()
    }

    /// The verb, with the states of this bundle's container.
    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["runtime", "--root"]).arg(self.path().join("state")).arg(verb).stdin(Stdio::null());
        command
    }

    fn write(&self, config: &Value) {
        std::fs::write(self.path().join("config.json"), config.to_string()).unwrap();
    }

    /// Makes a cgroup beside the container's, in every hierarchy; answers its path.
    pub(crate) fn make_cgroup(&self, name: &str) -> String {
        let path = format!("/{}/{name}", self.cgroup);
        let layout = Layout::detect().unwrap();
        Cgroup::create(&layout, &CgroupPath::parse(&path).unwrap()).unwrap();
        path
    }

    /// The directories of a cgroup above or of the container, in every hierarchy.
    pub(crate) fn cgroups(&self, path: &str) -> Vec<PathBuf> {
        let relative = format!("{}{path}", self.cgroup);
        let below = std::fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
        let all = below.chain(["/sys/fs/cgroup".into()]).map(|hierarchy| hierarchy.join(&relative));
        all.filter(|directory| directory.is_dir()).collect()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = self.command("delete").args(["--force", ID]).output();
        for directory in self.cgroups("/container").into_iter().chain(self.cgroups("")) {
            let _ = std::fs::remove_dir(directory);
        }
    }
}

/// What a container wrote, and what the command said.
pub(crate) fn told(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    format!("{}{}", String::from_utf8_lossy(&output.stdout), errors)
}
