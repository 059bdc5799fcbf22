//! Stories of what a configuration asks for: each is there in the container, or refused by name.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::Story;
use crate::bundle::{Bundle, told};

pub(crate) const ALL: &[(&str, Story)] = &[
    ("the personality is the container's", the_personality_is_the_containers),
    ("clocks have their offsets", clocks_have_their_offsets),
    ("scheduler, priorities and limits are as asked for", scheduler_and_priorities),
    ("namespaces are joined by path", namespaces_are_joined_by_path),
    ("a user namespace by path owns the new namespaces", a_user_namespace_by_path_owns_the_new_ones),
    ("owners of a mount are mapped", owners_of_a_mount_are_mapped),
    ("a mount is read-only with all below it", a_mount_is_read_only_with_all_below),
    ("every propagation of the root can be had", every_propagation_of_the_root),
    ("hooks run at their points with nothing of the container's", hooks_run_at_their_points),
    ("a hook that does not end is ended", a_hook_that_does_not_end_is_ended),
    ("what is not served is refused by name", what_is_not_served_is_refused_by_name),
];

/// Sets a member that is deep inside.
fn with(mut config: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap()[name] = value;
    config
}

fn add_namespace(config: &mut Value, namespace: Value) {
    config["linux"]["namespaces"].as_array_mut().unwrap().push(namespace);
}

fn the_personality_is_the_containers(bundle: &Bundle) {
    let config = bundle.config("/bin/busybox uname -m; exec /bin/busybox sleep 1000");
    let config = with(config, "/linux/personality", json!({"domain": "LINUX32"}));
    bundle.start(&config);
    assert_eq!(told(&bundle.exec(&[], &["/bin/busybox", "uname", "-m"])), "i686\n");
    let own = bundle.exec(&[], &["/bin/busybox", "cat", "/proc/1/personality"]);
    assert!(told(&own).contains('8'), "{}", told(&own));
}

fn clocks_have_their_offsets(bundle: &Bundle) {
    let mut config = bundle.config("/bin/busybox cat /proc/uptime");
    add_namespace(&mut config, json!({"type": "time"}));
    config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1_000_000_000}, "monotonic": {"secs": 5}});
    let output = told(&bundle.run(&config));
    let seconds: f64 = output.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{output}"));
    assert!(seconds > 1e9, "{output}");
}

fn scheduler_and_priorities(bundle: &Bundle) {
    // proc_pid_stat(5): 19 is the nice value, 41 the policy.
    let script = "set -- $(/bin/busybox cat /proc/self/stat); echo ${19} ${41}; /bin/busybox ionice -p $$
        ulimit -n; umask; /bin/busybox cat /proc/self/oom_score_adj; echo $HOME; hostname";
    let mut config = bundle.config(script);
    config["hostname"] = "story".into();
    let process = &mut config["process"];
    process["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5});
    process["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
    process["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 333, "hard": 444}]);
    process["user"] = json!({"uid": 0, "gid": 0, "umask": 0o027});
    process["oomScoreAdj"] = 77.into();
    let output = told(&bundle.run(&config));
    assert_eq!(output, "5 3\nbest-effort: prio 6\n333\n0027\n77\n/\nstory\n");
}

/// A process that holds namespaces of its own.
struct Holder(Child);

impl Holder {
    fn new(flags: &[&str]) -> Self {
        let mut command = Command::new("unshare");
        // It says when it is there.
        command.args(flags).args(["sh", "-c", "echo there; exec sleep 1000"]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut word = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut word).unwrap();
        Self(child)
    }

    fn namespace(&self, file: &str) -> String {
        format!("/proc/{}/ns/{file}", self.0.id())
    }

    fn identity(&self, file: &str) -> String {
        std::fs::read_link(self.namespace(file)).unwrap().display().to_string()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn namespaces_are_joined_by_path(bundle: &Bundle) {
    let holder = Holder::new(&["--net", "--uts", "--ipc", "--cgroup"]);
    let kinds = [("network", "net"), ("uts", "uts"), ("ipc", "ipc"), ("cgroup", "cgroup")];
    let script = "for n in net uts ipc cgroup; do /bin/busybox readlink /proc/self/ns/$n; done";
    let mut config = bundle.config(script);
    config["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "pid"}]);
    for (kind, file) in kinds {
        add_namespace(&mut config, json!({"type": kind, "path": holder.namespace(file)}));
    }
    let expected: String = kinds.iter().map(|(_, file)| holder.identity(file) + "\n").collect();
    assert_eq!(told(&bundle.run(&config)), expected);
    // A wrong kind is told, and nothing is left.
    let wrong = json!([{"type": "mount"}, {"type": "network", "path": holder.namespace("uts")}]);
    let output = bundle.run(&with(config, "/linux/namespaces", wrong));
    assert!(told(&output).contains("join the Network namespace"), "{}", told(&output));
}

/// Also with a new pid namespace: whoever makes /proc must own it.
fn a_user_namespace_by_path_owns_the_new_ones(bundle: &Bundle) {
    let holder = Holder::new(&["--user", "--map-root-user", "--net"]);
    let mut config = bundle.config("/bin/busybox cat /proc/self/uid_map; exec /bin/busybox sleep 1000");
    add_namespace(&mut config, json!({"type": "user", "path": holder.namespace("user")}));
    add_namespace(&mut config, json!({"type": "network", "path": holder.namespace("net")}));
    bundle.start(&config);
    let script = "for n in user net; do for p in 1 self; do /bin/busybox readlink /proc/$p/ns/$n; done; done
        /bin/busybox mount -t tmpfs none /tmp && echo mounted";
    let output = told(&bundle.exec(&["--cap", "CAP_SYS_ADMIN"], &["/bin/busybox", "sh", "-c", script]));
    let (user, net) = (holder.identity("user"), holder.identity("net"));
    assert_eq!(output, format!("{user}\n{user}\n{net}\n{net}\nmounted\n"));
}

fn owners_of_a_mount_are_mapped(bundle: &Bundle) {
    let source = bundle.path().join("owned");
    std::fs::write(&source, "").unwrap();
    let mapping = json!([{"containerID": 0, "hostID": 4242, "size": 10}]);
    let mut config = bundle.config("/bin/busybox stat -c '%u %g' /mapped");
    config["mounts"].as_array_mut().unwrap().push(json!({
        "destination": "/mapped", "type": "bind", "source": source, "options": ["bind", "idmap"],
        "uidMappings": mapping, "gidMappings": mapping,
    }));
    assert_eq!(told(&bundle.run(&config)), "4242 4242\n");
}

/// `rro`; with `ro` what is mounted below stays writable, as mount(2) has it.
fn a_mount_is_read_only_with_all_below(bundle: &Bundle) {
    let source = bundle.path().join("source");
    std::fs::create_dir_all(source.join("below")).unwrap();
    let script =
        "for f in /x/file /x/below/file; do /bin/busybox touch $f 2>/dev/null && echo $f; done; true";
    for (option, expected) in [("ro", "/x/below/file\n"), ("rro", "")] {
        let mut config = bundle.config(script);
        config["mounts"].as_array_mut().unwrap().push(json!({
            "destination": "/x", "type": "bind", "source": source, "options": ["rbind", option],
        }));
        let setup = format!("mount -t tmpfs none {}/below", source.display());
        let output = bundle.run_after(&setup, &config);
        let written: String = told(&output)
            .lines()
            .filter(|line| line.starts_with("/x"))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(written, expected, "{option}: {}", told(&output));
    }
}

/// `shared` made pivot_root(2) fail, `unbindable` the mount of the root.
fn every_propagation_of_the_root(bundle: &Bundle) {
    let script = "/bin/busybox awk '$5 == \"/\" {print $7}' /proc/self/mountinfo";
    let own = std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
    for (propagation, expected) in
        [("shared", "shared:"), ("rslave", "-"), ("private", "-"), ("unbindable", "unbindable")]
    {
        let config = with(bundle.config(script), "/linux/rootfsPropagation", propagation.into());
        for host in ["mount --make-rshared /", "mount --make-rprivate /"] {
            let setup = format!("{host}; mount --bind {0} {0}", bundle.path().display());
            let output = told(&bundle.run_after(&setup, &config));
            let script_root = output.lines().next().unwrap_or_default();
            let as_expected =
                script_root.starts_with(expected) || expected == "-" && !script_root.starts_with("shared");
            assert!(as_expected, "{propagation}, {host}: {output}");
        }
    }
    let now = std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
    assert_eq!(now, own, "something of a container's is mounted on the host");
}

/// CVE-2025-23266: what an image sets is not for programs of the host.
fn hooks_run_at_their_points(bundle: &Bundle) {
    let log = bundle.path().join("hooks.log");
    let hook = bundle.path().join("hook");
    // Shells set PWD themselves.
    let script = format!(
        "#!/bin/sh\nread state\ncase $state in *'\"status\":\"'*) s=${{state#*'\"status\":\"'}};; esac\n\
         echo \"$1 ${{s%%\\\"*}} $(pwd) $(env | grep -v ^PWD= | tr '\\n' ' ')\" >> {}\n",
        log.display()
    );
    std::fs::write(&hook, script).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let one = |name: &str| json!([{"path": hook, "args": ["hook", name], "env": ["OWN=1"]}]);
    let mut config = bundle.config("true");
    config["process"]["env"] = json!(["PATH=/bin", "LD_PRELOAD=/evil.so", "SECRET=x"]);
    let names = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];
    config["hooks"] =
        names.iter().map(|name| ((*name).to_owned(), one(name))).collect::<serde_json::Map<_, _>>().into();
    // This one is a program of the container's.
    config["hooks"]["startContainer"] = json!([{"path": "/bin/busybox", "args": ["touch", "/tmp/started"]}]);
    let output = bundle.run(&config);
    assert!(output.status.success(), "{}", told(&output));
    let expected = "prestart creating / OWN=1 \ncreateRuntime creating / OWN=1 \ncreateContainer creating / OWN=1 \n\
                    poststart running / OWN=1 \npoststop stopped / OWN=1 \n";
    assert_eq!(std::fs::read_to_string(&log).unwrap(), expected);
    assert!(bundle.rootfs().join("tmp/started").exists());
}

fn a_hook_that_does_not_end_is_ended(bundle: &Bundle) {
    let mut config = bundle.config("echo never");
    config["hooks"] =
        json!({"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1}]});
    let output = bundle.run(&config);
    assert!(
        told(&output).contains("CreateRuntime hook #0: /bin/sleep: timed out after 1 s"),
        "{}",
        told(&output)
    );
    assert!(bundle.cgroups("/container").is_empty(), "something is left");
}

fn what_is_not_served_is_refused_by_name(bundle: &Bundle) {
    let time = json!({"boottime": {"secs": 1}});
    let table = [
        ("/linux/intelRdt", json!({"closID": "x"}), "linux.intelRdt is not supported"),
        (
            "/linux/personality",
            json!({"domain": "LINUX64"}),
            "linux.personality: domain \"LINUX64\" is unknown",
        ),
        (
            "/linux/personality",
            json!({"domain": "LINUX", "flags": ["X"]}),
            "linux.personality: flags are not supported",
        ),
        ("/linux/timeOffsets", time, "unable to set timeOffsets without a private Time namespace"),
        ("/linux/rootfsPropagation", "odd".into(), "rootfsPropagation=odd is not supported"),
        (
            "/linux/uidMappings",
            json!([{"containerID": 0, "hostID": 1, "size": 1}]),
            "without a private User namespace",
        ),
        ("/linux/sysctl", json!({"vm.swappiness": "1"}), "not in a separate kernel namespace"),
        ("/linux/namespaces", json!([{"type": "pid"}]), "mounts need a mount namespace"),
        ("/linux/namespaces", json!([{"type": "pid"}, {"type": "pid"}]), "duplicated ns"),
        ("/linux/namespaces", json!([{"type": "moon"}]), "unknown variant `moon`"),
        ("/process/scheduler", json!({"policy": "SCHED_ODD"}), "policy \"SCHED_ODD\" is unknown"),
        ("/process/ioPriority", json!({"class": "X", "priority": 1}), "invalid ioPriority.Class: X"),
        (
            "/process/ioPriority",
            json!({"class": "IOPRIO_CLASS_BE", "priority": 8}),
            "ioPriority.priority is not in 0..7",
        ),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_ODD", "soft": 1, "hard": 1}]),
            "invalid rlimit type: RLIMIT_ODD",
        ),
        ("/process/oomScoreAdj", 1001.into(), "process.oomScoreAdj 1001 is not in -1000..1000"),
        ("/process/cwd", "tmp".into(), "Cwd must be an absolute path"),
        ("/ociVersion", "2.0.0".into(), "ociVersion \"2.0.0\" is not supported"),
        ("/process/args", json!([]), "args must not be empty"),
    ];
    for (pointer, value, words) in table {
        let output = bundle.run(&with(bundle.config("true"), pointer, value));
        assert!(!output.status.success() && told(&output).contains(words), "{pointer}: {}", told(&output));
    }
    // What the kernel here has none of.
    let process = json!({"args": ["/bin/busybox", "true"], "cwd": "/", "selinuxLabel": "a:b:c:s0"});
    let kernel = std::fs::read_to_string("/proc/filesystems").unwrap();
    if !kernel.contains("selinuxfs") {
        let output = bundle.run(&with(bundle.config(""), "/process", process));
        assert!(told(&output).contains("selinux is disabled or not supported"), "{}", told(&output));
        let output = bundle.run(&with(bundle.config("true"), "/linux/mountLabel", "a:b:c:s0".into()));
        assert!(told(&output).contains("selinux is disabled or not supported"), "{}", told(&output));
    }
}
