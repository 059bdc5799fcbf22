//! Stories of who a program is, and of what those see who are in the container already.

use std::process::Output;

use dhow_oci::profile::default_profile;
use dhow_runtime::seccomp::circumstances;
use rustix::net::{AddressFamily, SocketType, socket};
use serde_json::{Value, json};

use crate::Story;
use crate::bundle::{Bundle, told};

pub(crate) const ALL: &[(&str, Story)] = &[
    ("no capability is inheritable", no_capability_is_inheritable),
    ("groups are those that were asked for, and no others", groups_are_those_that_were_asked_for),
    ("a user that is no number is refused", a_user_that_is_no_number_is_refused),
    ("a process that joins shows nothing of the host", a_process_that_joins_shows_nothing),
    ("the runtime has no abstract socket", the_runtime_has_no_abstract_socket),
    ("states are for root alone", states_are_for_root_alone),
    ("sockets that reach the kernel's depths are denied", sockets_are_denied),
    ("huge members are refused, and end nothing", huge_members_are_refused),
];

/// The role of this program in a container: it says which sockets it can have.
pub(crate) const SOCKETS: &str = "tries-sockets";

const FAMILIES: [(&str, u16); 4] = [("inet", 2), ("unix", 1), ("alg", 38), ("vsock", 40)];

pub(crate) fn try_sockets() {
    for (name, family) in FAMILIES {
        for kind in [SocketType::STREAM, SocketType::DGRAM, SocketType::SEQPACKET] {
            if socket(AddressFamily::from_raw(family), kind, None).is_ok() {
                println!("{name}");
                break;
            }
        }
    }
}

fn lines_of(output: &Output, prefix: &str) -> Vec<String> {
    told(output).lines().filter(|line| line.starts_with(prefix)).map(str::to_owned).collect()
}

/// CVE-2022-29162, CVE-2022-24769, CVE-2022-27649 to 27652.
fn no_capability_is_inheritable(bundle: &Bundle) {
    let list = ["/bin/busybox", "cat", "/proc/self/status"];
    let none = ["CapInh:\t0000000000000000"];
    let mut config = bundle.config("exec /bin/busybox sleep 1000");
    assert_eq!(lines_of(&bundle.run(&bundle.config("/bin/busybox cat /proc/self/status")), "CapInh"), none);
    config["process"]["user"] = json!({"uid": 0, "gid": 0});
    bundle.start(&config);
    assert_eq!(lines_of(&bundle.exec(&[], &list), "CapInh"), none);
    assert_eq!(lines_of(&bundle.exec(&["--cap", "CAP_SYS_ADMIN"], &list), "CapInh"), none);
    let other = bundle.exec(&["--user", "1000:1000"], &list);
    assert_eq!(lines_of(&other, "CapInh"), none);
    assert_eq!(lines_of(&other, "CapEff"), ["CapEff:\t0000000000000000"], "a user has none in force");
}

/// CVE-2022-36109, CVE-2023-25173, CVE-2022-2990, CVE-2022-2995.
fn groups_are_those_that_were_asked_for(bundle: &Bundle) {
    let mut config = bundle.config("/bin/busybox id -G; exec /bin/busybox sleep 1000");
    config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [29, 44]});
    bundle.start(&config);
    let groups = |flags: &[&str]| told(&bundle.exec(flags, &["/bin/busybox", "id", "-G"]));
    assert_eq!(groups(&[]), "1000 29 44\n");
    assert_eq!(groups(&["--additional-gids", "7"]), "1000 7 29 44\n");
    let own = bundle.exec(&[], &["/bin/busybox", "grep", "Groups", "/proc/1/status"]);
    assert_eq!(told(&own).split_whitespace().collect::<Vec<_>>(), ["Groups:", "29", "44"]);
}

/// CVE-2026-30892, CVE-2024-40635, CVE-2026-46680: what did not fit became root.
fn a_user_that_is_no_number_is_refused(bundle: &Bundle) {
    bundle.start(&bundle.config("exec /bin/busybox sleep 1000"));
    for user in
        ["4294967296", "4294967295", "-1", "0x0", " 0", "0 ", "1000x", "+0", "", "root", "0:", "0:-1", "00x"]
    {
        let flag = format!("--user={user}");
        let output = bundle.exec(&[&flag], &["/bin/busybox", "id", "-u"]);
        assert!(!output.status.success(), "{user:?} is {}", told(&output));
    }
    for user in [json!(-1), json!(4_294_967_296_u64), json!("0"), json!(1.5)] {
        let mut config = bundle.config("true");
        config["process"]["user"] = json!({"uid": user, "gid": 0});
        std::fs::write(bundle.path().join("process"), config["process"].to_string()).unwrap();
        let process = bundle.path().join("process");
        let output = bundle.exec(&["--process", &process.display().to_string()], &[]);
        assert!(!output.status.success(), "{user}: {}", told(&output));
    }
    // Beyond what most programs can read, but a number.
    let output = bundle.exec(&["--user", "2147483648:2147483648"], &["/bin/busybox", "id", "-u"]);
    assert_eq!(told(&output), "2147483648\n");
}

/// CVE-2016-9962: while a process of the host joined, those inside could trace it and take its descriptors.
fn a_process_that_joins_shows_nothing(bundle: &Bundle) {
    let script = "while :; do for p in /proc/[0-9]*; do
            [ $p = /proc/1 ] || /bin/busybox ls -l $p/fd $p/cwd $p/root 2>/dev/null
        done; done > /tmp/seen";
    bundle.start(&bundle.config(script));
    for _ in 0..50 {
        assert!(bundle.exec(&[], &["/bin/busybox", "true"]).status.success());
    }
    let seen = std::fs::read_to_string(bundle.rootfs().join("tmp/seen")).unwrap();
    let targets: Vec<&str> =
        seen.lines().filter_map(|line| line.split_once(" -> ")).map(|(_, to)| to).collect();
    // Its program has streams that came from us; before that nothing may be seen.
    let plain = |to: &&str| {
        to.starts_with("pipe:[") || to.starts_with("/proc") || ["/dev/null", "/", "/tmp/seen"].contains(to)
    };
    let others: Vec<&&str> = targets.iter().filter(|to| !plain(to)).collect();
    assert!(others.is_empty(), "{others:?}");
}

/// CVE-2020-15257: one that is in the host's network could talk to it.
fn the_runtime_has_no_abstract_socket(bundle: &Bundle) {
    // In a network of its own nobody else's are in the list.
    let config = bundle.config("/bin/busybox grep -c @ /proc/net/unix; /bin/busybox wc -l < /proc/net/unix");
    let output = bundle.run_in_own_network(&config);
    assert!(told(&output).starts_with("0\n"), "{}", told(&output));
}

/// CVE-2021-41091, CVE-2021-41103, CVE-2024-25621.
fn states_are_for_root_alone(bundle: &Bundle) {
    use std::os::unix::fs::PermissionsExt as _;
    bundle.start(&bundle.config("exec /bin/busybox sleep 1000"));
    let mode = |name: &str| std::fs::metadata(bundle.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/container")), (0o711, 0o700));
}

/// CVE-2026-31431: AF_ALG wrote to the page cache of files that could only be read.
fn sockets_are_denied(bundle: &Bundle) {
    let own = bundle.rootfs().join("own");
    std::fs::copy(std::env::current_exe().unwrap(), own).unwrap();
    let tried = |linux: &Value| {
        let mut config = bundle.config("");
        config["process"]["args"] = json!(["/own", SOCKETS]);
        for (name, value) in linux.as_object().unwrap() {
            config["linux"][name] = value.clone();
        }
        told(&bundle.run(&config))
    };
    let everything = tried(&json!({}));
    let profile = default_profile(circumstances(dhow_oci::capabilities::DEFAULT));
    assert_eq!(tried(&json!({"seccomp": profile})), "inet\nunix\n");
    assert!(everything.starts_with("inet\nunix\n"), "{everything}");
    if everything == "inet\nunix\n" {
        println!(
            "  this kernel has neither AF_ALG nor AF_VSOCK: the filter is judged by the tests of the compiler"
        );
    }
}

/// CVE-2021-43784: a length that did not fit its field.
fn huge_members_are_refused(bundle: &Bundle) {
    let long = "a".repeat(70_000);
    let mappings: Vec<Value> =
        (0..100_000).map(|n| json!({"containerID": n, "hostID": n, "size": 1})).collect();
    let user = json!([{"type": "mount"}, {"type": "pid"}, {"type": "user"}]);
    let table = [
        json!({"namespaces": [{"type": "mount"}, {"type": "network", "path": format!("/{long}")}]}),
        json!({"namespaces": user, "uidMappings": mappings, "gidMappings": mappings}),
        json!({"cgroupsPath": format!("/{long}")}),
        json!({"maskedPaths": [format!("/{long}")]}),
        json!({"sysctl": {format!("net.{long}"): "1"}, "namespaces": [{"type": "mount"}, {"type": "network"}]}),
        json!({"devices": [{"path": format!("/dev/{long}"), "type": "c", "major": 1, "minor": 3}]}),
    ];
    for linux in table {
        let output = bundle.run_script("true", true, &linux);
        let words = told(&output);
        // An error, not a signal.
        assert_eq!(output.status.code(), Some(1), "{}", &words[..words.len().min(300)]);
    }
    let mut config = bundle.config("true");
    config["annotations"] = json!({"long": "a".repeat(17 << 20)});
    let output = bundle.run(&config);
    assert!(told(&output).contains("the file is too long"), "{}", told(&output));
}
