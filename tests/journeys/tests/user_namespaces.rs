//! `userns-remap`: containers whose users are others on the host.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use dhow_testkit::{Engine, engine, process};

/// Who root of the containers is on the host.
const FIRST: u32 = 300_000;
const RANGES: &str = "other:100000:65536\nweb:300000:65536\n";
const REMAP: &[&str] = &["--userns-remap", "web"];

/// A directory that the engines of a test have as /etc.
struct Host {
    etc: tempfile::TempDir,
    program: PathBuf,
}

impl Host {
    fn new() -> Result<Self> {
        Self::below(&engine::binary()?.display().to_string())
    }

    /// With a program in front of the engine's.
    fn below(program: &str) -> Result<Self> {
        let etc = tempfile::tempdir()?;
        fs::set_permissions(etc.path(), fs::Permissions::from_mode(0o755))?;
        for (name, text) in [
            ("passwd", "root:x:0:0::/root:/bin/sh\nweb:x:1000:1000::/:/bin/sh\n"),
            ("group", "root:x:0:\nweb:x:1000:\n"),
            ("subuid", RANGES),
            ("subgid", RANGES),
            ("resolv.conf", ""),
            ("hosts", "127.0.0.1 localhost\n"),
        ] {
            fs::write(etc.path().join(name), text)?;
        }
        let script = format!(
            "#!/bin/sh\nexec unshare --mount --propagation private sh -c \
             'mount --bind {} /etc && exec {program} \"$@\"' dhow \"$@\"\n",
            etc.path().display(),
        );
        // Not where /etc of the engine is.
        let program = etc.path().with_extension("engine");
        fs::write(&program, script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(Self { etc, program })
    }

    fn engine(&self, flags: &[&str]) -> Result<Engine> {
        let engine = Engine::start_binary(&self.program, flags)?;
        engine.import_busybox()?;
        Ok(engine)
    }

    fn file(&self, name: &str) -> Result<String> {
        Ok(fs::read_to_string(self.etc.path().join(name))?)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.program);
    }
}

/// What stock docker prints when it succeeds.
fn docker(engine: &Engine, arguments: &[&str]) -> String {
    engine.docker(arguments).ok().to_owned()
}

fn sh(engine: &Engine, options: &[&str], script: &str) -> String {
    docker(engine, &[&["run", "--rm"], options, &["busybox", "sh", "-c", script]].concat())
}

/// The archive that stock docker writes.
fn archive(engine: &Engine, arguments: &[&str]) -> Result<Vec<u8>> {
    let mut command = std::process::Command::new("docker");
    let output = command.args(arguments).env("DOCKER_HOST", engine.host()).output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

fn owner(path: impl AsRef<Path>) -> Result<(u32, u32)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.uid(), metadata.gid()))
}

/// `name uid/gid` of each entry of what `docker cp … -` or `export` wrote.
fn owners(tar: &[u8], directory: &Path) -> Result<String> {
    let file = directory.join("owners.tar");
    fs::write(&file, tar)?;
    let listed = std::process::Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(file).output()?;
    let listed = String::from_utf8(listed.stdout)?;
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let owner = words.nth(1).unwrap_or_default().to_owned();
        format!("{} {owner}", words.nth(3).unwrap_or_default())
    };
    Ok(listed.lines().map(entry).collect::<Vec<_>>().join("\n"))
}

#[test]
fn users_of_a_container_are_others_on_the_host_and_its_files_are_its_own() -> Result<()> {
    let host = Host::new()?;
    let engine = host.engine(REMAP)?;
    ensure!(docker(&engine, &["info", "-f", "{{.SecurityOptions}}"]).contains("name=userns"));
    docker(&engine, &["run", "-d", "--name", "one", "-v", "data:/data", "busybox", "sleep", "1000"]);
    let pid = docker(&engine, &["inspect", "-f", "{{.State.Pid}}", "one"]);
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    ensure!(status.contains("Uid:\t300000\t300000\t300000\t300000"), "{status}");
    ensure!(docker(&engine, &["inspect", "-f", "{{.HostConfig.UsernsMode}}", "one"]).is_empty());
    let exec = |user: &str, script: &str| docker(&engine, &["exec", "-u", user, "one", "sh", "-c", script]);
    ensure!(exec("0", "tr -s ' ' < /proc/self/uid_map") == " 0 300000 65536");
    // Every file that is the container's is root's there, whoever made it.
    let seen = exec(
        "0",
        "stat -c %u:%g / /etc/hosts /etc/hostname /etc/resolv.conf /dev /dev/null /dev/pts /data /bin/sh",
    );
    ensure!(seen.lines().all(|line| line == "0:0"), "{seen}");
    exec("0", "echo 192.0.2.1 more >> /etc/hosts && touch /data/root /root.txt && echo x > /dev/null");
    exec("0", "chmod 777 /tmp");
    exec("1000:2000", "touch /tmp/user && echo out > /dev/stdout");
    exec("0", "touch /data/user && chown 5:6 /data/user");
    let id = docker(&engine, &["inspect", "-f", "{{.Id}}", "one"]);
    let upper = engine.data().join("containers").join(&id).join("rw");
    ensure!(owner(upper.join("root.txt"))? == (0, 0) && owner(upper.join("tmp/user"))? == (1000, 2000));
    let volume = engine.data().join("volumes/data/data");
    ensure!(owner(volume.join("root"))? == (0, 0) && owner(volume.join("user"))? == (5, 6));
    // Nothing but that belongs to the container's users (CVE-2021-21284).
    for place in ["", "containers", "volumes", "volumes/data", "layers", "db"] {
        let place = engine.data().join(place);
        ensure!(owner(&place)? == (0, 0) && fs::metadata(&place)?.mode() & 0o022 == 0, "{}", place.display());
    }
    ensure!(exec("0", &format!("ls {} 2>&1 || true", engine.data().display())).contains("No such file"));
    // One that is of the host has the same files.
    let shared = ["--userns=host", "-v", "data:/data"];
    ensure!(
        sh(&engine, &shared, "stat -c %u:%g /data/user; tr -s ' ' < /proc/self/uid_map")
            == "5:6\n 0 0 4294967295"
    );
    Ok(())
}

#[test]
fn what_a_user_namespace_cannot_have_is_refused_in_dockers_words() -> Result<()> {
    let host = Host::new()?;
    let mut engine = host.engine(REMAP)?;
    let conflicts: [(&[&str], &str); 3] = [
        (
            &["--privileged"],
            "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode",
        ),
        (&["--network=host"], "cannot share the host's network namespace when user namespaces are enabled"),
        (&["--pid=host"], "cannot share the host PID namespace when user namespaces are enabled"),
    ];
    for (options, words) in conflicts {
        let command = |more: &[&str]| engine.docker(&[&["create"], options, more, &["busybox"]].concat());
        let answer = command(&[]);
        ensure!(answer.status != 0 && answer.stderr.contains(words), "{options:?}: {answer:?}");
        ensure!(command(&["--userns=host"]).status == 0, "{options:?}");
    }
    let answer = engine.docker(&["create", "--userns=other", "busybox"]);
    ensure!(answer.stderr.contains("invalid USER mode"), "{answer:?}");
    // One that was made before it is refused when it starts.
    engine.stop()?;
    engine.launch_with(&[])?;
    docker(&engine, &["create", "--name", "old", "--privileged", "busybox"]);
    engine.stop()?;
    engine.launch_with(REMAP)?;
    let answer = engine.docker(&["start", "old"]);
    ensure!(answer.stderr.contains("privileged mode is incompatible with user namespaces"), "{answer:?}");
    Ok(())
}

#[test]
fn what_goes_in_and_out_has_the_owners_that_are_seen_inside() -> Result<()> {
    let host = Host::new()?;
    let engine = host.engine(REMAP)?;
    let place = engine.scratch().to_owned();
    let bind = place.join("bind");
    fs::create_dir(&bind)?;
    fs::set_permissions(&bind, fs::Permissions::from_mode(0o777))?;
    fs::write(place.join("file"), "contents")?;
    chown(place.join("file"), Some(1000), Some(2000))?;
    let (file, mount) = (place.join("file").display().to_string(), format!("{}:/bind", bind.display()));
    let script = "touch /tmp/mine /bind/mine && chown 5:6 /tmp/mine && sleep 1000";
    let command =
        ["run", "-d", "--name", "one", "-v", "data:/data", "-v", &mount, "busybox", "sh", "-c", script];
    docker(&engine, &command);
    while engine.docker(&["exec", "one", "ls", "/tmp/mine"]).status != 0 {}
    for (state, targets) in
        [("running", ["/tmp/in", "/data/in", "/bind/in"]), ("stopped", ["/tmp/at", "/data/at", "/bind/at"])]
    {
        for target in targets {
            docker(&engine, &["cp", "-a", &file, &format!("one:{target}")]);
            let out = archive(&engine, &["cp", &format!("one:{target}"), "-"])?;
            ensure!(
                owners(&out, &place)?.ends_with(" 1000/2000"),
                "{state} {target}: {}",
                owners(&out, &place)?
            );
        }
        let listed = owners(&archive(&engine, &["cp", "one:/tmp", "-"])?, &place)?;
        ensure!(listed.contains("tmp/ 0/0") && listed.contains("tmp/mine 5/6"), "{state}: {listed}");
        let exported = owners(&archive(&engine, &["export", "one"])?, &place)?;
        ensure!(exported.contains("tmp/mine 5/6") && exported.contains("bin/ 0/0"), "{state}: {exported}");
        let _already = engine.docker(&["kill", "one"]);
    }
    ensure!(
        owner(bind.join("in"))? == (FIRST + 1000, FIRST + 2000)
            && owner(bind.join("at"))? == owner(bind.join("in"))?
    );
    ensure!(owner(bind.join("mine"))? == (FIRST, FIRST));
    ensure!(owner(engine.data().join("volumes/data/data/in"))? == (1000, 2000));
    ensure!(docker(&engine, &["diff", "one"]).contains("A /tmp/mine"));
    // A layer that is committed is the same with and without.
    docker(&engine, &["commit", "one", "made"]);
    let seen = |options: &[&str]| {
        docker(
            &engine,
            &[&["run", "--rm"], options, &["made", "stat", "-c", "%u:%g", "/tmp/mine", "/tmp/in"]].concat(),
        )
    };
    ensure!(seen(&[]) == "5:6\n1000:2000" && seen(&["--userns=host"]) == seen(&[]));
    docker(&engine, &["start", "one"]);
    ensure!(docker(&engine, &["exec", "one", "stat", "-c", "%u:%g", "/tmp/at"]) == "1000:2000");
    Ok(())
}

#[test]
fn capabilities_of_files_are_those_of_the_containers_root() -> Result<()> {
    let host = Host::new()?;
    let engine = host.engine(REMAP)?;
    let place = engine.scratch();
    let (program, tar) = (place.join("chown"), place.join("capable.tar"));
    fs::copy("/bin/busybox", &program)?;
    let with = |name: &str, arguments: &[&str]| {
        process::must(std::process::Command::new(name).current_dir(place).args(arguments))
    };
    with("setcap", &["cap_chown+ep", "chown"])?;
    with("tar", &["--xattrs", "--xattrs-include=*", "-cf", "capable.tar", "chown"])?;
    docker(&engine, &["run", "-d", "--name", "one", "busybox", "sleep", "1000"]);
    let sent = engine.client(Path::new("docker"), &["cp", "-", "one:/bin"], &fs::read(&tar)?);
    ensure!(sent.status == 0, "{sent:?}");
    // Who is no root gives a file away by the right of the program.
    let script = "cd /dev/shm && touch x && /bin/chown 7:8 x && stat -c %u:%g x";
    ensure!(docker(&engine, &["exec", "-u", "1000", "one", "sh", "-c", script]) == "7:8");
    docker(&engine, &["commit", "one", "made"]);
    for options in [&[][..], &["--userns=host"]] {
        let run = [&["run", "--rm", "-u", "1000"], options, &["made", "sh", "-c", script]].concat();
        ensure!(docker(&engine, &run) == "7:8", "{options:?}");
    }
    fs::write(place.join("back.tar"), archive(&engine, &["cp", "one:/bin/chown", "-"])?)?;
    fs::remove_file(&program)?;
    with("tar", &["--xattrs", "--xattrs-include=*", "-xf", "back.tar"])?;
    ensure!(with("getcap", &["chown"])?.contains("cap_chown=ep"));
    Ok(())
}

#[test]
fn mounts_and_settings_mean_what_they_always_mean() -> Result<()> {
    let host = Host::new()?;
    let engine = host.engine(REMAP)?;
    let bind = engine.scratch().join("bind");
    fs::create_dir(&bind)?;
    fs::write(bind.join("root"), "")?;
    fs::write(bind.join("user"), "")?;
    chown(bind.join("user"), Some(FIRST + 7), Some(FIRST + 8))?;
    let bind = bind.display().to_string();
    // Binds have the owners of the host, as with Docker, unless they are mapped.
    let listed = "stat -c %u:%g /bind/root /bind/user";
    ensure!(sh(&engine, &["-v", &format!("{bind}:/bind")], listed) == "65534:65534\n7:8");
    ensure!(
        sh(
            &engine,
            &["-v", &format!("{bind}:/bind:idmap")],
            "touch /bind/new; stat -c %u:%g /bind/root /bind/new"
        ) == "0:0\n0:0"
    );
    ensure!(
        sh(&engine, &["-u", "9:9", "-v", &format!("{bind}:/bind:idmap")], "stat -c %u:%g /bind/root")
            == "9:9"
    );
    ensure!(owner(format!("{bind}/new"))? == (0, 0));
    let image = ["--mount", "type=image,source=busybox,target=/image"];
    ensure!(sh(&engine, &image, "stat -c %u:%g /image /image/bin") == "0:0\n0:0");
    ensure!(sh(&engine, &["--tmpfs", "/t:uid=7,gid=8,mode=700"], "stat -c %u:%g /t") == "7:8");
    let options = ["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=uid=7"];
    docker(&engine, &[&["volume", "create"], &options[..], &["memory"]].concat());
    ensure!(sh(&engine, &["-v", "memory:/m"], "touch /m/x; stat -c %u:%g /m /m/x") == "7:0\n0:0");
    let kernel = "cd /proc/sys; cat net/ipv4/ip_forward kernel/msgmax net/ipv4/ping_group_range net/ipv4/ip_unprivileged_port_start | tr -s '\\t\\n' ' '";
    let sysctls = ["--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.msgmax=9000"];
    ensure!(sh(&engine, &sysctls, kernel) == "1 9000 0 65535 0 ");
    ensure!(
        sh(&engine, &["--read-only", "--init"], "touch /x 2>&1; ls /sys/class/net /dev/mqueue")
            .contains("Read-only file system")
    );
    ensure!(sh(&engine, &["--network=none"], "ls /sys/class/net") == "lo");
    ensure!(sh(&engine, &["--ipc=host"], "mount | grep -c mqueue") == "1");
    ensure!(
        sh(&engine, &["--uts=host", "--cgroupns=host"], "cat /proc/self/cgroup").contains(&engine.cgroup())
    );
    let device = ["--device", "/dev/full:/dev/mine"];
    ensure!(
        sh(&engine, &device, "stat -c %u:%g:%t:%T /dev/mine; echo x > /dev/mine || echo full")
            .contains("0:0:1:7\nfull")
    );
    let admin = ["--cap-add=ALL", "--security-opt", "seccomp=unconfined"];
    // Whoever has every right there has none to the host.
    let tried = "mknod /x b 8 0 2>/dev/null && echo made; mount -o remount,rw /sys 2>/dev/null; echo 1 2>/dev/null > /proc/sys/kernel/core_pattern && echo written; mkdir /m && mount -t tmpfs t /m && echo mounted; ip link set eth0 down && echo down";
    ensure!(sh(&engine, &admin, tried) == "mounted\ndown", "{}", sh(&engine, &admin, tried));
    let answer = engine.docker(&["run", "--rm", "-u", "70000", "busybox", "true"]);
    ensure!(answer.status != 0 && answer.stderr.contains("set the user 70000"), "{answer:?}");
    Ok(())
}

#[test]
fn terminals_and_health_checks_are_the_containers_own() -> Result<()> {
    let host = Host::new()?;
    let engine = host.engine(REMAP)?;
    let terminal = "tty; stat -c %u:%g /dev/console $(tty); echo x > /dev/console; echo x > /dev/tty";
    let seen = docker(&engine, &["run", "--rm", "-t", "-u", "1000", "busybox", "sh", "-c", terminal]);
    ensure!(seen.replace('\r', "").starts_with("/dev/pts/0\n1000:5\n1000:5\nx\nx"), "{seen}");
    let check = ["--health-cmd", "id -u; tr -s ' ' < /proc/self/uid_map", "--health-interval", "50ms"];
    docker(&engine, &[&["run", "-d", "--name", "one"], &check[..], &["busybox", "sleep", "1000"]].concat());
    let state = || docker(&engine, &["inspect", "-f", "{{json .State.Health}}", "one"]);
    while !state().contains("healthy\",") {}
    ensure!(state().contains("0\\n 0 300000 65536"), "{}", state());
    let seen = docker(&engine, &["exec", "-t", "one", "sh", "-c", "stat -c %u:%g $(tty); echo x > /dev/tty"]);
    ensure!(seen.replace('\r', "").starts_with("0:5\nx"), "{seen}");
    Ok(())
}

#[test]
fn who_joins_another_container_is_in_its_user_namespace() -> Result<()> {
    let host = Host::new()?;
    let engine = host.engine(REMAP)?;
    docker(&engine, &["run", "-d", "--name", "one", "--ipc=shareable", "busybox", "sleep", "1000"]);
    docker(&engine, &["run", "-d", "--name", "two", "--ipc=shareable", "busybox", "sleep", "1000"]);
    docker(
        &engine,
        &["run", "-d", "--name", "plain", "--userns=host", "--ipc=shareable", "busybox", "sleep", "1000"],
    );
    let namespace = docker(&engine, &["exec", "one", "readlink", "/proc/self/ns/user"]);
    let other = docker(&engine, &["exec", "two", "readlink", "/proc/self/ns/user"]);
    ensure!(namespace != other, "each has its own");
    for mode in ["--network", "--pid", "--ipc"] {
        let seen = sh(
            &engine,
            &[&format!("{mode}=container:one")],
            "readlink /proc/self/ns/user; ls /sys/class/net | tail -n1; ip link set lo up; touch /dev/shm/x",
        );
        ensure!(seen.starts_with(&format!("{namespace}\n")), "{mode}: {seen}");
        let refused = engine.docker(&["run", "--rm", &format!("{mode}=container:plain"), "busybox", "true"]);
        ensure!(refused.stderr.contains("it is in the host's user namespace"), "{refused:?}");
        sh(&engine, &["--userns=host", &format!("{mode}=container:one")], "true");
    }
    let both = ["run", "--rm", "--pid=container:one", "--network=container:two", "busybox", "true"];
    ensure!(engine.docker(&both).stderr.contains("cannot join the namespaces of several containers"));
    Ok(())
}

#[test]
fn what_runs_stays_in_its_user_namespace_whoever_is_the_engine() -> Result<()> {
    let host = Host::new()?;
    let mut engine = host.engine(REMAP)?;
    docker(&engine, &["run", "-d", "--name", "one", "--network=none", "busybox", "sleep", "1000"]);
    let map = |engine: &Engine| {
        docker(
            engine,
            &[
                "exec",
                "--privileged",
                "one",
                "sh",
                "-c",
                "touch /tmp/x; stat -c %u /tmp/x; tr -s ' ' < /proc/self/uid_map",
            ],
        )
    };
    for flags in [REMAP, &[]] {
        engine.kill()?;
        engine.launch_with(flags)?;
        ensure!(map(&engine) == "0\n 0 300000 65536", "{flags:?}");
        let copied = archive(&engine, &["cp", "one:/tmp/x", "-"])?;
        ensure!(owners(&copied, engine.scratch())? == "x 0/0");
    }
    // Started anew it is the host's, with the files that it had.
    docker(&engine, &["restart", "-t", "0", "one"]);
    ensure!(map(&engine) == "0\n 0 0 4294967295");
    engine.kill()?;
    engine.launch_with(REMAP)?;
    ensure!(map(&engine) == "0\n 0 0 4294967295");
    docker(&engine, &["restart", "-t", "0", "one"]);
    ensure!(map(&engine) == "0\n 0 300000 65536");
    Ok(())
}

#[test]
fn other_runtimes_are_given_the_same() -> Result<()> {
    let host = Host::new()?;
    let engine = host.engine(REMAP)?;
    for runtime in ["runc", "crun"] {
        let option = ["--runtime", runtime];
        let tried = engine.docker(&[&["run", "--rm"], &option[..], &["busybox", "true"]].concat());
        // Whatever becomes of it: crun gives its streams to the user of the container.
        ensure!(owner("/dev/null")? == (0, 0), "{runtime} was given the host's null device");
        if tried.status != 0 {
            eprintln!("not run: {runtime} makes no containers here: {}", tried.stderr);
            continue;
        }
        let begin = ["run", "-d", "--name", runtime, "-v", "data:/data", "--init"];
        docker(&engine, &[&begin[..], &option, &["busybox", "sleep", "1000"]].concat());
        let exec = |script: &str| docker(&engine, &["exec", runtime, "sh", "-c", script]);
        let seen =
            "tr -s ' ' < /proc/self/uid_map; stat -c %u:%g / /data /etc/hosts /bin/sh; touch /data/x /x";
        ensure!(exec(seen) == " 0 300000 65536\n0:0\n0:0\n0:0\n0:0", "{runtime}: {}", exec(seen));
        ensure!(owner(engine.data().join("volumes/data/data/x"))? == (0, 0));
        let terminal = ["run", "--rm", "-t"];
        let seen = docker(&engine, &[&terminal[..], &option, &["busybox", "tty"]].concat());
        ensure!(seen.trim() == "/dev/pts/0" && owner("/dev/null")? == (0, 0), "{runtime}: {seen}");
    }
    Ok(())
}

#[test]
fn ranges_come_from_the_files_of_the_host() -> Result<()> {
    let host = Host::new()?;
    let mut engine = host.engine(&["--userns-remap", "default"])?;
    ensure!(sh(&engine, &[], "tr -s ' ' < /proc/self/gid_map") == " 0 365536 65536");
    ensure!(host.file("subuid")? == format!("{RANGES}dockremap:365536:65536\n"));
    ensure!(host.file("subgid")? == host.file("subuid")?);
    engine.stop()?;
    engine.launch()?;
    ensure!(host.file("subuid")?.matches("dockremap").count() == 1);
    engine.stop()?;
    for (name, words) in [
        ("nobody", "error during \"nobody\" username lookup"),
        ("a:b:c", "invalid user/group specification in --userns-remap: \"a:b:c\""),
        ("1", "error during \"1\" username lookup"),
    ] {
        let refused = engine.launch_with(&["--userns-remap", name]).unwrap_err().to_string();
        ensure!(refused.contains(words), "{name}: {refused}");
    }
    fs::write(host.etc.path().join("subgid"), "other:1:1\n")?;
    let refused = engine.launch_with(REMAP).unwrap_err().to_string();
    ensure!(refused.contains("no subgid ranges found") && refused.contains("web:100000:65536"), "{refused}");
    // Several ranges follow each other.
    fs::write(host.etc.path().join("subgid"), RANGES)?;
    fs::write(host.etc.path().join("subuid"), "1000:500000:10\nweb:300000:5\n")?;
    engine.launch_with(&["--userns-remap", "1000:1000"])?;
    ensure!(
        sh(&engine, &[], "tr -s ' ' < /proc/self/uid_map; touch /x; chown 5 /x; stat -c %u /x")
            == " 0 300000 5\n 5 500000 10\n5"
    );
    engine.stop()?;
    let file = engine.scratch().join("daemon.json");
    fs::write(&file, r#"{"userns-remap": "web"}"#)?;
    engine.launch_with(&["--config-file", &file.display().to_string()])?;
    ensure!(docker(&engine, &["info", "-f", "{{.SecurityOptions}}"]).contains("name=userns"));
    Ok(())
}

#[test]
fn a_kernel_that_maps_no_owners_is_told_at_the_start() -> Result<()> {
    let lacking = format!("{} mount_setattr {}", env!("CARGO_BIN_EXE_lacking"), engine::binary()?.display());
    let host = Host::below(&lacking)?;
    let refused = host.engine(REMAP).map(drop).unwrap_err().to_string();
    ensure!(
        refused.contains("userns-remap needs a kernel that maps the owners of overlays (Linux 6.15)"),
        "{refused}"
    );
    host.engine(&[]).map(drop)
}
