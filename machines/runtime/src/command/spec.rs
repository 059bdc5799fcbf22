//! `spec`: a configuration to begin with.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use dhow_model::{Error, Result};
use serde_json::{Value, json};

use super::arguments::{Flag, Parsed, Syntax, option, switch};
use super::state::pretty;
use super::{Context, Verb};

pub(super) const VERB: Verb = Verb {
    name: "spec",
    arguments: "[--bundle DIR] [--rootless]",
    about: "writes a config.json to begin with",
    syntax: Syntax {
        flags: &[Flag { short: Some('b'), ..option("bundle") }, switch("rootless")],
        first_word_ends: false,
    },
    run,
    failure: 1,
    makes_process: false,
};

fn run(_: &Context, parsed: &Parsed) -> Result<u8> {
    let path = Path::new(parsed.value("bundle").unwrap_or(".")).join("config.json");
    let mut spec = example();
    if parsed.has("rootless") {
        make_rootless(&mut spec);
    }
    let text = pretty(&spec)?;
    let written = File::create_new(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and(file.write_all(b"\n")));
    written
        .map_err(|error| Error::conflict(format!("cannot write {}", path.display())).because(error))
        .map(|()| 0)
}

fn example() -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": dhow_oci::runtime::VERSION,
        "process": {
            "terminal": true,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "dhow",
        "mounts": mounts(),
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                {"type": "cgroup"}
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
                "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
                "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}

fn mounts() -> Value {
    let mount = |kind: &str, source: &str, place: &str, options: &[&str]| json!({"destination": place, "type": kind, "source": source, "options": options});
    let mut proc = mount("proc", "proc", "/proc", &[]);
    if let Some(proc) = proc.as_object_mut() {
        proc.remove("options");
    }
    json!([
        proc,
        mount("tmpfs", "tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "devpts",
            "devpts",
            "/dev/pts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        ),
        mount("tmpfs", "shm", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("mqueue", "mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
        mount("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]),
        mount("cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"])
    ])
}

/// A user namespace in which the caller is root, and nothing that only the host's root may have.
fn make_rootless(spec: &mut Value) {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let map = |host: u32| json!([{"containerID": 0, "hostID": host, "size": 1}]);
    if let Some(namespaces) = spec["linux"]["namespaces"].as_array_mut() {
        namespaces.retain(|one| one["type"] != "network");
        namespaces.push(json!({"type": "user"}));
    }
    spec["linux"]["uidMappings"] = map(uid);
    spec["linux"]["gidMappings"] = map(gid);
    if let Some(linux) = spec["linux"].as_object_mut() {
        linux.remove("resources");
    }
    let sys = json!({
        "destination": "/sys", "type": "none", "source": "/sys",
        "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]
    });
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        mounts.retain(|mount| mount["type"] != "cgroup");
        for mount in mounts.iter_mut() {
            if mount["destination"] == "/sys" {
                *mount = sys.clone();
            }
            if let Some(options) = mount["options"].as_array_mut() {
                options.retain(|option| option != "gid=5");
            }
        }
    }
}
