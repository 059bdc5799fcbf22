//! Starts the engine when none listens, so that no set-up is needed.
//!
//! Many clients may find no engine at once: the first takes a lock and starts one, the others wait
//! for the lock and then find it there. The child is this same program under a hidden name; it makes
//! a session of its own, so that Ctrl-C of the command that happened to be first does not end the
//! engine, and becomes `dhow daemon`.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dhow_api::client::{self, Client};
use rustix::fs::FlockOperation;

use crate::error::{Error, Result};
use crate::session::variable_of;

/// The hidden first argument of the child.
pub const LAUNCH: &str = "__launch-engine";

/// An engine that has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts the engine and waits until it answers. `refusal` is what the client saw: it is what to
/// tell if starting is not possible here.
pub(crate) fn start(client: &Client, is_default: bool, refusal: client::Error) -> Result<()> {
    let Some(folder) = client.endpoint().socket().and_then(Path::parent) else {
        return Err(refusal.into());
    };
    let Ok(lock) = lock(folder) else {
        return Err(hinted(&refusal));
    };
    if client.connect().is_ok() {
        return Ok(());
    }
    let log = log_path();
    let arguments = if is_default { None } else { Some(client.endpoint().to_string()) };
    let child = spawn(arguments.as_deref(), &log)?;
    wait(client, child, &log)?;
    drop(lock);
    Ok(())
}

fn hinted(refusal: &client::Error) -> Error {
    Error::said(format!(
        "{refusal}\nhint: the engine starts by itself for root; or start it with: dhow daemon"
    ))
}

fn lock(folder: &Path) -> std::io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o711).create(folder)?;
    let path = folder.join("start.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn log_path() -> PathBuf {
    let root = variable_of("DHOW_DATA_ROOT").unwrap_or_else(|| "/var/lib/dhow".to_owned());
    PathBuf::from(root).join("daemon.log")
}

fn spawn(host: Option<&str>, log: &Path) -> Result<Child> {
    let context = || format!("open the engine's log {}", log.display());
    if let Some(folder) = log.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o711).create(folder);
        made.map_err(Error::io(context()))?;
    }
    let file =
        OpenOptions::new().create(true).append(true).mode(0o600).open(log).map_err(Error::io(context()))?;
    let second = file.try_clone().map_err(Error::io(context()))?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("dhow").arg(LAUNCH).args(host).current_dir("/");
    command.stdin(Stdio::null()).stdout(file).stderr(second);
    command.spawn().map_err(Error::io("start the engine"))
}

/// The child's part: a session of its own, then the engine. Returns only if that failed.
pub(crate) fn launch(host: Option<&str>) -> Error {
    if let Err(error) = rustix::process::setsid() {
        return Error::said(format!("make a session for the engine: {error}"));
    }
    let mut command = Command::new("/proc/self/exe");
    command.arg0("dhow").arg("daemon");
    if let Some(host) = host {
        command.args(["--host", host]);
    }
    if let Some(root) = variable_of("DHOW_DATA_ROOT") {
        command.args(["--data-root", &root]);
    }
    Error::io("start the engine")(command.exec())
}

fn wait(client: &Client, mut child: Child, log: &Path) -> Result<()> {
    let begin = Instant::now();
    let mut pause = Duration::from_micros(500);
    loop {
        if client.connect().is_ok() {
            return Ok(());
        }
        let ended = child.try_wait().map_err(Error::io("wait for the engine"))?;
        if let Some(status) = ended {
            return Err(Error::said(format!("the engine did not start ({status})\n{}", last_words(log))));
        }
        if begin.elapsed() > PATIENCE {
            return Err(Error::said(format!("the engine does not answer\n{}", last_words(log))));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The end of the engine's log: why it did not start.
fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let tail = &text[text.len().saturating_sub(4096)..];
    let tail = String::from_utf8_lossy(tail);
    let lines: Vec<&str> = tail.lines().rev().take(5).collect();
    let lines: Vec<String> = lines.into_iter().rev().map(|line| format!("  {line}")).collect();
    format!("hint: the end of {}:\n{}", log.display(), lines.join("\n"))
}
