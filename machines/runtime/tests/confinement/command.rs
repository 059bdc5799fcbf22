//! Stories of the command's flags, and of what others have made before it.

use std::io::{IoSliceMut, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use crate::Story;
use crate::bundle::{Bundle, told};

pub(crate) const ALL: &[(&str, Story)] = &[
    ("a cgroup in which others are is left alone", a_cgroup_in_which_others_are_is_left_alone),
    ("a process is handed to who listens for it", a_process_is_handed_to_who_listens),
    ("a further process enters a cgroup below", a_further_process_enters_a_cgroup_below),
];

/// Others would be held to the container's limits, and die with it.
fn a_cgroup_in_which_others_are_is_left_alone(bundle: &Bundle) {
    let path = bundle.make_cgroup("others");
    let mut other = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    for directory in bundle.cgroups("/others") {
        std::fs::write(directory.join("cgroup.procs"), other.id().to_string()).unwrap();
        std::fs::create_dir(directory.join("below")).unwrap();
    }
    let mut config = bundle.config("echo runs");
    config["linux"]["cgroupsPath"] = path.into();
    let output = told(&bundle.run(&config));
    let below = bundle.cgroups("/others/below").len();
    let lives = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    for directory in bundle.cgroups("/others/below").into_iter().chain(bundle.cgroups("/others")) {
        std::fs::remove_dir(directory).unwrap();
    }
    assert!(output.contains("container's cgroup is not empty: 1 process(es) found"), "{output}");
    assert!(lives && below > 0, "{below} are left below");
}

fn a_process_is_handed_to_who_listens(bundle: &Bundle) {
    let socket = bundle.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let config = bundle.config("exec /bin/busybox sleep 1000");
    bundle.start_with(&config, &["--pidfd-socket", socket.to_str().unwrap()]);
    let first = received(&listener);
    assert_eq!(first, bundle.state()["pid"].to_string());
    let flags = ["--pidfd-socket", socket.to_str().unwrap()];
    let output = bundle.exec(&flags, &["/bin/busybox", "true"]);
    assert!(output.status.success(), "{}", told(&output));
    assert_ne!(received(&listener), first);
}

/// The number of the process that a received descriptor names; it is -1 of one that has ended.
fn received(listener: &UnixListener) -> String {
    let (stream, _) = listener.accept().unwrap();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 16];
    let mut pieces = [IoSliceMut::new(&mut name)];
    rustix::net::recvmsg(&stream, &mut pieces, &mut ancillary, RecvFlags::empty()).unwrap();
    let Some(RecvAncillaryMessage::ScmRights(mut files)) = ancillary.drain().next() else {
        panic!("no descriptor came")
    };
    let process = files.next().unwrap();
    let mut text = String::new();
    let path = format!("/proc/self/fdinfo/{}", process.as_raw_fd());
    std::fs::File::open(path).unwrap().read_to_string(&mut text).unwrap();
    text.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap().trim().to_owned()
}

fn a_further_process_enters_a_cgroup_below(bundle: &Bundle) {
    bundle.start(&bundle.config("exec /bin/busybox sleep 1000"));
    let within =
        |below: &str| bundle.exec(&["--cgroup", below], &["/bin/busybox", "cat", "/proc/self/cgroup"]);
    for (below, said) in [
        ("below", "has no cgroup below in every hierarchy"),
        ("../..", "is not below the container's cgroup"),
        ("memory:below", "of single controllers is not supported"),
    ] {
        let output = within(below);
        assert!(!output.status.success() && told(&output).contains(said), "{below}: {}", told(&output));
    }
    bundle.make_cgroup("container/below");
    let output = told(&within("/below"));
    assert!(output.lines().filter(|line| line.ends_with("/container/below")).count() > 1, "{output}");
    assert_eq!(bundle.exec(&["--cgroup", "/"], &["/bin/busybox", "true"]).status.code(), Some(0));
}
