//! Containers that another OCI runtime makes (`--runtime runc`): it is given a bundle, and the process that
//! it leaves comes to us.
//!
//! ```text
//! <exec-root>/containers/<id>/other/     0700
//!   config.json                          the bundle's configuration; its root is the mount of the plan
//!   state/                               the runtime's own (`--root`)
//!   mounts/<n>                           images, and parts of volumes, which such a runtime cannot look up
//!   log, pid, process.json               one call's, each with the exec's id in front
//! ```
//! The root file system is mounted in a mount namespace of this monitor alone, over the directory of its
//! writable layer: nothing of it is seen on the host. The runtime ends after each call, so that its
//! container becomes a child of the nearest subreaper, which the monitor is: from there on everything is as
//! with our own runtime, and only `exec` and `delete` call the program again.

mod bundle;
mod call;

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dhow_model::ports::{ExecPlan, RuntimeProgram, StartPlan};
use dhow_oci::runtime::{Process, Spec};
use rustix::process::{Pid, PidfdFlags};

use super::donors::Donors;
use super::oom::OutOfMemory;
use super::spawn::{self, Spawned, lost, own};
use super::stream::Streams;
use crate::cgroups::{Cgroup, Layout};
use crate::container::{Error, Result, Stage};
use bundle::bundle;
use call::call;

/// The most that is read of what a runtime says.
const LONGEST_LOG: u64 = 64 * 1024;
/// The directory below a container's run directory.
pub const DIRECTORY: &str = "other";

/// A runtime, and where it and we keep what belongs to one container.
#[derive(Debug, Clone)]
pub struct Other {
    program: RuntimeProgram,
    directory: PathBuf,
    id: String,
    /// In front of the names of files of one call.
    call: String,
}

impl Other {
    fn new(program: &RuntimeProgram, directory: &Path, id: &str, call: Option<&str>) -> Self {
        let call = call.map(|exec| format!("{exec}.")).unwrap_or_default();
        Self { program: program.clone(), directory: directory.join(DIRECTORY), id: id.into(), call }
    }

    /// Has the runtime forget the container; it is no error that it does not know it.
    pub fn delete(&self) {
        let mut command = self.command();
        command.args(["delete", "--force", &self.id]);
        let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{}{name}", self.call))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program.path);
        command.args(&self.program.arguments);
        command.arg("--root").arg(self.directory.join("state"));
        command.arg("--log").arg(self.file("log")).args(["--log-format", "json"]);
        command.current_dir(&self.directory);
        command
    }

    fn run(&self, mut command: Command) -> Result<()> {
        let status = command
            .status()
            .map_err(|error| own(&format!("run the runtime {}", self.program.path.display()), &error))?;
        if status.success() { Ok(()) } else { Err(failure(&read(&self.file("log")), &status.to_string())) }
    }

    /// The process of which the runtime has written the number.
    fn process(&self) -> Result<(Pid, OwnedFd)> {
        let text = read(&self.file("pid"));
        let pid = text.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| lost("the runtime did not say which process it made".to_owned()))?;
        let process = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .map_err(|error| own("hold the process", &error.into()))?;
        Ok((pid, process))
    }

    /// Files of one call, which no later one needs.
    fn tidy(&self) {
        for name in ["log", "pid", "process.json"] {
            let _ = fs::remove_file(self.file(name));
        }
    }
}

/// Makes the container of a plan and starts its program.
///
/// # Errors
/// In the runtime's words; nothing of it is left then.
pub fn container(
    plan: &StartPlan,
    program: &RuntimeProgram,
    directory: &Path,
    (layout, donors): (&Layout, &Donors),
) -> Result<(Spawned, Other)> {
    dhow_sys::process::become_subreaper().map_err(|error| own("become a subreaper", &error))?;
    let other = Other::new(program, directory, plan.id.as_str(), None);
    fs::DirBuilder::new().mode(0o700).create(&other.directory).map_err(|e| own("make a bundle", &e))?;
    let spec = bundle(plan, &other)?;
    write(&other.directory.join("config.json"), &spec)?;
    let made = create(plan, &other).and_then(|(pid, process, streams)| {
        donors.must_live()?;
        let mut start = other.command();
        start.args(["start", &other.id]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        other.run(start)?;
        Ok(Spawned { pid: pid.as_raw_nonzero().get(), process, streams, memory: None, notes: Vec::new() })
    });
    match made {
        Ok(mut spawned) => {
            spawned.memory = watch(&spec, layout);
            other.tidy();
            Ok((spawned, other))
        }
        Err(error) => {
            other.delete();
            Err(error)
        }
    }
}

/// Runs one more process in a container that the runtime made.
///
/// # Errors
/// In the runtime's words.
pub fn one_more(plan: &ExecPlan, program: &RuntimeProgram, directory: &Path) -> Result<Spawned> {
    dhow_sys::process::become_subreaper().map_err(|error| own("become a subreaper", &error))?;
    let other = Other::new(program, directory, plan.target.id.as_str(), plan.target.exec.as_deref());
    let process: &Process = &plan.process;
    write(&other.file("process.json"), process)?;
    let mut command = other.command();
    command.args(["exec", "--detach", "--process"]).arg(other.file("process.json"));
    let called = call(&other, command, &plan.stdio);
    other.tidy();
    let (pid, process, streams) = called?;
    Ok(Spawned { pid: pid.as_raw_nonzero().get(), process, streams, memory: None, notes: Vec::new() })
}

fn create(plan: &StartPlan, other: &Other) -> Result<(Pid, OwnedFd, Streams)> {
    let mut command = other.command();
    command.args(["create", "--bundle"]).arg(&other.directory);
    call(other, command, &plan.stdio)
}

fn watch(spec: &Spec, layout: &Layout) -> Option<OutOfMemory> {
    let path = spawn::cgroup_path(spec).ok()??;
    let cgroup = Cgroup::open(layout, &path).ok()?;
    let resources = spec.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    OutOfMemory::watch(&cgroup, resources.is_some_and(|resources| resources.memory.is_some()))
}

fn write(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let told = |error: io::Error| own(&format!("write {}", path.display()), &error);
    let bytes = serde_json::to_vec(value).map_err(|error| told(error.into()))?;
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| io::Write::write_all(&mut file, &bytes)).map_err(told)
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        let _ = file.take(LONGEST_LOG).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a runtime says last of errors is why it ended; as Docker, the kind is found in its words.
fn failure(log: &str, status: &str) -> Error {
    let message = |line: &str| -> Option<String> {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_error = matches!(line["level"].as_str(), Some("error" | "fatal"));
        is_error.then(|| line["msg"].as_str().map(str::to_owned)).flatten()
    };
    let said = log.lines().rev().find_map(message).unwrap_or_else(|| format!("the runtime ended: {status}"));
    // Ours are put in front of it.
    let own_words = "unable to start container process: ";
    let what = said.split_once(own_words).map_or(said.as_str(), |(_, rest)| rest);
    // Clients look for Go's words of the kernel's errors.
    let words = ["No such file or directory", "Permission denied", "Is a directory"];
    let what = words.iter().fold(what.to_owned(), |what, word| what.replace(word, &word.to_lowercase()));
    let has = |word: &str| what.contains(word);
    let stage = if has("not found in $PATH") || has("no such file or directory") {
        Stage::ProgramNotFound
    } else if has("permission denied") || has("is a directory") {
        Stage::ProgramNotExecutable
    } else {
        Stage::Setup
    };
    Error { stage, what, errno: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runtimes_say_is_told_in_dockers_words() {
        let runc = r#"{"level":"warning","msg":"x","time":""}
{"level":"error","msg":"runc create failed: unable to start container process: exec: \"nope\": executable file not found in $PATH","time":""}"#;
        let crun = r#"{"msg":"executable file `nope` not found in $PATH: No such file or directory","level":"error"}"#;
        for (log, stage, what) in [
            (runc, Stage::ProgramNotFound, "exec: \"nope\": executable file not found in $PATH"),
            (
                crun,
                Stage::ProgramNotFound,
                "executable file `nope` not found in $PATH: no such file or directory",
            ),
            (
                r#"{"level":"error","msg":"open `/x`: Permission denied"}"#,
                Stage::ProgramNotExecutable,
                "open `/x`: permission denied",
            ),
            ("no json\n", Stage::Setup, "the runtime ended: exit status: 1"),
        ] {
            let error = failure(log, "exit status: 1");
            assert_eq!((error.stage, error.what.as_str()), (stage, what));
        }
    }
}
