//! Stories of confinement, told through the OCI command on the real kernel.
//!
//! Has no test harness: the runtime is this very program with `runtime` before its arguments. Other
//! arguments: a part of a name chooses stories, as with the usual harness.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking; this one has a harness of its own")]

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use dhow_oci::capabilities::DEFAULT;
use dhow_oci::profile::default_profile;
use dhow_runtime::seccomp::circumstances;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

type Story = fn(&Bundle);

const STORIES: &[(&str, Story)] = &[
    ("the default profile holds in a container", the_default_profile_holds),
    ("a profile that knows no newer calls does not hinder the runtime", an_old_profile_does_not_hinder),
    ("a forbidden call ends the container as the signal says", a_forbidden_call_ends_it),
    ("a listener is given the descriptor while the container is created", a_listener_is_given_the_descriptor),
    ("the cgroup has the limits, and goes with the container", the_cgroup_has_the_limits),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == "runtime") {
        return dhow_runtime::command::run(arguments.skip(1));
    }
    if !rustix::process::geteuid().is_root() || !Path::new("/bin/busybox").exists() {
        println!("not run here: needs root, and /bin/busybox, statically linked (package busybox-static)");
        return ExitCode::SUCCESS;
    }
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let mut failed = 0;
    for (name, story) in STORIES {
        if wanted.as_ref().is_some_and(|part| !name.contains(part.as_str())) {
            continue;
        }
        let is_fine = catch_unwind(AssertUnwindSafe(|| story(&Bundle::new()))).is_ok();
        println!("story {name} ... {}", if is_fine { "ok" } else { "FAILED" });
        failed += usize::from(!is_fine);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A bundle with busybox in it.
struct Bundle {
    directory: tempfile::TempDir,
    /// The cgroup above that of the container.
    cgroup: String,
}

impl Bundle {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bin = directory.path().join("rootfs/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(directory.path().join("rootfs/proc")).unwrap();
        std::fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        let cgroup = format!("dhow-stories{}", directory.path().file_name().unwrap().to_string_lossy());
        Self { directory, cgroup }
    }

    /// Runs a script in a container whose `linux` has these members too.
    fn run(&self, script: &str, no_new_privileges: bool, linux: &Value) -> Output {
        let mut config = json!({
            "ociVersion": "1.2.0",
            "root": {"path": "rootfs"},
            "process": {
                "cwd": "/", "env": ["PATH=/bin"], "noNewPrivileges": no_new_privileges,
                "args": ["/bin/busybox", "sh", "-c", script],
                "capabilities": {"bounding": DEFAULT.names(), "effective": DEFAULT.names(),
                                 "permitted": DEFAULT.names()},
            },
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {
                "cgroupsPath": format!("/{}/container", self.cgroup),
                "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}],
            },
        });
        for (name, value) in linux.as_object().unwrap() {
            config["linux"][name] = value.clone();
        }
        let path = self.directory.path();
        std::fs::write(path.join("config.json"), config.to_string()).unwrap();
        Command::new(std::env::current_exe().unwrap())
            .args(["runtime", "--root"])
            .arg(path.join("state"))
            .args(["run", "--bundle"])
            .arg(path)
            .arg("container")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The directories of a cgroup above or of the container, in every hierarchy.
    fn cgroups(&self, path: &str) -> Vec<std::path::PathBuf> {
        let relative = format!("{}{path}", self.cgroup);
        let below = std::fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
        let all = below.chain(["/sys/fs/cgroup".into()]).map(|hierarchy| hierarchy.join(&relative));
        all.filter(|directory| directory.is_dir()).collect()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        for directory in self.cgroups("/container").into_iter().chain(self.cgroups("")) {
            let _ = std::fs::remove_dir(directory);
        }
    }
}

fn told(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    format!("{}{}", String::from_utf8_lossy(&output.stdout), errors)
}

const SCRIPT: &str = "grep ^Seccomp: /proc/self/status
    chroot / /bin/busybox true && echo chroot
    mount -t tmpfs none /proc 2>/dev/null || echo no mount
    unshare -U true 2>/dev/null || echo no namespace";

fn the_default_profile_holds(bundle: &Bundle) {
    let seccomp = serde_json::to_value(default_profile(circumstances(DEFAULT))).unwrap();
    for no_new_privileges in [false, true] {
        let output = bundle.run(SCRIPT, no_new_privileges, &json!({ "seccomp": seccomp }));
        assert_eq!(told(&output), "Seccomp:\t2\nchroot\nno mount\nno namespace\n");
    }
}

/// Calls of kernels after 5.8 are unknown to many profiles that people have.
fn an_old_profile_does_not_hinder(bundle: &Bundle) {
    let mut seccomp = default_profile(circumstances(DEFAULT));
    let new = ["close_range", "openat2", "faccessat2", "clone3", "epoll_pwait2", "futex_waitv"];
    for rule in &mut seccomp.syscalls {
        rule.names.retain(|name| !new.contains(&name.as_str()));
    }
    let seccomp = serde_json::to_value(seccomp).unwrap();
    for no_new_privileges in [false, true] {
        let output = bundle.run("echo alive", no_new_privileges, &json!({ "seccomp": seccomp }));
        assert_eq!(told(&output), "alive\n");
    }
}

fn a_forbidden_call_ends_it(bundle: &Bundle) {
    let seccomp = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["uname"], "action": "SCMP_ACT_KILL_PROCESS"}],
    });
    let output = bundle.run("exec /bin/busybox uname", true, &json!({ "seccomp": seccomp }));
    assert_eq!(output.status.code(), Some(128 + 31), "{}", told(&output));
}

fn a_listener_is_given_the_descriptor(bundle: &Bundle) {
    let path = bundle.directory.path().join("listener");
    let listener = UnixListener::bind(&path).unwrap();
    let agent = std::thread::spawn(move || {
        let (visitor, _) = listener.accept().unwrap();
        let mut text = vec![0; 65536];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let slices = &mut [IoSliceMut::new(&mut text)];
        let length = recvmsg(&visitor, slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC).unwrap().bytes;
        let count = ancillary.drain().map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.count(),
            _ => 0,
        });
        (serde_json::from_slice::<Value>(&text[..length]).unwrap(), count.sum::<usize>())
    });
    let seccomp = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "who",
        "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_NOTIFY"}],
    });
    let output = bundle.run("echo alive", true, &json!({ "seccomp": seccomp }));
    assert_eq!(told(&output), "alive\n");
    let (message, descriptors) = agent.join().unwrap();
    assert_eq!(descriptors, 1);
    assert_eq!(message["fds"], json!(["seccompFd"]));
    assert_eq!((&message["metadata"], &message["state"]["id"]), (&json!("who"), &json!("container")));
}

fn the_cgroup_has_the_limits(bundle: &Bundle) {
    let resources = json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 33}});
    let mounts = r#"for f in $(cat /proc/self/cgroup); do echo "${f##*/}"; done | sort -u"#;
    let output = bundle.run(mounts, true, &json!({ "resources": resources }));
    assert_eq!(told(&output), "container\n", "a process is in it in every hierarchy");
    assert!(bundle.cgroups("/container").is_empty(), "{:?}", bundle.cgroups("/container"));

    let refused = json!({"memory": {"limit": 67_108_864, "swappiness": 300}});
    let output = bundle.run("true", true, &json!({ "resources": refused }));
    assert!(told(&output).contains("invalid memory swappiness value: 300 (valid range is 0-100)"));
    assert!(bundle.cgroups("/container").is_empty(), "nothing is left of a container that was refused");
}
