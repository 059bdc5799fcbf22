//! Kernels that lack a system call: a slower way to the same result, or an error that names the lack.
//!
//! The engine, all that it starts and the client run below a filter that answers ENOSYS.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use dhow_testkit::{Engine, engine, process, rootfs};

/// What there is a slower way without. The last two are kernels as they were: what Linux 5.10 has not, and
/// what containers with the default filter of other engines have not.
const DISPENSABLE: [&str; 14] = [
    "clone3",
    "mount_setattr",
    "statx",
    "close_range",
    "memfd_create",
    "faccessat2",
    "fchmodat2",
    "copy_file_range",
    "name_to_handle_at",
    "fallocate",
    "bpf",
    "keyctl",
    "mount_setattr,faccessat2,fchmodat2,landlock_create_ruleset,close_range",
    "clone3,statx,memfd_create,keyctl,io_uring_setup,pidfd_getfd,name_to_handle_at",
];

/// What is demanded, by the version of Linux that has it.
const DEMANDED: [(&str, &str); 10] = [
    ("renameat2", "3.15"),
    ("pidfd_send_signal", "5.1"),
    ("open_tree", "5.2"),
    ("move_mount", "5.2"),
    ("fsopen", "5.2"),
    ("fsconfig", "5.2"),
    ("fsmount", "5.2"),
    ("pidfd_open", "5.3"),
    ("openat2", "5.6"),
    ("open_tree,move_mount,fsopen,fsconfig,fsmount,mount_setattr", "5.2"),
];

/// A program that is `dhow` below the filter, and sees something mounted at `shared/mounted`.
fn lacking(calls: &str, directory: &Path) -> Result<PathBuf> {
    for name in ["shared/below", "shared/mounted"] {
        std::fs::create_dir_all(directory.join(name))?;
    }
    std::fs::write(directory.join("shared/file"), "shared\n")?;
    let path = directory.join("dhow");
    let (lacking, dhow) = (env!("CARGO_BIN_EXE_lacking"), engine::binary()?);
    let script = format!(
        "#!/bin/sh
        exec unshare --mount --propagation private sh -c '
            mount -t tmpfs none {}/shared/mounted && exec {lacking} {calls} {} \"$@\"
        ' dhow \"$@\"\n",
        directory.display(),
        dhow.display()
    );
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

#[test]
fn without_a_newer_call_everything_goes_a_slower_way() -> Result<()> {
    // This one nobody calls.
    let expected = journey_without("io_uring_setup")?;
    println!("{expected}");
    for calls in DISPENSABLE {
        let seen = journey_without(calls).with_context(|| format!("without {calls}"))?;
        assert!(seen == expected, "without {calls}: {seen}\ninstead of {expected}");
    }
    Ok(())
}

/// Every part of a container's life, one command a line; `@` is a directory of the test.
const STEPS: &str = r#"
import @/rootfs.tar base
run --rm base sh -c "cat /proc/mounts | cut -d ' ' -f 2-4 | grep -vE 'cgroup|overlay'; ls -l /dev | cut -c 1-10; grep -E 'Cap|NoNew|Seccomp:' /proc/self/status"
run --rm --read-only -v @/shared:/shared:ro base sh -c "touch /file /shared/file /shared/mounted/file 2>&1; echo x 2>&1 >/proc/sys/kernel/domainname; cat /shared/file"
run -d --name web -v @/shared:/shared --init --memory 64m --pids-limit 50 base sleep 1000
exec web sh -c "echo executed > /tmp/file; cat /shared/file; ls /proc/self/fd | wc -l"
exec -t web tty
top web | wc -l
cp web:/tmp/file @/copied
cp @/copied web:/shared/below
pause web
unpause web
stop -t 0 web
cp web:/shared/below/copied @/again
diff web
commit web copy
save -o @/copy.tar copy
rm web
rmi copy
load -i @/copy.tar
run --rm copy cat /tmp/file
rmi copy base
system check
"#;

/// Takes the steps and answers what a user sees, without what differs each time.
fn journey_without(calls: &str) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let engine = Engine::start_binary(&lacking(calls, directory.path())?, &[])?;
    rootfs::busybox_tar(&directory.path().join("rootfs.tar"))?;
    let place = directory.path().display().to_string();
    let mut seen = String::new();
    for step in STEPS.trim().lines() {
        let line = format!("{} {}", engine.binary().display(), step.replace('@', &place));
        let answer = engine.client(Path::new("sh"), &["-c", &line], b"");
        answer.check().with_context(|| step.to_owned())?;
        let told = answer.stdout.lines().filter(|line| !line.contains("sha256:") && !is_id(line));
        seen.push_str(&format!("{step}\n{}\n", told.collect::<Vec<_>>().join("\n").replace(&place, "@")));
    }
    assert_eq!(std::fs::read_to_string(directory.path().join("again"))?, "executed\n");
    Ok(seen)
}

fn is_id(line: &str) -> bool {
    line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[test]
fn what_is_demanded_and_missing_is_named_at_once() -> Result<()> {
    for (calls, since) in DEMANDED {
        let directory = tempfile::tempdir()?;
        let program = lacking(calls, directory.path())?;
        let answer = process::answer(
            Command::new(&program).args(["daemon", "--data-root"]).arg(directory.path().join("data")),
            b"",
        )?;
        assert_eq!(answer.status, 1, "without {calls}");
        let words = format!("which came with Linux {since}, or a filter of system calls around us hides it");
        assert!(answer.stderr.contains(&words), "without {calls}: {}", answer.stderr);
        assert!(!directory.path().join("data").exists(), "nothing is begun");
    }
    Ok(())
}

#[test]
fn without_filters_a_container_is_started_only_when_it_asks_for_none() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let engine = Engine::start_binary(&lacking("seccomp", directory.path())?, &[])?;
    engine.import_busybox()?;
    let refused = engine.docker(&["run", "--rm", "busybox", "true"]);
    assert!(
        refused.stderr.contains("install the seccomp filter: function not implemented"),
        "{}",
        refused.stderr
    );
    let open = ["run", "--rm", "--security-opt", "seccomp=unconfined", "busybox", "echo", "alive"];
    assert_eq!(engine.docker(&open).ok(), "alive");
    Ok(())
}
