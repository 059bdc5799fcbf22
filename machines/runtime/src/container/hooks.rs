//! Hooks: programs of the host that are run at points of a container's life.
//!
//! A hook gets the container's state on its standard input and only the environment that its
//! configuration gives: what an image sets never reaches it (CVE-2025-23266). It starts in `/`.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dhow_oci::runtime::{Hook, Spec, State, VERSION};

use super::error::{Error, Result, Stage};

/// The points of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookKind {
    /// Deprecated name of `CreateRuntime`.
    Prestart,
    /// Namespaces are made, the root is not yet pivoted; in the runtime's namespaces.
    CreateRuntime,
    /// The same, in the container's namespaces.
    CreateContainer,
    /// Right before the program is executed, in the container.
    StartContainer,
    /// After the program was executed.
    Poststart,
    /// After the container was deleted.
    Poststop,
}

impl HookKind {
    fn of(self, spec: &Spec) -> &[Hook] {
        let Some(hooks) = &spec.hooks else { return &[] };
        match self {
            Self::Prestart => &hooks.prestart,
            Self::CreateRuntime => &hooks.create_runtime,
            Self::CreateContainer => &hooks.create_container,
            Self::StartContainer => &hooks.start_container,
            Self::Poststart => &hooks.poststart,
            Self::Poststop => &hooks.poststop,
        }
    }

    const fn status(self) -> &'static str {
        match self {
            Self::Prestart | Self::CreateRuntime | Self::CreateContainer => "creating",
            Self::StartContainer => "created",
            Self::Poststart => "running",
            Self::Poststop => "stopped",
        }
    }
}

/// Whether there is anything to run.
pub(super) fn any(kinds: &[HookKind], spec: &Spec) -> bool {
    kinds.iter().any(|kind| !kind.of(spec).is_empty())
}

/// Runs the hooks of one point in order; the first that fails ends it.
///
/// # Errors
/// Stage `Hook`, with the program and how it ended.
pub fn run(kind: HookKind, spec: &Spec, id: &str, bundle: &Path, pid: i32) -> Result<()> {
    let hooks = kind.of(spec);
    if hooks.is_empty() {
        return Ok(());
    }
    let state = State {
        oci_version: VERSION.into(),
        id: id.into(),
        status: kind.status().into(),
        pid,
        bundle: bundle.into(),
        annotations: spec.annotations.clone(),
    };
    let state = serde_json::to_vec(&state).map_err(|error| Error::at(Stage::Hook, error.to_string()))?;
    hooks.iter().enumerate().try_for_each(|(number, hook)| {
        run_one(hook, &state).map_err(|why| {
            let what = format!("error running {kind:?} hook #{number}: {}: {why}", hook.path.display());
            Error::at(Stage::Hook, what)
        })
    })
}

fn run_one(hook: &Hook, state: &[u8]) -> std::result::Result<(), String> {
    if !hook.path.is_absolute() {
        return Err("the path is not absolute".into());
    }
    let mut command = Command::new(&hook.path);
    if let Some((name, arguments)) = hook.args.split_first() {
        command.arg0(name).args(arguments);
    }
    command.env_clear().current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.envs(hook.env.iter().filter_map(|pair| pair.split_once('=')));
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read its input.
        let _ = stdin.write_all(state);
    }
    wait(&mut child, hook.timeout)
}

fn wait(child: &mut Child, timeout: Option<i64>) -> std::result::Result<(), String> {
    let limit = timeout.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    let end = limit.map(|limit| Instant::now() + limit);
    let said = child.stderr.take();
    loop {
        let status = match end {
            None => Some(child.wait().map_err(|error| error.to_string())?),
            Some(_) => child.try_wait().map_err(|error| error.to_string())?,
        };
        match status {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("{status}, stderr: {}", read(said))),
            None if end.is_some_and(|end| Instant::now() >= end) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("timed out after {} s", limit.unwrap_or_default().as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// What a hook said, bounded: it is told to people.
fn read(said: Option<std::process::ChildStderr>) -> String {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    if let Some(said) = said {
        let _ = said.take(1024).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
