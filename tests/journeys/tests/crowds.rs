//! Hundreds of containers at once, and pools that have nothing left: all run, or are refused in words that say why,
//! and nothing of them stays.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, anyhow, ensure};
use dhow_journeys::docker;
use dhow_testkit::http::Connection;
use dhow_testkit::process::must;
use dhow_testkit::{Engine, until};
use serde_json::{Value, json};

const CONTAINERS: usize = 200;
const CLIENTS: usize = 24;

fn engine() -> Result<Engine> {
    let engine = Engine::with_busybox(&[])?;
    must(engine.within_network(Path::new("ip")).args(["link", "set", "lo", "up"]))?;
    Ok(engine)
}

/// Does something for each number, by many clients with a connection each.
fn crowd(engine: &Engine, deed: impl Fn(&mut Connection, usize) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let client = || -> Result<()> {
        let mut connection = engine.connect()?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= CONTAINERS {
                return Ok(());
            }
            deed(&mut connection, number).with_context(|| format!("container {number}"))?;
        }
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow!("a client panicked"))?)
    })
}

fn call(connection: &mut Connection, method: &str, path: &str, body: &Value) -> Result<Vec<u8>> {
    let response = connection.request(method, path, body)?;
    ensure!(response.status < 300, "{method} {path}: {}", String::from_utf8_lossy(&response.body));
    Ok(response.body)
}

/// What an engine has of the machine, one line for each thing.
fn held(engine: &Engine) -> Result<BTreeSet<String>> {
    let pid = engine.pid().context("the engine runs")?;
    let parent = engine.cgroup();
    let own = engine.scratch().file_name().context("a name")?.to_string_lossy().into_owned();
    let shell = |script: String| Command::new("sh").args(["-c", &script]).output();
    let mut all = BTreeSet::new();
    for script in [
        // Monitors are the launcher's children.
        format!("for each in $(cat /proc/{pid}/task/*/children); do cat /proc/$each/task/*/children; done"),
        format!("find /sys/fs/cgroup -mindepth 2 -type d -path '*{parent}*'"),
        format!("grep -E '{own}|- erofs ' /proc/{pid}/mountinfo | grep {own}"),
        format!("ls -d {0}/run/containers/* {0}/data/containers/*", engine.scratch().display()),
        format!("readlink /proc/{pid}/fd/* | grep -E '^(mnt|pid|ipc|uts|cgroup):'"),
    ] {
        let told = String::from_utf8(shell(script)?.stdout)?;
        all.extend(told.split_whitespace().map(str::to_owned));
    }
    let links = must(engine.within_network(Path::new("ip")).args(["-o", "link"]))?;
    // A few ends wait for the next containers, on no bridge.
    let waits = |line: &&str| line.contains(": veth") && !line.contains(" master ");
    ensure!(links.lines().filter(waits).count() <= 4, "{links}");
    let links = links.lines().filter(|line| !waits(line));
    all.extend(links.filter_map(|line| line.split(": ").nth(1)).map(str::to_owned));
    Ok(all)
}

#[test]
fn two_hundred_containers_start_side_by_side_and_leave_nothing() -> Result<()> {
    let engine = engine()?;
    // The bridge is made with the first container, and stays.
    docker(&engine, "run --rm busybox true").ok();
    let before = held(&engine)?;
    crowd(&engine, |connection, number| {
        let network = if number.is_multiple_of(2) { "none" } else { "bridge" };
        let body = json!({
            "Image": "busybox", "Cmd": ["sleep", "10000"], "HostConfig": {"NetworkMode": network, "PidsLimit": 50},
        });
        let path = format!("/containers/create?name=c{number}");
        call(connection, "POST", &path, &body)?;
        call(connection, "POST", &format!("/containers/c{number}/start"), &Value::Null)?;
        let seen: Value = serde_json::from_slice(&call(
            connection,
            "GET",
            &format!("/containers/c{number}/json"),
            &Value::Null,
        )?)?;
        ensure!(seen["State"]["Running"] == json!(true), "it does not run: {}", seen["State"]);
        Ok(())
    })?;
    let running = docker(&engine, "ps -q");
    assert_eq!(running.ok().lines().count(), CONTAINERS);
    let more = held(&engine)?.difference(&before).count();
    ensure!(more > 3 * CONTAINERS, "a monitor, a cgroup and two directories each are {more} things");
    let addresses = "{{range .Containers}}{{println .IPv4Address}}{{end}}";
    let addresses = engine.docker(&["network", "inspect", "-f", addresses, "bridge"]);
    let addresses: BTreeSet<&str> = addresses.ok().split_whitespace().collect();
    assert_eq!(addresses.len(), CONTAINERS / 2, "each has an address of its own");
    crowd(&engine, |connection, number| {
        call(connection, "DELETE", &format!("/containers/c{number}?force=1"), &Value::Null).map(drop)
    })?;
    let mut left = BTreeSet::new();
    // The kernel takes links away behind their namespace, and monitors end behind the answer.
    let gone = until("something stays", || {
        left = held(&engine).unwrap_or_default().difference(&before).cloned().collect();
        left.is_empty()
    });
    gone.with_context(|| format!("{left:?}"))
}

#[test]
fn a_pool_of_addresses_that_is_used_up_refuses_and_gives_back() -> Result<()> {
    let engine = engine()?;
    docker(&engine, "network create --subnet 10.99.0.0/29 tiny").ok();
    for number in 1..=5 {
        docker(&engine, &format!("run -d --name c{number} --network tiny busybox sleep 1000")).ok();
    }
    let refused = docker(&engine, "run -d --name late --network tiny busybox sleep 1000");
    assert_eq!(refused.status, 125);
    let words = "no available IPv4 addresses on this network's address pools: tiny";
    ensure!(refused.stderr.contains(words), "{}", refused.stderr);
    assert_eq!(docker(&engine, "inspect -f {{.State.Status}} late").ok(), "created");
    docker(&engine, "rm -f c3").ok();
    docker(&engine, "start late").ok();
    Ok(())
}

#[test]
fn a_range_of_ports_that_is_used_up_refuses_and_gives_back() -> Result<()> {
    let engine = engine()?;
    let run = |name: &str| {
        docker(&engine, &format!("run -d --name {name} -p 127.0.0.1:41000-41001:80 busybox sleep 1000"))
    };
    run("one").ok();
    run("two").ok();
    let refused = run("three");
    assert_eq!(refused.status, 125);
    ensure!(refused.stderr.contains("port is already allocated"), "{}", refused.stderr);
    let joined = engine.docker(&["network", "inspect", "-f", "{{len .Containers}}", "bridge"]);
    assert_eq!(joined.ok(), "2", "its address went back");
    docker(&engine, "rm -f one").ok();
    docker(&engine, "start three").ok();
    assert_eq!(docker(&engine, "port three").ok(), "80/tcp -> 127.0.0.1:41000");
    Ok(())
}

/// Sets how many descriptors a process may have.
fn allow(pid: u32, descriptors: usize) -> Result<()> {
    let limit = format!("--nofile={descriptors}:20000");
    must(Command::new("prlimit").args(["--pid", &pid.to_string(), &limit])).map(drop)
}

fn launcher(engine: &Engine) -> Result<u32> {
    let pid = engine.pid().context("the engine runs")?;
    let told = must(Command::new("sh").args(["-c", &format!("cat /proc/{pid}/task/*/children")]))?;
    Ok(told.split_whitespace().next().context("a launcher")?.parse()?)
}

#[test]
fn a_monitor_without_descriptors_says_so_and_the_next_start_is_well() -> Result<()> {
    let engine = engine()?;
    docker(&engine, "run --rm --network none busybox true").ok();
    let before = held(&engine)?;
    let launcher = launcher(&engine)?;
    let open = std::fs::read_dir(format!("/proc/{launcher}/fd"))?.count();
    for more in [0, 4, 12] {
        allow(launcher, open + more)?;
        let refused = docker(&engine, "run --rm --network none busybox true");
        assert_eq!(refused.status, 125, "with {more} more: {refused:?}");
        let said = refused.stderr.to_lowercase();
        ensure!(said.contains("too many open files"), "with {more} more: {said}");
    }
    allow(launcher, 20_000)?;
    docker(&engine, "run --rm --network none busybox true").ok();
    until("something stays", || held(&engine).is_ok_and(|now| now.is_subset(&before)))
}

#[test]
fn a_machine_without_processes_is_told_of_and_the_next_start_is_well() -> Result<()> {
    let engine = engine()?;
    docker(&engine, "run --rm --network none busybox true").ok();
    let before = held(&engine)?;
    let own = Path::new("/sys/fs/cgroup/pids").join(engine.cgroup().trim_start_matches('/')).join("full");
    if std::fs::create_dir_all(&own).is_err() || !own.join("pids.max").exists() {
        eprintln!("skipped: no cgroup of version 1 counts processes here");
        return Ok(());
    }
    std::fs::write(own.join("cgroup.procs"), launcher(&engine)?.to_string())?;
    // No monitor; a monitor, but no process of the container.
    for (most, words) in [("1", "its monitor cannot be made"), ("2", "make the container's process")] {
        std::fs::write(own.join("pids.max"), most)?;
        let refused = docker(&engine, "run --rm --network none busybox true");
        assert_eq!(refused.status, 125);
        let said = refused.stderr.to_lowercase();
        ensure!(said.contains(words) && said.contains("resource temporarily unavailable"), "{said}");
    }
    std::fs::write(own.join("pids.max"), "max")?;
    docker(&engine, "run --rm --network none busybox true").ok();
    std::fs::write("/sys/fs/cgroup/pids/cgroup.procs", launcher(&engine)?.to_string())?;
    until("a process stays in the cgroup", || std::fs::remove_dir(&own).is_ok())?;
    until("something stays", || held(&engine).is_ok_and(|now| now.is_subset(&before)))
}

#[test]
fn a_container_that_may_not_have_the_processes_it_needs_is_refused() -> Result<()> {
    let engine = engine()?;
    let refused = docker(&engine, "run --rm --init --pids-limit 1 --network none busybox true");
    assert_eq!(refused.status, 125);
    ensure!(refused.stderr.contains("resource temporarily unavailable"), "{}", refused.stderr);
    Ok(())
}

/// Starts that hang, in a runtime of their own, hold up nobody: no lock is kept over a start.
#[test]
fn starts_that_hang_hold_up_no_other() -> Result<()> {
    const HANGING: usize = 8;
    let engine = engine()?;
    let place = engine.scratch().display().to_string();
    // It hangs for a minute at most: a test that fails must end.
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *' create '*) touch {place}/hangs-$$; n=0\n\
         while ! test -e {place}/go && test $n -lt 3000; do sleep 0.02; n=$((n+1)); done;; esac\n\
         exec {} runtime \"$@\"\n",
        engine.binary().display()
    );
    let runtime = engine.scratch().join("slow-runtime");
    std::fs::write(&runtime, script)?;
    must(Command::new("chmod").arg("755").arg(&runtime))?;
    let hangs = || -> Result<usize> {
        let names = std::fs::read_dir(engine.scratch())?.flatten().map(|entry| entry.file_name());
        Ok(names.filter(|name| name.to_string_lossy().starts_with("hangs-")).count())
    };
    std::thread::scope(|scope| -> Result<()> {
        let start = |number: usize| {
            let line =
                format!("run --rm --runtime {} --name slow{number} busybox echo slow", runtime.display());
            docker(&engine, &line)
        };
        let hanging: Vec<_> = (0..HANGING).map(|number| scope.spawn(move || start(number))).collect();
        until("all of them hang", || hangs().is_ok_and(|count| count == HANGING))?;
        for number in 0..20 {
            let name = format!("quick{number}");
            docker(&engine, &format!("run -d --name {name} busybox sleep 1000")).ok();
            assert_eq!(docker(&engine, &format!("exec {name} echo here")).ok(), "here");
            docker(&engine, &format!("rm -f {name}")).ok();
        }
        assert_eq!(hangs()?, HANGING);
        std::fs::write(engine.scratch().join("go"), b"")?;
        for one in hanging {
            assert_eq!(one.join().map_err(|_| anyhow!("a client panicked"))?.ok(), "slow");
        }
        Ok(())
    })
}

/// Both choose before there is a bridge that shows it: who comes second chooses again.
#[test]
fn two_engines_of_a_host_have_other_addresses() -> Result<()> {
    let one = Engine::start()?;
    let both = [Engine::start_beside(&one)?, one];
    for engine in &both {
        engine.import_busybox()?;
        docker(engine, "network create user").ok();
    }
    for network in ["bridge", "user"] {
        std::thread::scope(|scope| {
            for engine in &both {
                let run = format!("run -d --init --name {network} --network {network} busybox sleep 600");
                scope.spawn(move || docker(engine, &run).ok().to_owned());
            }
        });
        let subnet = "{{range.IPAM.Config}}{{.Subnet}}{{end}}";
        let subnets = [0, 1]
            .map(|at| docker(&both[at], &format!("network inspect -f {subnet} {network}")).ok().to_owned());
        ensure!(subnets[0] != subnets[1], "{network}: {subnets:?}");
        for engine in &both {
            let gateway =
                format!("network inspect -f {{{{range.IPAM.Config}}}}{{{{.Gateway}}}}{{{{end}}}} {network}");
            let gateway = docker(engine, &gateway).ok().to_owned();
            docker(engine, &format!("exec {network} ping -c 1 -W 5 {gateway}")).ok();
        }
    }
    // What somebody asked for is his, and no other.
    docker(&both[0], "network create --subnet 10.77.0.0/24 asked").ok();
    docker(&both[1], "network create --subnet 10.77.0.0/24 asked").ok();
    docker(&both[0], "run -d --init --name asked --network asked busybox sleep 600").ok();
    let refused = docker(&both[1], "run --rm --network asked busybox true");
    ensure!(refused.status == 125 && refused.stderr.contains("has addresses of it"), "{refused:?}");
    Ok(())
}
