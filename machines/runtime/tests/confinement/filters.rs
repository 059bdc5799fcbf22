//! Stories of filters of system calls, and of limits.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::unix::net::UnixListener;

use dhow_oci::capabilities::DEFAULT;
use dhow_oci::profile::default_profile;
use dhow_runtime::seccomp::circumstances;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

use crate::Story;
use crate::bundle::{Bundle, told};

pub(crate) const ALL: &[(&str, Story)] = &[
    ("the default profile holds in a container", the_default_profile_holds),
    ("a profile that knows no newer calls does not hinder the runtime", an_old_profile_does_not_hinder),
    ("a forbidden call ends the container as the signal says", a_forbidden_call_ends_it),
    ("a listener is given the descriptor while the container is created", a_listener_is_given_the_descriptor),
    ("the cgroup has the limits, and goes with the container", the_cgroup_has_the_limits),
];

const SCRIPT: &str = "grep ^Seccomp: /proc/self/status
    chroot / /bin/busybox true && echo chroot
    mount -t tmpfs none /proc 2>/dev/null || echo no mount
    unshare -U true 2>/dev/null || echo no namespace";

fn the_default_profile_holds(bundle: &Bundle) {
    let seccomp = serde_json::to_value(default_profile(circumstances(DEFAULT))).unwrap();
    for no_new_privileges in [false, true] {
        let output = bundle.run_script(SCRIPT, no_new_privileges, &json!({ "seccomp": seccomp }));
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
        let output = bundle.run_script("echo alive", no_new_privileges, &json!({ "seccomp": seccomp }));
        assert_eq!(told(&output), "alive\n");
    }
}

fn a_forbidden_call_ends_it(bundle: &Bundle) {
    let seccomp = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["uname"], "action": "SCMP_ACT_KILL_PROCESS"}],
    });
    let output = bundle.run_script("exec /bin/busybox uname", true, &json!({ "seccomp": seccomp }));
    assert_eq!(output.status.code(), Some(128 + 31), "{}", told(&output));
}

fn a_listener_is_given_the_descriptor(bundle: &Bundle) {
    let path = bundle.path().join("listener");
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
    let output = bundle.run_script("echo alive", true, &json!({ "seccomp": seccomp }));
    assert_eq!(told(&output), "alive\n");
    let (message, descriptors) = agent.join().unwrap();
    assert_eq!(descriptors, 1);
    assert_eq!(message["fds"], json!(["seccompFd"]));
    assert_eq!((&message["metadata"], &message["state"]["id"]), (&json!("who"), &json!("container")));
}

fn the_cgroup_has_the_limits(bundle: &Bundle) {
    let resources = json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 33}});
    let mounts = r#"for f in $(cat /proc/self/cgroup); do echo "${f##*/}"; done | sort -u"#;
    let output = bundle.run_script(mounts, true, &json!({ "resources": resources }));
    assert_eq!(told(&output), "container\n", "a process is in it in every hierarchy");
    assert!(bundle.cgroups("/container").is_empty(), "{:?}", bundle.cgroups("/container"));

    let refused = json!({"memory": {"limit": 67_108_864, "swappiness": 300}});
    let output = bundle.run_script("true", true, &json!({ "resources": refused }));
    assert!(told(&output).contains("invalid memory swappiness value: 300 (valid range is 0-100)"));

    let tiny = json!({"memory": {"limit": 8192}});
    let output = bundle.run_script("true", true, &json!({ "resources": tiny }));
    assert!(
        told(&output).contains("container init was OOM-killed (memory limit too low?)"),
        "{}",
        told(&output)
    );
    assert!(bundle.cgroups("/container").is_empty(), "nothing is left of a container that was refused");
}
