//! `cargo xtask budget`: what a start, an engine and a container may cost, counted where no noise of the
//! machine reaches: system calls, processes, files, syncs, memory, the size of the binary.
//!
//! It fails when one grows past its budget. A change that needs more raises the budget here, with its reason.

mod known;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use dhow_testkit::Engine;
use dhow_testkit::http::Connection;

use crate::bench::{self, api, memory};
use crate::{setup, shell};

/// What may not grow.
struct Budget {
    name: &'static str,
    most: u64,
    /// Why it is what it is.
    why: &'static str,
}

/// All budgets. Those of a life are of a container that is created, started, waited for and removed through
/// the API without a network, with cgroups version 1 in nine hierarchies: version 2 needs a third of the calls.
const BUDGETS: &[Budget] = &[
    Budget {
        name: "system calls a life",
        most: 1300,
        why: "half of them are cgroups version 1: nine hierarchies to make, enter, show in the container and remove",
    },
    Budget {
        name: "processes a life",
        most: 2,
        why: "the monitor and the container's own process: nothing is spawned",
    },
    Budget {
        name: "files a life",
        most: 12,
        why: "hosts, hostname, resolv.conf, the log, the state and the exit, the record for people, each written once",
    },
    Budget {
        name: "directories a life",
        most: 30,
        why: "nine cgroups and their places in the container, its directory, the writable layer, the run directory",
    },
    Budget {
        name: "syncs a life",
        most: 3,
        why: "create and remove are promised to outlive a power cut, a start and an end are not",
    },
    Budget {
        name: "mounts a life",
        most: 70,
        why: "root, proc, dev, sys, the files, and nine hierarchies of cgroups",
    },
    Budget {
        name: "kB written a life",
        most: 100,
        why: "records go into the database's log by whole pages of 4 kB, several for each of five changes",
    },
    Budget {
        name: "idle engine, kB",
        most: 13 << 10,
        why: "the aim is 12 MB; how much of the program its threads have touched varies by 1 MB",
    },
    Budget {
        name: "monitor's private memory, kB",
        most: 130,
        why: "stack, heap and what it wrote to of the program",
    },
    Budget {
        name: "each further container, kB",
        most: 150,
        why: "a monitor, and what the engine knows of it: the aim of ARCHITECTURE.md",
    },
    Budget {
        name: "calls for 100 more known",
        most: 140,
        why: "a start reads the pages of the rows, four a page, one listing, and the log: no look into each",
    },
    Budget {
        name: "each further image, kB",
        most: 16,
        why: "its record, its configuration and the place of its names in the engine's memory",
    },
    Budget {
        name: "thousand instructions of ps",
        most: 600,
        why: "the whole command line against an engine, by callgrind: reading flags, one question, one table",
    },
    Budget {
        name: "the binary, kB",
        most: 15 << 10,
        why: "the aim is 15 MB; a release has no tables for unwinding, which were 1.2 MB",
    },
];

/// How many lives are counted.
const LIVES: u64 = 20;

/// Counts, prints, and fails where a budget is not kept.
pub(crate) fn run() -> Result<()> {
    setup::packages(&[("busybox", "busybox-static"), ("strace", "strace"), ("valgrind", "valgrind")])?;
    shell::run("cargo build --quiet --release --package dhow --locked")?;
    let binary = bench::release_binary()?;
    says_what_is_wrong(&binary)?;
    let engine = Engine::start_binary(&binary, &[])?;
    engine.import_busybox()?;
    let memory = memory::measure(&engine)?;
    let mut counted = lives(&engine)?;
    counted.extend([memory.idle, memory.monitor, memory.container]);
    counted.push(known::calls_a_hundred(&binary)?);
    counted.push(memory::image(&engine)?);
    counted.push(instructions(&engine)?);
    counted.push(fs::metadata(&binary)?.len() / 1024);
    let mut over = Vec::new();
    for (budget, counted) in BUDGETS.iter().zip(counted) {
        println!("{:<30} {counted:>8} of {:>8}   {}", budget.name, budget.most, budget.why);
        if counted > budget.most {
            over.push(budget.name);
        }
    }
    ensure!(over.is_empty(), "over budget: {}", over.join(", "));
    steps(&binary)
}

/// No step of a start waits for anything: at its best it takes no more than this many times what the kernel needs.
/// On a machine with five times more to do than processors the worst step takes 16 times.
const STEP: &str = "40";

fn steps(binary: &Path) -> Result<()> {
    let mut trace = Command::new(binary);
    let status = trace.args(["debug", "trace", "start", "--rounds", "30", "--most", STEP]).status()?;
    ensure!(status.success(), "a step of a start waits for something");
    Ok(())
}

/// A release has no tables for unwinding: it must not look for them when the environment asks for backtraces.
fn says_what_is_wrong(binary: &Path) -> Result<()> {
    let place = tempfile::tempdir()?;
    let mut engine = Command::new(binary);
    engine.args(["daemon", "-H", "unix:///dev/null/no.sock", "--pidfile"]).arg(place.path().join("pid"));
    for (flag, name) in [("--data-root", "data"), ("--exec-root", "run")] {
        engine.arg(flag).arg(place.path().join(name));
    }
    let ended = engine.env("RUST_BACKTRACE", "1").output()?;
    let told = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.code() == Some(1) && told.contains("/dev/null"), "{}: {told}", ended.status);
    Ok(())
}

/// What one life takes, in the order of [`BUDGETS`].
fn lives(engine: &Engine) -> Result<Vec<u64>> {
    let api = api::Api::new(engine.socket());
    // What happens only once is not a start's.
    (0..3).try_for_each(|_| api::life(&api))?;
    let trace = engine.scratch().join("trace");
    let tracer = Tracer::start(engine, &trace)?;
    (0..LIVES).try_for_each(|_| api::life(&api))?;
    settle(engine)?;
    tracer.stop()?;
    let text = fs::read_to_string(&trace)?;
    let calls: Vec<&str> = text.lines().filter_map(call).collect();
    let count =
        |wanted: fn(&str) -> bool| (calls.iter().filter(|call| wanted(call)).count() as u64).div_ceil(LIVES);
    Ok(vec![
        count(|_| true),
        count(|call| {
            starts(call, &["clone(", "clone3(", "fork(", "vfork("]) && !call.contains("CLONE_THREAD")
        }),
        count(|call| starts(call, &["open"]) && call.contains("O_CREAT")),
        count(|call| starts(call, &["mkdir"])),
        count(|call| starts(call, &["fsync(", "fdatasync(", "syncfs(", "sync("])),
        count(|call| starts(call, &["move_mount(", "fsmount(", "mount(", "open_tree("])),
        calls.iter().filter_map(|call| written(call)).sum::<u64>().div_ceil(LIVES * 1024),
    ])
}

/// The bytes that a call writes into a file of a disk: strace shows the path behind the descriptor.
fn written(call: &str) -> Option<u64> {
    let arguments =
        ["write(", "pwrite64(", "writev(", "pwritev("].iter().find_map(|n| call.strip_prefix(n))?;
    let path = arguments.split_once('<')?.1;
    let elsewhere = ["/sys/", "/proc/", "/dev/", "/memfd:"];
    if !path.starts_with('/') || elsewhere.iter().any(|place| path.starts_with(place)) {
        return None;
    }
    call.rsplit_once(" = ")?.1.parse().ok()
}

/// What the command line does for a list of containers, in thousands, as callgrind counts it.
fn instructions(engine: &Engine) -> Result<u64> {
    let mut counter = Command::new("valgrind");
    counter.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(engine.binary());
    let output = counter.args(["ps", "-a"]).env("DOCKER_HOST", engine.host()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let count = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse::<u64>().ok());
    Ok(count.with_context(|| format!("callgrind counts nothing: {said}"))?.div_ceil(1000))
}

/// The call of a line of strace's; nothing for the second half of one that was interrupted, and for signals.
fn call(line: &str) -> Option<&str> {
    let (_, call) = line.split_once(' ')?;
    let call = call.trim_start();
    call.starts_with(|c: char| c.is_ascii_lowercase()).then_some(call)
}

fn starts(call: &str, names: &[&str]) -> bool {
    names.iter().any(|name| call.starts_with(name))
}

/// What is done behind the last answer is done when the engine answers with nothing in its hands.
fn settle(engine: &Engine) -> Result<()> {
    Connection::open(&engine.socket())?.request("GET", "/containers/json?all=1", &().into())?;
    std::thread::sleep(Duration::from_millis(500));
    Ok(())
}

/// strace, attached to the engine and its launcher, and to all that they make.
struct Tracer(Child);

impl Tracer {
    fn start(engine: &Engine, into: &Path) -> Result<Self> {
        let pid = engine.pid().context("the engine runs")?;
        let launcher = memory::launcher(pid)?;
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-qq", "-o"]).arg(into);
        command.args(["-p", &pid.to_string(), "-p", &launcher.to_string()]);
        let tracer = Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?);
        let end = Instant::now() + Duration::from_secs(20);
        while !(is_traced(pid)? && is_traced(launcher)?) {
            ensure!(Instant::now() < end, "strace does not attach");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(tracer)
    }

    fn stop(mut self) -> Result<()> {
        let status = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status()?;
        ensure!(status.success(), "strace has ended");
        self.0.wait()?;
        Ok(())
    }
}

/// Whether all threads of a process have a tracer.
fn is_traced(pid: u32) -> Result<bool> {
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile.
        let status = fs::read_to_string(thread?.path().join("status")).unwrap_or_default();
        if status.contains("TracerPid:\t0\n") {
            return Ok(false);
        }
    }
    Ok(true)
}
