//! What the engines hold in memory: idle, and for each container.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use super::peers::Arena;

const CONTAINERS: u32 = 20;

/// Prints the idle engine's memory, the private memory of a monitor, and what a further container costs.
pub(crate) fn print(arena: &Arena) -> Result<()> {
    let engine = &arena.dhow.engine;
    let pid = engine.pid().context("the engine runs")?;
    println!("\nmemory (kB)");
    println!("  idle engine, proportional {:>8}", proportional(pid)?);
    let before = ours(pid)?.into_iter().map(proportional).sum::<Result<u64>>()?;
    for number in 0..CONTAINERS {
        let name = format!("memory-{number}");
        engine
            .dhow(&["run", "-d", "--name", &name, "--network", "none", "busybox", "sleep", "1000"])
            .check()?;
    }
    // Monitors give their buffers back a second after the last output.
    std::thread::sleep(Duration::from_secs(2));
    let monitors: Vec<u32> = children(launcher(pid)?)?;
    let private = monitors.iter().map(|pid| field(*pid, "Private_")).collect::<Result<Vec<u64>>>()?;
    let all = ours(pid)?.into_iter().map(proportional).sum::<Result<u64>>()?;
    println!("  monitor, private, most     {:>8}", private.iter().max().copied().unwrap_or_default());
    println!("  each further container     {:>8}", all.saturating_sub(before) / u64::from(CONTAINERS));
    for number in 0..CONTAINERS {
        engine.dhow(&["rm", "-f", &format!("memory-{number}")]).check()?;
    }
    Ok(())
}

/// The engine, its launcher and the monitors: not what runs in containers.
fn ours(engine: u32) -> Result<Vec<u32>> {
    let launcher = launcher(engine)?;
    Ok([vec![engine, launcher], children(launcher)?].concat())
}

fn launcher(engine: u32) -> Result<u32> {
    children(engine)?.first().copied().context("the engine has a launcher")
}

/// The children of a process's first thread, as of proc_pid_task(5).
fn children(pid: u32) -> Result<Vec<u32>> {
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
