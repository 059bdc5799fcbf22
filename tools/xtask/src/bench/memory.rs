//! What the engines hold in memory: idle, and for each container.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::peers::Arena;

const CONTAINERS: u32 = 20;

/// Prints the idle engine's memory, the private memory of a monitor, and what a further container costs.
pub(crate) fn print(arena: &Arena) -> Result<()> {
    let engine = &arena.dhow.engine;
    let pid = engine.pid().context("the engine runs")?;
    println!("\nmemory (kB)");
    println!("  idle engine, proportional {:>8}", proportional(pid)?);
    let before = tree(pid)?.iter().map(|p| proportional(*p)).sum::<Result<u64>>()?;
    for number in 0..CONTAINERS {
        let name = format!("memory-{number}");
        engine
            .dhow(&["run", "-d", "--name", &name, "--network", "none", "busybox", "sleep", "1000"])
            .check()?;
    }
    let monitors = monitors(&engine.scratch().join("run"))?;
    let private = monitors.iter().map(|p| field(*p, "Private_")).collect::<Result<Vec<u64>>>()?;
    let all = tree(pid)?.into_iter().chain(monitors).map(proportional).sum::<Result<u64>>()?;
    println!("  monitor, private, most     {:>8}", private.iter().max().copied().unwrap_or_default());
    println!("  each further container     {:>8}", all.saturating_sub(before) / u64::from(CONTAINERS));
    for number in 0..CONTAINERS {
        engine.dhow(&["rm", "-f", &format!("memory-{number}")]).check()?;
    }
    Ok(())
}

/// The engine and its children.
fn tree(pid: u32) -> Result<Vec<u32>> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let mut all = vec![pid];
    for child in children.split_whitespace() {
        all.extend(tree(child.parse()?)?);
    }
    Ok(all)
}

/// The processes whose monitor socket is below the engine's run directory: every other process that
/// runs our binary in this engine's name is found by its children, so these are told by their title.
fn monitors(run: &Path) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let sockets = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if sockets.contains("dhow-monitor") && sockets.contains(&*run.to_string_lossy()) {
            found.push(pid);
        }
    }
    Ok(found)
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
