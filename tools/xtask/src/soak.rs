//! `cargo xtask soak`: containers come and go, in turn and side by side, and nothing of them stays.
//!
//! Processes, threads, descriptors, mounts, cgroups, namespaces, files, bytes on the disk and memory are counted before
//! and after. It fails when one has grown past what it may, which does not depend on how many containers
//! there were.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dhow_testkit::http::Connection;
use dhow_testkit::{Engine, process};
use serde_json::{Value, json};

use crate::bench;

/// Lives that pay for what is made once: threads, pages of the program, the room of the database.
const WARMING: usize = 200;
const SIDE_BY_SIDE: usize = 16;
/// How long what is done behind an answer may take: files deleted, threads of the pool that go home.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is counted: how, and by how much it may grow.
///
/// The database's log is folded after some hundred commits, and so has some megabytes now and then. The
/// allocator keeps two arenas, which fill up to a plateau in the first thousands of containers side by side (5 to
/// 9 MB); what is free in them is given back some seconds later.
type Count = fn(&Engine) -> Result<u64>;
const COUNTS: [(&str, Count, u64); 11] = [
    ("processes", |engine| Ok(family(engine)?.len() as u64), 0),
    ("threads of the engine", |engine| entries(&format!("/proc/{}/task", pid(engine)?)), 16),
    ("descriptors", descriptors, 16),
    ("mounts", mounts, 0),
    ("cgroups", cgroups, 0),
    ("namespaces", namespaces, 0),
    ("files of the engine", |engine| told(engine, "find @ -not -name 'state.sqlite*' | wc -l"), 4),
    ("bytes of the engine's files", |engine| told(engine, "du -s -B1 --apparent-size @ | cut -f1"), 6 << 20),
    ("blocks of the disk, bytes", |engine| told(engine, "du -s -B1 @ | cut -f1"), 6 << 20),
    ("engine's anonymous memory, bytes", |engine| memory(pid(engine)?), 8 << 20),
    ("launcher's anonymous memory, bytes", |engine| memory(launcher(engine)?), 256 << 10),
];

/// Lets `count` containers live, and compares.
pub(crate) fn run(count: usize) -> Result<()> {
    let binary = bench::build()?;
    let engine = Engine::start_binary(&binary, &[])?;
    engine.import_busybox()?;
    // One that stays the whole time, as on a machine that is in use.
    engine
        .dhow(&["run", "-d", "--name", "stays", "--network", "none", "busybox", "sleep", "100000"])
        .check()?;
    lives(&engine, WARMING)?;
    let before = settle(&engine, None)?;
    let start = Instant::now();
    lives(&engine, count)?;
    let took = start.elapsed();
    let after = settle(&engine, Some(&before))?;
    println!(
        "{count} containers in {:.1} s, {:.0} a second",
        took.as_secs_f64(),
        count as f64 / took.as_secs_f64()
    );
    report(&before, &after)
}

fn report(before: &[u64], after: &[u64]) -> Result<()> {
    println!("{:<36}{:>12}{:>12}{:>12}{:>12}", "", "before", "after", "grown by", "allowed");
    let mut grown = Vec::new();
    for ((name, _, allowed), (before, after)) in COUNTS.iter().zip(before.iter().zip(after)) {
        let by = i128::from(*after) - i128::from(*before);
        println!("{name:<36}{before:>12}{after:>12}{by:>12}{allowed:>12}");
        if by > i128::from(*allowed) {
            grown.push(*name);
        }
    }
    ensure!(grown.is_empty(), "grown past what they may: {}", grown.join(", "));
    Ok(())
}

/// Counts when nothing moves any more, or when everything is as it was before.
fn settle(engine: &Engine, before: Option<&[u64]>) -> Result<Vec<u64>> {
    let end = Instant::now() + PATIENCE;
    let mut last = Vec::new();
    loop {
        let now = COUNTS.iter().map(|(_, count, _)| count(engine)).collect::<Result<Vec<u64>>>()?;
        let is_fine = |before: &[u64]| {
            now.iter().zip(before).zip(COUNTS).all(|((now, before), (.., allowed))| *now <= before + allowed)
        };
        if before.map_or_else(|| now == last, is_fine) || Instant::now() > end {
            return Ok(now);
        }
        last = now;
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Half of them in turn, half side by side.
fn lives(engine: &Engine, count: usize) -> Result<()> {
    (0..count / 2).try_for_each(|number| life(engine, number))?;
    let next = AtomicUsize::new(count / 2);
    let worker = || -> Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            life(engine, number)?;
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a worker panicked")))
    })
}

/// A life: most end by themselves, some are joined by another process and killed; some have a volume, a
/// terminal, an init, and some are removed when they end.
fn life(engine: &Engine, number: usize) -> Result<()> {
    let mut connection = engine.connect()?;
    let sleeps = number.is_multiple_of(4);
    let command = if sleeps { json!(["sleep", "1000"]) } else { json!(["sh", "-c", "echo alive; exit 3"]) };
    let removes_itself = number % 4 == 1;
    let body = json!({
        "Image": "busybox", "Cmd": command, "Tty": number.is_multiple_of(3),
        "Volumes": if number.is_multiple_of(5) { json!({"/data": {}}) } else { json!({}) },
        "HostConfig": {"NetworkMode": "none", "Init": number.is_multiple_of(7), "AutoRemove": removes_itself},
    });
    let created = call(&mut connection, "POST", "/containers/create", &body)?;
    let id = created["Id"].as_str().context("no container id")?;
    let mut does =
        |method: &str, path: &str, body: &Value| call(&mut connection, method, &path.replace('@', id), body);
    does("POST", "/containers/@/start", &Value::Null)?;
    if sleeps {
        let body = json!({"AttachStdout": true, "Cmd": ["true"]});
        let exec = does("POST", "/containers/@/exec", &body)?;
        let start = format!("/exec/{}/start", exec["Id"].as_str().context("no exec id")?);
        // The answer's end is the connection's.
        call(&mut engine.connect()?, "POST", &start, &json!({"Detach": true}))?;
        does("POST", "/containers/@/kill", &Value::Null)?;
    }
    if removes_itself {
        // It may be gone before it is asked for.
        drop(does("POST", "/containers/@/wait?condition=removed", &Value::Null));
        return Ok(());
    }
    does("POST", "/containers/@/wait", &Value::Null)?;
    does("DELETE", "/containers/@?v=1", &Value::Null)?;
    Ok(())
}

fn call(connection: &mut Connection, method: &str, path: &str, body: &Value) -> Result<Value> {
    let response = connection.request(method, path, body)?;
    ensure!(response.status < 400, "{method} {path}: {}", String::from_utf8_lossy(&response.body));
    // Streams are no JSON; nobody looks at them here.
    Ok(response.json().unwrap_or(Value::Null))
}

fn pid(engine: &Engine) -> Result<u32> {
    engine.pid().context("the engine runs")
}

fn launcher(engine: &Engine) -> Result<u32> {
    bench::memory::launcher(pid(engine)?)
}

/// The engine and all that descends from it.
fn family(engine: &Engine) -> Result<Vec<u32>> {
    let mut all = vec![pid(engine)?];
    let mut next = 0;
    while let Some(parent) = all.get(next) {
        // One that has ended meanwhile has no children.
        let children = bench::memory::children(*parent).unwrap_or_default();
        all.extend(children);
        next += 1;
    }
    Ok(all)
}

fn entries(directory: &str) -> Result<u64> {
    Ok(std::fs::read_dir(directory).with_context(|| directory.to_owned())?.count() as u64)
}

fn descriptors(engine: &Engine) -> Result<u64> {
    Ok(family(engine)?.iter().filter_map(|pid| entries(&format!("/proc/{pid}/fd")).ok()).sum())
}

fn mounts(engine: &Engine) -> Result<u64> {
    let table = std::fs::read_to_string(format!("/proc/{}/mountinfo", pid(engine)?))?;
    // Others mount and unmount on this machine, too.
    let own = engine.scratch().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_ours = |line: &&str| line.contains(&own) || line.contains(" dhow ") || line.contains("- erofs ");
    Ok(table.lines().filter(is_ours).count() as u64)
}

fn cgroups(engine: &Engine) -> Result<u64> {
    let parent = engine.cgroup();
    let script = format!("find /sys/fs/cgroup -type d -path '*{parent}*' 2>/dev/null | wc -l");
    number(&process::must(Command::new("sh").args(["-c", &script]))?)
}

/// Of the family; those that only a descriptor holds are among the descriptors.
fn namespaces(engine: &Engine) -> Result<u64> {
    let mut found = BTreeSet::new();
    for pid in family(engine)? {
        let Ok(list) = std::fs::read_dir(format!("/proc/{pid}/ns")) else { continue };
        found.extend(list.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()));
    }
    Ok(found.len() as u64)
}

/// What a shell line says; `@` is where the engine's files are.
fn told(engine: &Engine, line: &str) -> Result<u64> {
    let places = [engine.data(), engine.scratch().join("run")];
    let places: Vec<String> = places.iter().map(|place: &_| Path::display(place).to_string()).collect();
    let line = format!("({}) 2>/dev/null", line.replace('@', &places.join(" ")));
    let answer = process::answer(Command::new("sh").args(["-c", &line]), b"")?;
    answer.stdout.lines().map(number).sum()
}

fn number(text: &str) -> Result<u64> {
    text.trim().parse().with_context(|| format!("{text:?} is no number"))
}

/// Anonymous memory: pages of the program come and go as the machine pleases.
fn memory(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
    Ok(number(line.trim().trim_end_matches(" kB"))? << 10)
}
