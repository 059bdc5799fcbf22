//! Stories of root file systems whose author lays links where the runtime will act.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, RenameFlags};
use serde_json::{Value, json};

use crate::Story;
use crate::bundle::{Bundle, told};

pub(crate) const ALL: &[(&str, Story)] = &[
    (
        "a masked file is behind the null device whatever the image's is",
        a_masked_file_is_behind_the_null_device,
    ),
    ("a terminal is not laid over what a link of /dev/console leads to", a_terminal_is_laid_over_no_link),
    ("devices are made in the root file system or nowhere", devices_are_made_inside_or_nowhere),
    ("no link stands in for /proc or /sys", no_link_stands_in_for_proc_or_sys),
    ("nothing is mounted inside /proc", nothing_is_mounted_inside_proc),
    ("kernel parameters are written to the kernel", kernel_parameters_are_written_to_the_kernel),
    (
        "a mount point that is exchanged all the time stays inside",
        a_mount_point_that_is_exchanged_stays_inside,
    ),
    (
        "a directory that is exchanged while it is made stays inside",
        a_directory_that_is_exchanged_stays_inside,
    ),
    ("a tmpfs begins with what is at its place", a_tmpfs_begins_with_what_is_there),
    (
        "what is exchanged while it is copied into a tmpfs shows nothing of the host",
        what_is_exchanged_while_copied_stays_inside,
    ),
];

fn add_mount(config: &mut Value, mount: Value) {
    config["mounts"].as_array_mut().unwrap().push(mount);
}

/// Exchanges two entries of a directory until it is dropped.
fn while_exchanged(first: &Path, second: &Path, act: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = rustix::fs::renameat_with(CWD, first, CWD, second, RenameFlags::EXCHANGE);
            }
        });
        // The end of the other thread is not to wait for a panic here.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        stop.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// A directory beside the root file system, which nothing may reach.
fn outside(bundle: &Bundle) -> PathBuf {
    let outside = bundle.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    outside
}

fn assert_empty(directory: &Path) {
    let names: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(names.is_empty(), "made outside: {names:?}");
}

/// CVE-2025-31133: the image's /dev/null, a link, was bound over what should be hidden.
fn a_masked_file_is_behind_the_null_device(bundle: &Bundle) {
    let dev = bundle.rootfs().join("dev");
    symlink("/proc/sys/kernel/core_pattern", dev.join("link")).unwrap();
    std::fs::write(dev.join("null"), "").unwrap();
    let before = std::fs::read("/proc/sys/kernel/core_pattern").unwrap();
    let script = "/bin/busybox stat -c %t:%T /proc/uptime";
    let mut config = bundle.config(script);
    config["linux"]["maskedPaths"] = json!(["/proc/uptime"]);
    let masked =
        |output: &std::process::Output| !output.status.success() || told(output).starts_with("1:3\n");
    while_exchanged(&dev.join("null"), &dev.join("link"), || {
        for _ in 0..30 {
            let output = bundle.run(&config);
            assert!(masked(&output), "{}", told(&output));
        }
    });
    // With a /dev of its own the container runs in spite of the image's.
    add_mount(&mut config, json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}));
    assert_eq!(told(&bundle.run(&config)), "1:3\n");
    assert_eq!(std::fs::read("/proc/sys/kernel/core_pattern").unwrap(), before);
}

/// CVE-2025-52565.
fn a_terminal_is_laid_over_no_link(bundle: &Bundle) {
    let listener = UnixListener::bind(bundle.path().join("console")).unwrap();
    // Whoever comes is let in and forgotten: the container sees its terminal hung up.
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let outside = outside(bundle);
    let canary = outside.join("canary");
    std::fs::write(&canary, "").unwrap();
    for target in [Path::new("/proc/uptime"), Path::new("pts/0"), &canary, Path::new("../../outside/canary")]
    {
        let console = bundle.rootfs().join("dev/console");
        let _ = std::fs::remove_file(&console);
        symlink(target, &console).unwrap();
        let mut config = bundle.config("true");
        config["process"]["terminal"] = true.into();
        add_mount(&mut config, json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts"}));
        let output = bundle.run_detached_with_terminal(&config, &bundle.path().join("console"));
        assert!(
            told(&output).contains("/dev/console is neither a plain file nor a device"),
            "{}",
            told(&output)
        );
    }
    assert_eq!(std::fs::read_to_string(&canary).unwrap(), "");
}

/// CVE-2024-45310, CVE-2026-41579, CVE-2026-47766.
fn devices_are_made_inside_or_nowhere(bundle: &Bundle) {
    let outside = outside(bundle);
    let climbing = Path::new("../../../../../../..").join(outside.strip_prefix("/").unwrap());
    let dev = bundle.rootfs().join("dev");
    std::fs::remove_dir(&dev).unwrap();
    let device = json!([{"path": "/dev/made/node", "type": "c", "major": 1, "minor": 5}]);
    for target in [outside.as_path(), &climbing, &outside.join("dangling"), Path::new("/proc/self/cwd")] {
        symlink(target, &dev).unwrap();
        let mut config = bundle.config("true");
        config["linux"]["devices"] = device.clone();
        bundle.run(&config);
        assert_empty(&outside);
        std::fs::remove_file(&dev).unwrap();
    }
    // A link that stays inside is followed.
    std::fs::create_dir(bundle.rootfs().join("elsewhere")).unwrap();
    symlink("/elsewhere", &dev).unwrap();
    assert!(bundle.run(&bundle.config("true > /dev/null")).status.success());
    assert!(bundle.rootfs().join("elsewhere/null").exists());
}

/// CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867, CVE-2025-62161.
fn no_link_stands_in_for_proc_or_sys(bundle: &Bundle) {
    std::fs::create_dir_all(bundle.rootfs().join("fake")).unwrap();
    for (name, kind) in [("proc", "proc"), ("sys", "sysfs")] {
        let place = bundle.rootfs().join(name);
        std::fs::remove_dir(&place).unwrap();
        symlink("fake", &place).unwrap();
        let mut config = bundle.config("true");
        config["mounts"] = json!([{"destination": format!("/{name}"), "type": kind, "source": kind}]);
        let output = bundle.run(&config);
        assert!(told(&output).contains("must be mounted on ordinary directory"), "{}", told(&output));
        std::fs::remove_file(&place).unwrap();
        std::fs::create_dir(&place).unwrap();
    }
}

/// CVE-2019-16884: a volume over /proc, or over a part of it.
fn nothing_is_mounted_inside_proc(bundle: &Bundle) {
    let fake = outside(bundle);
    symlink("/proc/self/attr", bundle.rootfs().join("link")).unwrap();
    for destination in
        ["/proc", "/proc/self", "/proc/sys/kernel", "/proc/self/attr", "/link", "/tmp/../proc/sys"]
    {
        let mut config = bundle.config("true");
        add_mount(
            &mut config,
            json!({"destination": destination, "type": "bind", "source": fake, "options": ["bind"]}),
        );
        let output = bundle.run(&config);
        let refused = told(&output).contains("inside /proc")
            || told(&output).contains("not of type proc")
            || told(&output).contains("too many levels of symbolic links");
        assert!(!output.status.success() && refused, "{destination}: {}", told(&output));
    }
}

/// CVE-2025-52881: what was meant for the kernel went to a file of the image's, or the other way round.
fn kernel_parameters_are_written_to_the_kernel(bundle: &Bundle) {
    let fake = bundle.rootfs().join("proc/sys/net/ipv4");
    std::fs::create_dir_all(&fake).unwrap();
    std::fs::create_dir(bundle.rootfs().join("real")).unwrap();
    std::fs::write(fake.join("ip_forward"), "fake\n").unwrap();
    let mut config =
        bundle.config("/bin/busybox cat /proc/sys/net/ipv4/ip_forward /real/sys/net/ipv4/ip_forward");
    config["mounts"] = json!([{"destination": "/real", "type": "proc", "source": "proc"}]);
    config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "network"}));
    config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    assert_eq!(told(&bundle.run(&config)), "fake\n1\n");
}

/// CVE-2021-30465: between the check and the mount the destination became a link to the host.
fn a_mount_point_that_is_exchanged_stays_inside(bundle: &Bundle) {
    let (shared, outside) = (bundle.rootfs().join("shared"), outside(bundle));
    std::fs::create_dir_all(shared.join("place")).unwrap();
    symlink(&outside, shared.join("link")).unwrap();
    // What the container does not see of its mounts is somewhere else.
    let mut config = bundle.config("/bin/busybox grep -c ' - tmpfs story ' /proc/self/mountinfo");
    add_mount(&mut config, json!({"destination": "/shared/place", "type": "tmpfs", "source": "story"}));
    let mut ran = 0;
    while_exchanged(&shared.join("place"), &shared.join("link"), || {
        for _ in 0..100 {
            let output = bundle.run(&config);
            assert!(
                !output.status.success() && !told(&output).starts_with('0') || told(&output) == "1\n",
                "{}",
                told(&output)
            );
            ran += usize::from(output.status.success());
        }
    });
    assert!(ran > 0, "no container ran");
    assert_empty(&outside);
}

/// CVE-2024-45310: the directories of a mount point were made on the host.
fn a_directory_that_is_exchanged_stays_inside(bundle: &Bundle) {
    let (shared, outside) = (bundle.rootfs().join("shared"), outside(bundle));
    std::fs::create_dir_all(shared.join("place")).unwrap();
    symlink(&outside, shared.join("link")).unwrap();
    while_exchanged(&shared.join("place"), &shared.join("link"), || {
        for number in 0..100 {
            let mut config = bundle.config("true");
            let destination = format!("/shared/place/{number}/a/b");
            add_mount(&mut config, json!({"destination": destination, "type": "tmpfs", "source": "story"}));
            config["process"]["cwd"] = json!(format!("/shared/place/cwd{number}/c"));
            bundle.run(&config);
        }
    });
    assert_empty(&outside);
}

fn copied_up() -> Value {
    json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]})
}

fn a_tmpfs_begins_with_what_is_there(bundle: &Bundle) {
    let data = bundle.rootfs().join("data");
    std::fs::create_dir_all(data.join("sub")).unwrap();
    std::fs::write(data.join("sub/file"), "content").unwrap();
    symlink("/nowhere", data.join("link")).unwrap();
    rustix::fs::mknodat(CWD, data.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    for (name, mode) in [("", 0o1777), ("sub", 0o2750), ("sub/file", 0o4711)] {
        let (path, own) = (data.join(name), Some(7));
        std::os::unix::fs::chown(&path, own, own).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    let script =
        "cd /data; /bin/busybox stat -c '%n %a %u' . * sub/*; /bin/busybox cat sub/file; echo x > sub/new
        /bin/busybox readlink link";
    let mut config = bundle.config(script);
    add_mount(&mut config, copied_up());
    let output = bundle.run(&config);
    let expected = ". 1777 7\nlink 777 0\nsub 2750 7\nsub/file 4711 7\ncontent/nowhere\n";
    assert_eq!(told(&output), expected);
    assert!(!data.join("sub/new").exists());
}

/// The tree may be in a volume of a container that runs: a link in place of a directory, or of a file,
/// had files of the host copied.
fn what_is_exchanged_while_copied_stays_inside(bundle: &Bundle) {
    let (outside, volume) = (outside(bundle), bundle.path().join("volume"));
    std::fs::create_dir(&volume).unwrap();
    std::fs::create_dir(volume.join("data")).unwrap();
    std::fs::create_dir(bundle.rootfs().join("volume")).unwrap();
    for number in 0..20 {
        std::fs::write(outside.join(format!("file{number}")), "SECRET").unwrap();
        std::fs::write(volume.join(format!("data/file{number}")), "plain").unwrap();
    }
    let mut config = bundle.config("/bin/busybox grep -r SECRET /volume/tmpfs; true");
    for name in ["tmpfs", "link"] {
        std::fs::create_dir(volume.join(name)).unwrap();
    }
    let (directory, link) = (volume.join("tmpfs/d"), volume.join("link/l"));
    std::fs::rename(volume.join("data"), &directory).unwrap();
    symlink(&outside, &link).unwrap();
    add_mount(&mut config, json!({"destination": "/volume", "source": volume, "options": ["rbind"]}));
    add_mount(
        &mut config,
        json!({"destination": "/volume/tmpfs", "type": "tmpfs", "options": ["tmpcopyup"]}),
    );
    while_exchanged(&directory, &link, || {
        for _ in 0..100 {
            let output = told(&bundle.run(&config));
            assert!(!output.contains("SECRET"), "{output}");
        }
    });
}
