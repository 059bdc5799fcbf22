//! What a container is created with, seen from inside it and by the stock command line.

use anyhow::{Result, ensure};
use dhow_journeys::engine;
use dhow_testkit::{Engine, process};

/// Whether a container can be run by another runtime here.
fn has_runtime(engine: &Engine, name: &str) -> Result<bool> {
    if process::find(name).is_none() {
        eprintln!("LEFT OUT: {name} is not installed");
        return Ok(false);
    }
    let answer = engine.docker(&["run", "--rm", "--runtime", name, "busybox", "true"]);
    // crun 1.8 refuses machines that have controllers in both versions of cgroups.
    if answer.stderr.contains("cgroups in hybrid mode not supported") {
        eprintln!("LEFT OUT: {name} does not run on this machine: {}", answer.stderr.trim());
        return Ok(false);
    }
    answer.check()?;
    Ok(true)
}

#[test]
fn another_runtime_makes_the_container_and_the_rest_is_as_always() -> Result<()> {
    for runtime in ["runc", "crun"] {
        let mut engine = engine()?;
        if has_runtime(&engine, runtime)? {
            runs_programs(&engine, runtime)?;
            lives(&mut engine, runtime)?;
        }
    }
    Ok(())
}

fn runs_programs(engine: &Engine, runtime: &str) -> Result<()> {
    let run = ["run", "--rm", "--runtime", runtime, "busybox"];
    for (command, status, words) in [
        (&["sh", "-c", "echo out; echo err >&2; exit 3"][..], 3, "err"),
        (&["nope"], 127, "not found in $PATH"),
        (&["/etc/passwd"], 126, "permission denied"),
    ] {
        let answer = engine.docker(&[&run[..], command].concat());
        ensure!(
            answer.status == status && answer.stderr.contains(words),
            "{runtime} {command:?}: {answer:?}"
        );
    }
    let terminal = ["run", "--rm", "-t", "--runtime", runtime, "busybox", "tty"];
    ensure!(engine.docker(&terminal).ok().trim() == "/dev/pts/0");
    for (part, file) in [("", "/image/bin/busybox"), (",image-subpath=bin/busybox", "/image")] {
        let image = format!("type=image,source=busybox,target=/image{part}");
        let begin = ["run", "--rm", "--runtime", runtime, "--mount", &image, "busybox"];
        engine.docker(&[&begin[..], &["test", "-x", file]].concat()).ok();
    }
    with_init(engine, runtime)
}

/// Our program is the first one, passes signals on and reaps; nobody can write to it.
fn with_init(engine: &Engine, runtime: &str) -> Result<()> {
    let run = ["run", "--rm", "--init", "--privileged", "--runtime", runtime, "busybox"];
    let script = "cat /proc/1/cmdline | tr '\\0' ' '; (sleep 0 & exec true); exit 5";
    let shown = engine.docker(&[&run[..], &["sh", "-c", script]].concat());
    ensure!(shown.status == 5 && shown.stdout.starts_with("/sbin/docker-init -- sh -c"), "{shown:?}");
    ensure!(engine.docker(&[&run[..], &["nope"]].concat()).status == 127);
    let script = "mount -o remount,rw /sbin/docker-init; echo x > /sbin/docker-init";
    let written = engine.docker(&[&run[..], &["sh", "-c", script]].concat());
    ensure!(written.status != 0, "{written:?}");
    let detached =
        ["run", "-d", "--name", "init", "--init", "--runtime", runtime, "busybox", "sleep", "1000"];
    engine.docker(&detached).ok();
    engine.docker(&["stop", "init"]).ok();
    ensure!(engine.inspect("init", "{{.State.ExitCode}}") == "143");
    engine.docker(&["rm", "init"]).ok();
    Ok(())
}

fn lives(engine: &mut Engine, runtime: &str) -> Result<()> {
    let script = "trap 'echo bye; exit 7' TERM; while :; do echo tick; sleep 0.1; done";
    let limits = ["-m", "64m", "-v", "vol:/v"];
    let begin = ["run", "-d", "--name", "lives", "--runtime", runtime];
    engine.docker(&[&begin[..], &limits, &["busybox", "sh", "-c", script]].concat()).ok();
    // Made by it: its state is where we told it to keep it.
    let state = process::find("find").map(|find| {
        let mut command = std::process::Command::new(find);
        command.arg(engine.scratch().join("run/containers")).args(["-path", "*/other/state/*"]);
        process::must(&mut command)
    });
    ensure!(state.transpose()?.is_some_and(|found| !found.is_empty()), "{runtime} keeps no state");
    let answer = engine.docker(&["exec", "lives", "sh", "-c", "echo inside; exit 4"]);
    ensure!(answer.status == 4 && answer.stdout == "inside\n", "{answer:?}");
    ensure!(engine.docker(&["exec", "lives", "nope"]).status == 127);
    ensure!(engine.docker(&["exec", "-t", "lives", "tty"]).ok().contains("/dev/pts/"));
    engine.docker(&["pause", "lives"]).ok();
    ensure!(engine.docker(&["ps", "--format", "{{.Status}}"]).ok().contains("(Paused)"));
    engine.docker(&["unpause", "lives"]).ok();
    let canary = engine.scratch().join("canary");
    std::fs::write(&canary, "copied")?;
    engine.docker(&["cp", &canary.to_string_lossy(), "lives:/v/canary"]).ok();
    ensure!(engine.docker(&["exec", "lives", "cat", "/v/canary"]).ok() == "copied");
    engine.kill()?;
    engine.launch()?;
    ensure!(engine.docker(&["exec", "lives", "echo", "after"]).ok() == "after");
    engine.docker(&["stop", "lives"]).ok();
    ensure!(engine.inspect("lives", "{{.State.ExitCode}}") == "7");
    ensure!(engine.docker(&["logs", "--tail", "1", "lives"]).ok() == "bye");
    let part = ["--mount", "type=volume,source=vol,target=/part,volume-subpath=canary"];
    let run = ["run", "--rm", "--runtime", runtime, "--ipc", "container:shares"];
    let share = ["run", "-d", "--name", "shares", "--ipc", "shareable", "busybox", "sleep", "1000"];
    engine.docker(&share).ok();
    engine.docker(&["exec", "shares", "sh", "-c", "echo x > /dev/shm/x"]).ok();
    let answer = engine.docker(&[&run[..], &part, &["busybox", "cat", "/part", "/dev/shm/x"]].concat());
    ensure!(answer.ok() == "copiedx", "{answer:?}");
    engine.docker(&["start", "lives"]).ok();
    engine.docker(&["kill", "lives"]).ok();
    ensure!(engine.docker(&["wait", "lives"]).ok() == "137");
    engine.docker(&["start", "lives"]).ok();
    engine.docker(&["rm", "-f", "lives"]).ok();
    Ok(())
}

#[test]
fn runtimes_are_named_in_the_configuration() -> Result<()> {
    let Some(runc) = process::find("runc") else {
        eprintln!("LEFT OUT: runc is not installed");
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("daemon.json");
    let runtimes = serde_json::json!({"runtimes": {
        "quiet": {"path": runc, "runtimeArgs": ["--debug=false"]},
        "gone": {"path": "/nope/runc"},
    }, "default-runtime": "quiet"});
    std::fs::write(&file, runtimes.to_string())?;
    let engine = Engine::with_busybox(&["--config-file", &file.to_string_lossy()])?;
    ensure!(engine.docker(&["run", "--rm", "busybox", "echo", "hi"]).ok() == "hi");
    engine.docker(&["create", "--name", "made", "busybox"]).ok();
    ensure!(engine.inspect("made", "{{.HostConfig.Runtime}}") == "quiet");
    for (name, words) in [
        ("gone", "runtime gone: /nope/runc is no program"),
        ("other", "unknown or invalid runtime name: other"),
        ("/nope", "unknown or invalid runtime name: /nope"),
        ("../runc", "unknown or invalid runtime name: ../runc"),
    ] {
        let answer = engine.docker(&["create", "--runtime", name, "busybox"]);
        ensure!(answer.status != 0 && answer.stderr.contains(words), "{name}: {answer:?}");
    }
    ensure!(engine.docker(&["run", "--rm", "--runtime", "dhow", "busybox", "echo", "own"]).ok() == "own");
    Ok(())
}

/// Two vendors' files in two directories, of which the last has precedence.
fn describe_devices(directory: &std::path::Path) -> Result<[String; 2]> {
    let (first, last) = (directory.join("first"), directory.join("last"));
    std::fs::create_dir(&first)?;
    std::fs::create_dir(&last)?;
    std::fs::write(directory.join("lib"), "a vendor's file")?;
    let lib = directory.join("lib").display().to_string();
    let hook = directory.join("hook");
    // What it is given by its file, by the image, and on its standard input.
    std::fs::write(&hook, format!("#!/bin/sh\n(env; pwd; cat) > {}/hooked\n", directory.display()))?;
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let hook = hook.display();
    std::fs::write(
        first.join("vendor.yaml"),
        format!(
            "cdiVersion: 0.6.0\nkind: vendor.com/device\ncontainerEdits:\n  env: [COMMON=yes]\ndevices:\n\
             - name: one\n  containerEdits:\n    env: [ONE=1]\n    deviceNodes:\n    - {{path: /dev/one, \
             hostPath: /dev/kmsg, permissions: r}}\n    mounts:\n    - {{hostPath: {lib}, containerPath: \
             /usr/lib/vendor, options: [ro, nosuid, bind]}}\n    hooks:\n    - {{hookName: createRuntime, \
             path: {hook}, env: [FROM=file]}}\n    additionalGids: [4242]\n- name: two\n  containerEdits:\n    \
             env: [TWO=old]\n"
        ),
    )?;
    let new = serde_json::json!({"cdiVersion": "0.3.0", "kind": "vendor.com/device", "devices": [
        {"name": "two", "containerEdits": {"env": ["TWO=new"]}},
    ]});
    std::fs::write(last.join("newer.json"), new.to_string())?;
    let gpus =
        |name: &str| serde_json::json!({"name": name, "containerEdits": {"env": [format!("GPU{name}=1")]}});
    let gpus = serde_json::json!({"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu",
        "devices": [gpus("0"), gpus("1"), gpus("all")]});
    std::fs::write(last.join("gpus.json"), gpus.to_string())?;
    std::fs::write(last.join("broken.json"), "{\"kind\": ")?;
    Ok([first, last].map(|path| path.display().to_string()))
}

#[test]
fn devices_that_vendors_describe_come_with_all_they_need() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let [first, last] = describe_devices(directory.path())?;
    let engine = Engine::with_busybox(&["--cdi-spec-dir", &first, "--cdi-spec-dir", &last])?;
    let script = "echo $COMMON$ONE$TWO; ls -l /dev/one | cut -c1; cat /usr/lib/vendor; echo; id -G; \
                  (: > /dev/one) 2>/dev/null || echo closed";
    let one = ["--device", "vendor.com/device=one", "--device", "vendor.com/device=two"];
    // Its owner might write it, and what describes it says no.
    let limited = [&["run", "--rm", "-e", "LD_PRELOAD=/evil.so"][..], &one, &["busybox", "sh", "-c", script]];
    let answer = engine.docker(&limited.concat());
    ensure!(answer.ok() == "yes1new\nc\na vendor's file\n0 4242\nclosed", "{answer:?}");
    let hooked = std::fs::read_to_string(directory.path().join("hooked"))?;
    ensure!(hooked.contains("FROM=file") && !hooked.contains("LD_PRELOAD"), "{hooked}");
    ensure!(hooked.contains("\n/\n") && hooked.contains("\"status\":\"creating\""), "{hooked}");
    for (gpus, seen) in [("all", "GPUall"), ("2", "GPU0 GPU1"), ("\"device=1\"", "GPU1")] {
        let script = "for name in GPU0 GPU1 GPUall; do env | grep -o ^$name; done; true";
        let answer = engine.docker(&["run", "--rm", "--gpus", gpus, "busybox", "sh", "-c", script]);
        ensure!(answer.ok().replace('\n', " ") == seen, "{gpus}: {answer:?}");
    }
    for (flags, words) in [
        (["--device", "vendor.com/device=gone"], "unresolvable CDI devices vendor.com/device=gone"),
        (["--gpus", "driver=amd"], "could not select device driver \"amd\" with capabilities: [[gpu]]"),
    ] {
        let answer = engine.docker(&[&["run", "--rm"][..], &flags, &["busybox", "true"]].concat());
        ensure!(answer.status == 125 && answer.stderr.contains(words), "{answer:?}");
    }
    let info = engine.connect()?.request("GET", "/v1.50/info", &serde_json::Value::Null)?.json()?;
    ensure!(info["DiscoveredDevices"].to_string().contains("vendor.com/device=one"), "{info}");
    Ok(())
}

/// In each line: flags, a script in the container, and what it prints.
#[test]
fn what_was_asked_for_is_seen_from_inside() -> Result<()> {
    let engine = engine()?;
    let status = |names: &str| format!("grep -E '^({names}):' /proc/self/status | cut -f2");
    for (flags, script, seen) in [
        (
            "--cap-drop ALL --cap-add CAP_net_raw",
            status("CapEff|CapBnd|CapInh"),
            "0000000000000000 0000000000002000 0000000000002000",
        ),
        ("--cap-drop ALL", status("CapEff|CapBnd"), "0000000000000000 0000000000000000"),
        ("--security-opt no-new-privileges", status("NoNewPrivs|Seccomp"), "1 2"),
        ("--security-opt seccomp=unconfined", status("NoNewPrivs|Seccomp"), "0 0"),
        ("--security-opt seccomp=builtin", status("Seccomp"), "2"),
        ("--security-opt systempaths=unconfined", "mount | grep -c /proc/ || true".into(), "0"),
        ("--security-opt label=disable --security-opt apparmor=unconfined", "echo ok".into(), "ok"),
        ("--device /dev/null:/dev/x:r", "ls -l /dev/x | cut -c1; cat /dev/x".into(), "c"),
        ("--ulimit nofile=10:20 --ulimit core=0", "ulimit -n; ulimit -Hn; ulimit -c".into(), "10 20 0"),
        (
            "--sysctl kernel.shmmax=1000000 --sysctl net.ipv4.ip_forward=1",
            "cat /proc/sys/kernel/shmmax /proc/sys/net/ipv4/ip_forward".into(),
            "1000000 1",
        ),
        ("--shm-size 10m", "df -k /dev/shm | tail -1 | awk '{print $2}'".into(), "10240"),
        ("--ipc none", "ls /dev/shm 2>/dev/null || echo none".into(), "none"),
        ("--user 1000:audio", "id -u; id -g; id -G".into(), "1000 29 29"),
        ("--user web --group-add video --group-add 77", "id -G".into(), "1000 29 44 77"),
        ("--read-only", "touch /x 2>/dev/null || echo no; mount | grep -c ' / .*[(,]ro[,)]'".into(), "no 1"),
        (
            "--tmpfs /x:size=1m,mode=700,uid=5",
            "stat -c '%a %u' /x; df -k /x | tail -1 | awk '{print $2}'".into(),
            "700 5 1024",
        ),
        (
            "--mount type=tmpfs,destination=/x,tmpfs-size=1048576,tmpfs-mode=1770",
            "stat -c %a /x; df -k /x | tail -1 | awk '{print $2}'".into(),
            "1770 1024",
        ),
        ("--oom-score-adj 500", "cat /proc/self/oom_score_adj".into(), "500"),
        ("--hostname h --domainname d.e", "hostname; cat /proc/sys/kernel/domainname".into(), "h d.e"),
        ("-w /made/for/it", "pwd".into(), "/made/for/it"),
        ("-e A=1 -e B=2 -e A=3", "echo $A$B".into(), "32"),
        ("--pids-limit 40 --cpu-shares 100", "echo ok".into(), "ok"),
        (
            "--stop-signal SIGUSR1 --stop-timeout 3 --annotation a=b --isolation default",
            "echo ok".into(),
            "ok",
        ),
    ] {
        let flags: Vec<&str> = flags.split(' ').collect();
        let answer =
            engine.docker(&[&["run", "--rm"][..], &flags, &["busybox", "sh", "-c", &script]].concat());
        let words: Vec<&str> = answer.ok().split_whitespace().collect();
        ensure!(words.join(" ") == seen, "{flags:?}: {answer:?}");
    }
    Ok(())
}

#[test]
fn what_cannot_be_had_is_refused_in_dockers_words() -> Result<()> {
    let engine = engine()?;
    for (flags, words) in [
        ("--cap-add nope", "invalid CapAdd: unknown capability: \"CAP_NOPE\""),
        ("--security-opt nope=x", "invalid --security-opt 2: \"nope=x\""),
        ("--security-opt writable-cgroups=maybe", "invalid --security-opt 2"),
        ("--device /dev/nope", "error gathering device information while adding custom device \"/dev/nope\""),
        ("--device vendor.com/class=nope", "unresolvable CDI devices vendor.com/class=nope"),
        ("--user nope", "unable to find user nope: no matching entries in passwd file"),
        ("--group-add nope", "unable to find group nope: no matching entries in group file"),
        ("--tmpfs /x:nope=1", "invalid tmpfs option [\"nope\" \"1\"]"),
        ("--net host --sysctl net.ipv4.ip_forward=1", "\"net.ipv4.ip_forward\""),
        ("--ipc host --sysctl kernel.shmmax=1000000", "\"kernel.shmmax\""),
        ("--ipc nope", "invalid IPC mode: nope"),
        ("--storage-opt nope=1G", "Unknown option nope"),
        ("--storage-opt size=much", "invalid size of the storage option"),
        ("--oom-score-adj 5000", "Invalid value 5000, range for oom score adj is [-1000, 1000]"),
        ("--cpus 999", "range of CPUs is from 0.01 to"),
        ("-m 1m", "Minimum memory limit allowed is 6MB"),
        ("--isolation hyperv", "linux only supports 'default'"),
        ("--stop-signal NOPE", "invalid signal: NOPE"),
        ("-w relative", "the working directory 'relative' is invalid, it needs to be an absolute path"),
        ("--pid container:nope", "No such container: nope"),
    ] {
        let flags: Vec<&str> = flags.split(' ').collect();
        let answer = engine.docker(&[&["run", "--rm"][..], &flags, &["busybox", "true"]].concat());
        ensure!(answer.status >= 125 && answer.stderr.contains(words), "{flags:?}: {answer:?}");
    }
    Ok(())
}

/// Spaces that are shared: those of another container, and the host's.
#[test]
fn spaces_are_shared_with_whom_was_named() -> Result<()> {
    let engine = engine()?;
    let give = ["run", "-d", "--name", "donor", "--ipc", "shareable", "-h", "given"];
    engine.docker(&[&give[..], &["busybox", "sh", "-c", "echo x > /dev/shm/x; sleep 1000"]].concat()).ok();
    engine.docker(&["run", "-d", "--name", "private", "busybox", "sleep", "1000"]).ok();
    let own = |name: &str| {
        let engine = engine.pid().unwrap_or_default();
        process::must(std::process::Command::new("readlink").arg(format!("/proc/{engine}/ns/{name}")))
    };
    let wait = "until [ -e /dev/shm/x ]; do sleep 0.01; done; cat /dev/shm/x";
    let run = |flags: &[&str], script: &str| {
        engine.docker(&[&["run", "--rm"][..], flags, &["busybox", "sh", "-c", script]].concat())
    };
    ensure!(run(&["--ipc", "container:donor"], wait).ok() == "x");
    ensure!(run(&["--pid", "container:donor"], "grep -c 1000 /proc/1/cmdline").ok() == "1");
    ensure!(run(&["--network", "container:donor"], "hostname").ok() == "given");
    let refused = run(&["--ipc", "container:private"], "true");
    ensure!(refused.stderr.contains("non-shareable IPC"), "{refused:?}");
    for (flag, name) in
        [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--cgroupns", "cgroup"), ("--net", "net")]
    {
        let seen = run(&[flag, "host"], &format!("readlink /proc/self/ns/{name}"));
        ensure!(seen.ok() == own(name)?.trim(), "{flag} host: {seen:?}");
    }
    ensure!(run(&["--userns", "host"], "readlink /proc/self/ns/user").ok() == own("user")?.trim());
    Ok(())
}

#[test]
fn whose_spaces_are_shared_may_be_renamed() -> Result<()> {
    let engine = engine()?;
    let sleep = ["busybox", "sleep", "1000"];
    let donor =
        ["run", "-d", "--name", "donor", "--network", "none", "--hostname", "given", "--ipc", "shareable"];
    let id = engine.docker(&[&donor[..], &sleep].concat()).ok().to_owned();
    let modes = ["--network", "container:donor", "--ipc", "container:donor", "--pid", "container:donor"];
    engine.docker(&[&["create", "--name", "guest"], &modes[..], &sleep].concat()).ok();
    let host = "{{with .HostConfig}}{{.NetworkMode}} {{.IpcMode}} {{.PidMode}}{{end}}";
    let shown = engine.inspect("guest", host);
    ensure!(shown == [&format!("container:{id}")[..]; 3].join(" "), "{shown}");
    engine.docker(&["rename", "donor", "other"]).ok();
    engine.docker(&["run", "-d", "--name", "donor", "--network", "none", "busybox", "sleep", "1000"]).ok();
    engine.docker(&["start", "guest"]).ok();
    let space = |name: &str, kind: &str| {
        engine.docker(&["exec", name, "readlink", &format!("/proc/self/ns/{kind}")]).ok().to_owned()
    };
    for kind in ["net", "ipc", "pid"] {
        ensure!(space("guest", kind) == space("other", kind), "{kind}");
    }
    // The name is the same, and changes for the one alone.
    ensure!(space("guest", "uts") != space("other", "uts"));
    ensure!(engine.inspect("guest", "{{.Config.Hostname}}") == "given");
    ensure!(
        engine.docker(&["exec", "guest", "sh", "-c", "hostname; cat /etc/hostname"]).ok() == "given\ngiven"
    );
    for mode in ["--pid", "--ipc"] {
        let answer = engine.docker(&["create", mode, "container:nobody", "busybox"]);
        ensure!(answer.stderr.contains("No such container: nobody"), "{answer:?}");
    }
    Ok(())
}

/// More groups than the kernel takes, and files longer than any that is honest: a clear word, and quickly.
#[test]
fn lists_of_groups_are_bounded() -> Result<()> {
    let engine = engine()?;
    let write =
        "i=0; while [ $i -lt $N ]; do echo \"g$i:x:$((i + 2000)):web\"; i=$((i + 1)); done >> /etc/group";
    engine.docker(&["run", "--name", "some", "-e", "N=300", "busybox", "sh", "-c", write]).ok();
    engine.docker(&["commit", "some", "some"]).ok();
    let groups = engine.docker(&["run", "--rm", "-u", "web", "some", "sh", "-c", "id -G | wc -w"]);
    ensure!(groups.ok().trim() == "303", "{groups:?}");
    let long = "head -c 5000000 /dev/zero | tr '\\0' 'x' >> /etc/group";
    engine.docker(&["run", "--name", "long", "busybox", "sh", "-c", long]).ok();
    engine.docker(&["commit", "long", "long"]).ok();
    let answer = engine.docker(&["run", "--rm", "-u", "web", "long", "true"]);
    ensure!(answer.status == 125 && answer.stderr.contains("/etc/group"), "{answer:?}");
    Ok(())
}

/// A container that builds or starts others speaks to the engine by the socket that is put where clients look for it,
/// and to registries by what the user's own file of settings knows.
#[test]
fn a_container_may_be_given_the_engine_and_the_credentials_of_its_user() -> Result<()> {
    let engine = engine()?;
    let settings = engine.scratch().join("settings");
    std::fs::create_dir(&settings)?;
    let folder = settings.display().to_string();
    let file = settings.join("config.json");
    let look = "test -S /var/run/docker.sock; stat -c %a,%u $DOCKER_CONFIG/config.json; cat $DOCKER_CONFIG/config.json";
    let run = |variable: &[&str], script: &str| {
        let run = ["--config", &folder, "run", "--rm", "--use-api-socket"];
        engine.dhow(&[&run[..], variable, &["busybox", "sh", "-ec", script]].concat())
    };
    std::fs::write(&file, r#"{"auths":{"registry.example":{"auth":"dTpw"},"empty.example":{}}}"#)?;
    ensure!(run(&[], look).ok() == "600,0\n{\"auths\":{\"registry.example\":{\"auth\":\"dTpw\"}}}");
    let own = run(&["-e", "DOCKER_CONFIG=/own"], "test ! -e /run/secrets/docker; echo $DOCKER_CONFIG");
    ensure!(own.ok() == "/own");
    std::fs::write(&file, r#"{"auths":{"registry.example":{}},"credsStore":"desktop"}"#)?;
    let kept = run(&[], "true");
    ensure!(kept.status == 125 && kept.stderr.contains("credentials that a helper keeps"), "{kept:?}");
    ensure!(engine.docker(&["ps", "-aq"]).ok().is_empty(), "what was refused left a container");
    Ok(())
}
