//! What a start asks of the kernel for each container that is known: an engine that looks into the directory of each
//! takes seconds where thousands are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use dhow_testkit::Engine;
use serde_json::json;

/// How many containers are made: the database's log, which is read page by page, is of a thousand calls at most.
const KNOWN: u64 = 2000;

/// What the allocator and threads ask for.
const OTHERS: [&str; 8] =
    ["brk(", "mprotect(", "mmap(", "munmap(", "mremap(", "madvise(", "futex(", "sched_"];

/// System calls of an engine's start after a crash, for a hundred containers more; those for memory not counted.
pub(super) fn calls_a_hundred(binary: &Path) -> Result<u64> {
    let scratch = tempfile::tempdir()?;
    let program = wrapped(binary, scratch.path())?;
    let mut engine = Engine::start_binary(&program, &[])?;
    engine.import_busybox()?;
    // The same first container in both, so that what is made once is there.
    make(&engine, 0)?;
    let before = calls_of_a_start(&mut engine, scratch.path())?;
    (1..=KNOWN).try_for_each(|number| make(&engine, number))?;
    let after = calls_of_a_start(&mut engine, scratch.path())?;
    Ok(after.saturating_sub(before) * 100 / KNOWN)
}

fn make(engine: &Engine, number: u64) -> Result<()> {
    let body = json!({"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}});
    let path = format!("/containers/create?name=known-{number}");
    let made = engine.connect()?.request("POST", &path, &body)?;
    ensure!(made.status == 201, "{path}: {}", String::from_utf8_lossy(&made.body));
    Ok(())
}

/// The engine is killed, started under strace until it answers, and started again without.
fn calls_of_a_start(engine: &mut Engine, scratch: &Path) -> Result<u64> {
    let (switch, trace) = (scratch.join("on"), scratch.join("trace"));
    fs::write(&switch, "")?;
    engine.kill()?;
    engine.launch()?;
    engine.kill()?;
    fs::remove_file(&switch)?;
    engine.launch()?;
    let text = fs::read_to_string(&trace).context("strace wrote nothing")?;
    let calls = text.lines().filter_map(super::call);
    Ok(calls.filter(|call| !super::starts(call, &OTHERS)).count() as u64)
}

/// A program that is the engine, watched while there is a file `on` beside it. With -D the engine is our child
/// and strace is not.
fn wrapped(binary: &Path, scratch: &Path) -> Result<std::path::PathBuf> {
    let (program, place, binary) = (scratch.join("dhow"), scratch.display(), binary.display());
    let text = format!(
        "#!/bin/sh\n[ -e {place}/on ] && exec strace -D -f -qq -o {place}/trace {binary} \"$@\"\nexec {binary} \"$@\"\n"
    );
    fs::write(&program, text)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(program)
}
