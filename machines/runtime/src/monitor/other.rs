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

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dhow_model::ports::{ExecPlan, MountedTree, RuntimeProgram, StartPlan, StdioPlan};
use dhow_oci::runtime::{Mount, NamespaceKind, Process, Root, Spec};
use rustix::mount::{MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags};
use rustix::thread::UnshareFlags;

use super::donors::Donors;
use super::oom::OutOfMemory;
use super::spawn::{self, Spawned, lost, own};
use super::stream::{Ends, Streams};
use crate::cgroups::{Cgroup, Layout};
use crate::container::{Error, Result, Stage, attach_root, clone_bind, clone_of_process, of_process};
use crate::init_command;

/// The most that is read of what a runtime says.
const LONGEST_LOG: u64 = 64 * 1024;
/// Older runtimes refuse every other one (crun 1.8), and newer ones understand it.
const SPOKEN: &str = "1.0.2";
/// The beginning of the option of a bind that mounts a part of its source.
const SUBDIRECTORY: &str = "X-mount.subdir=";

/// Directories of every host that are of no use to a runtime. Its root, and what is mounted in it, are put over two of
/// them where nobody else sees it: ours are in directories that are closed to users of containers.
const OPEN_PLACES: [&str; 5] = ["/mnt", "/srv", "/media", "/opt", "/home"];

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

/// The configuration as another runtime understands it, and the mounts that it needs.
fn bundle(plan: &StartPlan, other: &Other) -> Result<Spec> {
    let mut spec = Spec::clone(&plan.spec);
    spec.oci_version = SPOKEN.into();
    #[allow(deprecated, reason = "files are not unshared, and there is one thread")]
    rustix::thread::unshare(UnshareFlags::NEWNS)
        .map_err(|error| own("make a mount namespace", &error.into()))?;
    let readonly = spec.root.as_ref().is_some_and(|root| root.readonly);
    let mut held = Vec::new();
    let mut places = other.directory.join("mounts");
    let path = if is_remapped(&spec) {
        held = hold_binds(&mut spec)?;
        let (root, open) = open_places()?;
        let tree = plan.rootfs.tree().ok_or_else(|| lost("no mount came with the plan".to_owned()))?;
        attach(tree, &root).map_err(|error| own("mount the root file system", &error))?;
        places = open;
        root
    } else {
        attach_root(&plan.rootfs, &plan.directory)?
    };
    spec.root = Some(Root { path, readonly });
    for (number, mount) in spec.mounts.iter_mut().enumerate() {
        let place = places.join(number.to_string());
        if let Some((_, tree)) = held.iter().find(|(of, _)| *of == number) {
            mount_at(tree.as_fd(), mount, place)?;
            continue;
        }
        match plan.trees.get(&mount.destination).and_then(MountedTree::handle) {
            Some(tree) if mount.destination == Path::new(init_command::PLACE) => {
                mount_init(tree, mount, place)?
            }
            Some(tree) => mount_at(tree, mount, place)?,
            None => mount_part(mount, place)?,
        }
    }
    Ok(spec)
}

/// Whether the runtime sets the container up as somebody who is no root of the host.
fn is_remapped(spec: &Spec) -> bool {
    let namespaces = spec.linux.as_ref().map_or(&[][..], |linux| &linux.namespaces);
    namespaces.iter().any(|namespace| namespace.kind == NamespaceKind::User)
}

/// The sources of binds, as only the root of the host gets at them, with their owners mapped.
fn hold_binds(spec: &mut Spec) -> Result<Vec<(usize, OwnedFd)>> {
    let mut held = Vec::new();
    for (number, mount) in spec.mounts.iter_mut().enumerate() {
        if mount.kind != "bind" || mount.destination == Path::new(init_command::PLACE) {
            continue;
        }
        let Some(tree) = clone_bind(mount)? else { continue };
        mount.options.retain(|option| {
            !matches!(option.as_str(), "idmap" | "ridmap") && !option.starts_with(SUBDIRECTORY)
        });
        mount.uid_mappings.clear();
        mount.gid_mappings.clear();
        held.push((number, tree));
    }
    Ok(held)
}

/// Two directories that everybody gets to: one for the root, which has to be there for later calls too, and in our mount
/// namespace alone an empty one for other mounts.
fn open_places() -> Result<(PathBuf, PathBuf)> {
    let failed = |error: io::Error| own("make a place that the container's user gets to", &error);
    let is_open = |place: &PathBuf| {
        fs::symlink_metadata(place)
            .is_ok_and(|found| found.is_dir() && found.permissions().mode() & 0o001 != 0)
    };
    let mut places = OPEN_PLACES.iter().map(PathBuf::from).filter(is_open);
    let (root, others) = places
        .next()
        .zip(places.next())
        .ok_or_else(|| failed(io::Error::other(format!("two of {} are needed", OPEN_PLACES.join(", ")))))?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .and_then(|()| {
            rustix::mount::mount("tmpfs", &others, "tmpfs", MountFlags::empty(), Some(c"mode=755"))
        })
        .map_err(|error| failed(error.into()))?;
    Ok((root, others))
}

/// What another runtime cannot mount by a path is attached here, and mounted from there.
fn mount_part(mount: &mut Mount, place: PathBuf) -> Result<()> {
    let part = mount.options.iter().position(|option| option.starts_with(SUBDIRECTORY));
    let source = PathBuf::from(&mount.source);
    let tree = match (part, of_process(&source)) {
        (Some(at), _) => {
            let below = mount.options.remove(at).split_off(SUBDIRECTORY.len());
            clone_part(&source, Path::new(&below))
        }
        (None, Some((pid, below))) if mount.kind == "bind" => clone_of_process(pid, below, true),
        (None, _) => return Ok(()),
    };
    let tree = tree.map_err(|error| not_mounted(mount, &error))?;
    mount_at(tree.as_fd(), mount, place)
}

fn mount_at(tree: BorrowedFd<'_>, mount: &mut Mount, place: PathBuf) -> Result<()> {
    attach(tree, &place).map_err(|error| not_mounted(mount, &error))?;
    mount.source = place.to_string_lossy().into_owned();
    Ok(())
}

/// The tree has our program in it, under the name that is the mount's source.
fn mount_init(tree: BorrowedFd<'_>, mount: &mut Mount, place: PathBuf) -> Result<()> {
    let name = mount.source.clone();
    mount_at(tree, mount, place.clone())?;
    mount.source = place.join(name).to_string_lossy().into_owned();
    Ok(())
}

fn not_mounted(mount: &Mount, error: &io::Error) -> Error {
    own(&format!("mount {} for {}", mount.source, mount.destination.display()), error)
}

/// Resolved here, below the volume: its links were made by whoever writes in it.
fn clone_part(source: &Path, below: &Path) -> io::Result<OwnedFd> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let whole = rustix::fs::open(source, flags, rustix::fs::Mode::empty())?;
    let part = dhow_sys::path::handle(&whole, below)?;
    let clone =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    Ok(rustix::mount::open_tree(&part, "", clone | OpenTreeFlags::AT_RECURSIVE)?)
}

fn attach(tree: BorrowedFd<'_>, place: &Path) -> io::Result<()> {
    if dhow_sys::path::is_directory(tree)? {
        fs::create_dir_all(place)?;
    } else {
        place.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::File::create(place)?;
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    Ok(rustix::mount::move_mount(tree, "", rustix::fs::CWD, place, flags)?)
}

fn create(plan: &StartPlan, other: &Other) -> Result<(Pid, OwnedFd, Streams)> {
    let mut command = other.command();
    command.args(["create", "--bundle"]).arg(&other.directory);
    call(other, command, &plan.stdio)
}

/// Has the runtime make a process, which writes its number and gets our streams.
fn call(other: &Other, mut command: Command, stdio: &StdioPlan) -> Result<(Pid, OwnedFd, Streams)> {
    command.arg("--pid-file").arg(other.file("pid"));
    if stdio.terminal {
        return with_terminal(other, command, stdio);
    }
    let (streams, Ends { mut stdin, stdout, stderr }) =
        Streams::pipes(stdio).map_err(|error| own("make pipes", &error))?;
    if !stdio.open_stdin {
        stdin = nothing()?;
    }
    command.arg(&other.id).stdin(stdin).stdout(stdout).stderr(stderr);
    other.run(command)?;
    let (pid, process) = other.process()?;
    Ok((pid, process, streams))
}

/// What ends at once. Not the host's null device: crun gives its streams to the user of the container, whatever they are.
fn nothing() -> Result<OwnedFd> {
    let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    pipe.map(|(reader, _)| reader).map_err(|error| own("make pipes", &error.into()))
}

fn with_terminal(other: &Other, mut command: Command, stdio: &StdioPlan) -> Result<(Pid, OwnedFd, Streams)> {
    let name = format!("{}console", other.call);
    let (socket, directory) =
        listen(&other.directory, &name).map_err(|error| own("listen for the terminal", &error))?;
    // Its own path may be longer than an address can be.
    let address = format!("/proc/{}/fd/{}/{name}", std::process::id(), directory.as_raw_fd());
    command.arg("--console-socket").arg(address).arg(&other.id);
    // Nobody reads what it says there: it has a log.
    let (unread, said) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|error| own("make pipes", &error.into()))?;
    let again = said.try_clone().map_err(|error| own("make pipes", &error))?;
    command.stdin(nothing()?).stdout(said).stderr(again);
    let called = other.run(command);
    drop(unread);
    let _ = fs::remove_file(other.directory.join(&name));
    called?;
    let master = receive(&socket).map_err(|error| own("receive the terminal", &error))?;
    if let Some(size) = stdio.size {
        dhow_sys::terminal::resize(&master, size.rows, size.columns)
            .map_err(|error| own("set the size of the terminal", &error))?;
    }
    let streams = Streams::terminal(master).map_err(|error| own("hold the terminal", &error))?;
    let (pid, process) = other.process()?;
    Ok((pid, process, streams))
}

fn listen(directory: &Path, name: &str) -> io::Result<(OwnedFd, OwnedFd)> {
    let directory = super::record::open_directory(directory)?;
    let address = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(address)?)?;
    rustix::net::listen(&socket, 1)?;
    Ok((socket, directory))
}

/// The runtime has connected and sent it before it ended.
fn receive(socket: &OwnedFd) -> io::Result<OwnedFd> {
    rustix::io::ioctl_fionbio(socket, true)?;
    let connection = rustix::net::accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let (_, descriptors) = dhow_sys::channel::receive(&connection, &mut [0; 4096])?;
    descriptors.into_iter().next().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
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
