//! What the engines hold in memory: idle, and for each container.

use std::fs;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result};
use dhow_testkit::{Engine, rootfs};

use super::peers::Arena;

const CONTAINERS: u32 = 20;
const IMAGES: u32 = 50;

/// In kB.
pub(crate) struct Memory {
    /// The idle engine, proportionally.
    pub(crate) idle: u64,
    /// What a monitor has for itself, at most.
    pub(crate) monitor: u64,
    /// What one more container costs in all of our processes.
    pub(crate) container: u64,
}

/// Prints the idle engine's memory, the private memory of a monitor, and what a further container costs.
pub(crate) fn print(arena: &Arena) -> Result<()> {
    let Memory { idle, monitor, container } = measure(&arena.dhow.engine)?;
    println!("\nmemory (kB)");
    println!("  idle engine, proportional  {idle:>8}");
    println!("  monitor, private, most     {monitor:>8}");
    println!("  each further container     {container:>8}");
    Ok(())
}

/// Measures an engine that has a busybox image.
pub(crate) fn measure(engine: &Engine) -> Result<Memory> {
    let pid = engine.pid().context("the engine runs")?;
    // What an import took goes back to the kernel when the engine looks, every ten seconds.
    std::thread::sleep(Duration::from_secs(12));
    let idle = proportional(pid)?;
    // The first ones pay for the pages that all monitors share.
    run(engine, 0..CONTAINERS)?;
    let before = total(pid)?;
    run(engine, CONTAINERS..2 * CONTAINERS)?;
    let after = total(pid)?;
    let private = children(launcher(pid)?)?.into_iter().map(|pid| field(pid, "Private_"));
    let monitor = private.collect::<Result<Vec<u64>>>()?.into_iter().max().unwrap_or_default();
    for number in 0..2 * CONTAINERS {
        engine.dhow(&["rm", "-f", &format!("memory-{number}")]).check()?;
    }
    Ok(Memory { idle, monitor, container: after.saturating_sub(before) / u64::from(CONTAINERS) })
}

/// Runs containers that sleep, and waits until their monitors have given their buffers back: a second after
/// the last output.
fn run(engine: &Engine, numbers: Range<u32>) -> Result<()> {
    for number in numbers {
        let name = format!("memory-{number}");
        let words = ["run", "-d", "--name", &name, "--network", "none", "busybox", "sleep", "1000"];
        engine.dhow(&words).check()?;
    }
    std::thread::sleep(Duration::from_secs(2));
    Ok(())
}

/// What one more image costs the engine, in kB.
pub(crate) fn image(engine: &Engine) -> Result<u64> {
    let pid = engine.pid().context("the engine runs")?;
    let tar = engine.scratch().join("image.tar");
    rootfs::busybox_tar(&tar)?;
    let import = |numbers: Range<u32>| -> Result<u64> {
        for number in numbers {
            let (label, name) = (format!("LABEL number={number}"), format!("memory:{number}"));
            let words = ["import", "--change", &label, &tar.to_string_lossy(), &name];
            engine.dhow(&words).check()?;
        }
        std::thread::sleep(Duration::from_secs(3));
        proportional(pid)
    };
    let before = import(0..IMAGES)?;
    let after = import(IMAGES..3 * IMAGES)?;
    Ok(after.saturating_sub(before).div_ceil(u64::from(2 * IMAGES)))
}

fn total(engine: u32) -> Result<u64> {
    ours(engine)?.into_iter().map(proportional).sum()
}

/// The engine, its launcher and the monitors: not what runs in containers.
fn ours(engine: u32) -> Result<Vec<u32>> {
    let launcher = launcher(engine)?;
    Ok([vec![engine, launcher], children(launcher)?].concat())
}

/// The launcher of an engine.
pub(crate) fn launcher(engine: u32) -> Result<u32> {
    children(engine)?.first().copied().context("the engine has a launcher")
}

/// The children of a process's first thread, as of proc_pid_task(5).
pub(crate) fn children(pid: u32) -> Result<Vec<u32>> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    children.split_whitespace().map(|child| Ok(child.parse()?)).collect()
}

fn proportional(pid: u32) -> Result<u64> {
    field(pid, "Pss:")
}

/// The sum of the fields of smaps_rollup(5) that begin with `name`, in kB.
fn field(pid: u32, name: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .with_context(|| format!("memory of {pid}"))?;
    let lines = text.lines().filter(|line| line.starts_with(name));
    Ok(lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum())
}
