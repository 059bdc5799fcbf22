//! What a hostile image or command line tries against the whole engine; `docs/security.md` has the list.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Result, ensure};
use dhow_journeys::engine;

/// CVE-2024-21626, also its attack 3b: the image's own configuration names a descriptor of the engine's.
#[test]
fn no_descriptor_of_the_engine_is_a_way_out() -> Result<()> {
    let engine = engine()?;
    let canary = engine.scratch().join("busybox");
    std::fs::copy("/bin/busybox", &canary)?;
    engine.docker(&["run", "-d", "--name", "stays", "busybox", "sleep", "1000"]).ok();
    for number in 3..30 {
        let directory = format!("/proc/self/fd/{number}");
        let program = format!("{directory}/../../../../../../../../..{}", canary.display());
        for verb in [&["run", "--rm"][..], &["exec"]] {
            let target = if verb[0] == "run" { "busybox" } else { "stays" };
            let begin = [verb, &["-w", &directory, target, "ls", "/proc/self/cwd/bin/busybox"]].concat();
            let answer = engine.docker(&begin);
            ensure!(answer.status != 0 || answer.stdout.trim() == "/proc/self/cwd/bin/busybox", "{begin:?}");
            let execute = [verb, &[target, &program, "true"]].concat();
            ensure!(engine.docker(&execute).status != 0, "{execute:?} ran a program of the host");
        }
    }
    engine.docker(&["rm", "-f", "stays"]).ok();
    Ok(())
}

/// CVE-2024-40635, CVE-2026-30892, CVE-2026-46680: what is no user must never become root.
#[test]
fn what_is_no_user_is_refused() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["run", "-d", "--name", "stays", "busybox", "sleep", "1000"]).ok();
    let users = [
        "2147483648",
        "4294967295",
        "4294967296",
        "18446744073709551616",
        "-1",
        "0x0",
        " 0",
        "0 ",
        "+0",
        "1000x",
        "web2",
        "0:-1",
        "0:4294967296",
        "web:nogroup2",
        "web:root:x",
    ];
    for user in users {
        for verb in [&["run", "--rm"][..], &["exec"]] {
            let target = if verb[0] == "run" { "busybox" } else { "stays" };
            let flag = format!("--user={user}");
            let answer = engine.docker(&[verb, &[&flag, target, "id", "-u"]].concat());
            ensure!(answer.status != 0, "{user:?} at {verb:?} is {}", answer.stdout);
        }
    }
    engine.docker(&["rm", "-f", "stays"]).ok();
    Ok(())
}

/// CVE-2022-36109, CVE-2023-25173, CVE-2022-2990, CVE-2022-2995.
#[test]
fn supplementary_groups_are_those_of_the_image() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["run", "-d", "--name", "stays", "-u", "web", "busybox", "sleep", "1000"]).ok();
    assert_eq!(engine.docker(&["exec", "stays", "id", "-G"]).ok(), "1000 29 44");
    assert_eq!(engine.docker(&["exec", "-u", "root", "stays", "id", "-G"]).ok(), "0");
    assert_eq!(engine.docker(&["run", "--rm", "-u", "web", "busybox", "id", "-G"]).ok(), "1000 29 44");
    assert_eq!(engine.docker(&["run", "--rm", "-u", "1000", "busybox", "id", "-G"]).ok(), "1000 29 44");
    assert_eq!(
        engine.docker(&["run", "--rm", "-u", "web", "--group-add", "7", "busybox", "id", "-G"]).ok(),
        "1000 7 29 44"
    );
    engine.docker(&["rm", "-f", "stays"]).ok();
    Ok(())
}

/// CVE-2022-4318, CVE-2026-15809: a line of the home or the working directory became a user.
#[test]
fn no_line_is_smuggled_into_the_users() -> Result<()> {
    let engine = engine()?;
    let before = engine.docker(&["run", "--rm", "busybox", "cat", "/etc/passwd"]).ok().to_owned();
    let home = "HOME=/x\nevil::0:0::/:/bin/sh";
    let answer = engine.docker(&[
        "run",
        "--rm",
        "-e",
        home,
        "-w",
        "/a\nevil::0:0::b",
        "-h",
        "host",
        "busybox",
        "cat",
        "/etc/passwd",
    ]);
    assert_eq!(answer.ok(), before);
    Ok(())
}

/// CVE-2021-41091, CVE-2021-41103, CVE-2024-25621: a set-user-id program of an image could be reached
/// by every user of the host.
#[test]
fn the_engines_files_are_for_root_alone() -> Result<()> {
    let engine = engine()?;
    let script = "cp /bin/busybox /suid; chmod 4755 /suid; sleep 1000";
    engine.docker(&["run", "-d", "--name", "stays", "-v", "vol:/v", "busybox", "sh", "-c", script]).ok();
    let data = engine.data();
    for entry in std::fs::read_dir(&data)? {
        let entry = entry?;
        // The lowest layer of every container has mount points and nothing else.
        if !entry.file_type()?.is_dir() || entry.file_name() == "base" {
            continue;
        }
        let mode = entry.metadata()?.permissions().mode() & 0o777;
        ensure!(mode & 0o066 == 0, "{}: {mode:o}", entry.path().display());
    }
    ensure!(std::fs::metadata(&data)?.mode() & 0o777 == 0o711, "the data directory");
    let run = std::fs::metadata(engine.scratch().join("run"))?.mode() & 0o077;
    ensure!(run & 0o066 == 0, "the run directory: {run:o}");
    let find = format!(
        "chmod 711 {0}; setpriv --reuid 65534 --clear-groups find {0} -perm -4000",
        engine.scratch().display()
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &find]);
    let seen = dhow_testkit::process::answer(&mut command, b"")?;
    assert_eq!(seen.stdout, "", "seen by nobody");
    engine.docker(&["rm", "-f", "stays"]).ok();
    Ok(())
}

/// CVE-2022-0492: who is root in a new user namespace mounted version 1 and set the release agent.
#[test]
fn no_release_agent_can_be_set() -> Result<()> {
    let engine = engine()?;
    let script = "unshare -Urm sh -c 'mkdir /tmp/c && mount -t cgroup -o memory none /tmp/c' 2>/dev/null && echo mounted
        mount -t cgroup -o memory none /tmp 2>/dev/null && echo mounted
        for f in /sys/fs/cgroup/*/release_agent /sys/fs/cgroup/release_agent; do echo x 2>/dev/null > $f && echo wrote; done
        mkdir /sys/fs/cgroup/own /sys/fs/cgroup/memory/own 2>/dev/null && echo made; true";
    assert_eq!(engine.docker(&["run", "--rm", "busybox", "sh", "-c", script]).ok(), "");
    Ok(())
}

/// GHSA-7ww5-4wqc and what Docker hides: what it is, a file behind the null device or an empty directory.
#[test]
fn what_docker_hides_is_hidden() -> Result<()> {
    let engine = engine()?;
    let paths = [
        "/proc/acpi",
        "/proc/asound",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/sys/firmware",
        "/sys/devices/virtual/powercap",
        "/sys/devices/system/cpu/cpu0/thermal_throttle",
    ];
    let script = format!(
        "for p in {}; do if [ -d $p ]; then ls -A $p; elif [ -e $p ]; then stat -c %t:%T $p; fi; done | grep -v ^1:3$
         for p in /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/bus/x /sys/x; do echo x 2>/dev/null > $p && echo $p; done
         mount -o remount,rw /proc/sys 2>/dev/null && echo remounted; umount /proc/kcore 2>/dev/null && echo unmounted; true",
        paths.join(" ")
    );
    assert_eq!(engine.docker(&["run", "--rm", "busybox", "sh", "-c", &script]).ok(), "");
    Ok(())
}

/// CVE-2023-6476 and CVE-2022-0811: what the kernel holds is what was asked for, whatever else is said.
#[test]
fn limits_are_those_that_were_asked_for() -> Result<()> {
    let engine = engine()?;
    let script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null
        cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true";
    let flags = ["--rm", "-m", "64m", "--pids-limit", "33"];
    let annotations =
        ["--annotation", "run.oci.systemd.force_cgroup_v1=/x", "--annotation", "memory.max=max\n+x"];
    let command = ["busybox", "sh", "-c", script];
    let answer = engine.docker(&[&["run"][..], &flags, &annotations, &command].concat());
    assert_eq!(answer.ok(), "67108864\n33");
    for sysctl in [
        "kernel.core_pattern=|/x",
        "net.ipv4.ip_forward+kernel.shmmax=1",
        "net.ipv4/../../kernel/x=1",
        "vm.overcommit_memory=1",
    ] {
        ensure!(
            engine.docker(&["run", "--rm", "--sysctl", sysctl, "busybox", "true"]).status != 0,
            "{sysctl}"
        );
    }
    Ok(())
}

/// CVE-2020-15257, CVE-2025-9074: who is in the host's network finds no way to the engine.
#[test]
fn neither_network_nor_abstract_sockets_lead_to_the_engine() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["run", "-d", "--name", "stays", "--network", "host", "busybox", "sleep", "1000"]).ok();
    let pid: u32 = engine.inspect("stays", "{{.State.Pid}}").parse()?;
    let monitor = parent(pid)?;
    let ours = [engine.pid().unwrap_or_default(), monitor];
    let mut inodes = Vec::new();
    for pid in ours {
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
            let target = std::fs::read_link(entry?.path()).unwrap_or_default();
            let inode = target
                .to_string_lossy()
                .strip_prefix("socket:[")
                .map(|rest| rest.trim_end_matches(']').to_owned());
            inodes.extend(inode);
        }
    }
    ensure!(!inodes.is_empty(), "the engine has sockets");
    for table in ["tcp", "tcp6", "udp", "udp6", "raw", "packet"] {
        let text = std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        let found =
            text.lines().find(|line| line.split_whitespace().any(|word| inodes.iter().any(|i| i == word)));
        ensure!(found.is_none(), "{table}: {found:?}");
    }
    let unix = std::fs::read_to_string("/proc/net/unix")?;
    let abstract_ones =
        unix.lines().filter(|line| line.split_whitespace().nth(7).is_some_and(|path| path.starts_with('@')));
    for line in abstract_ones {
        let inode = line.split_whitespace().nth(6).unwrap_or_default();
        ensure!(inodes.iter().all(|own| own != inode), "{line}");
    }
    engine.docker(&["rm", "-f", "stays"]).ok();
    Ok(())
}

/// CVE-2022-29162, CVE-2022-24769.
#[test]
fn no_capability_is_inheritable() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["run", "-d", "--name", "stays", "busybox", "sleep", "1000"]).ok();
    let show = ["grep", "CapInh", "/proc/self/status"];
    let none = "CapInh:\t0000000000000000";
    assert_eq!(engine.docker(&[&["run", "--rm", "busybox"][..], &show].concat()).ok(), none);
    assert_eq!(
        engine.docker(&[&["run", "--rm", "--cap-add", "ALL", "busybox"][..], &show].concat()).ok(),
        none
    );
    assert_eq!(engine.docker(&[&["run", "--rm", "--privileged", "busybox"][..], &show].concat()).ok(), none);
    assert_eq!(engine.docker(&[&["exec", "stays"][..], &show].concat()).ok(), none);
    assert_eq!(engine.docker(&[&["exec", "--privileged", "stays"][..], &show].concat()).ok(), none);
    engine.docker(&["rm", "-f", "stays"]).ok();
    Ok(())
}

fn parent(pid: u32) -> Result<u32> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or_default();
    Ok(line.trim().parse()?)
}
