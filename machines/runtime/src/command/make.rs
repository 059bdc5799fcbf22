//! Brings a container up to its gate: what create and run have in common.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use dhow_model::ports::RootfsPlan;
use dhow_model::{Error, Result, Timestamp};
use dhow_oci::runtime::Spec;
use dhow_sys::trace::mark;

use super::arguments::{Flag, Parsed, option, switch};
use super::container::{self, Container, Record};
use super::{Context, console, gate};
use crate::cgroups::{Cgroup, CgroupPath, DeviceRules, Layout};
use crate::container::{Gate, Init, InitRequest, Stdio, spawn_init};

pub(super) const BUNDLE: Flag = Flag { short: Some('b'), ..option("bundle") };
pub(super) const CONSOLE_SOCKET: Flag = option("console-socket");
pub(super) const PID_FILE: Flag = option("pid-file");
pub(super) const NO_PIVOT: Flag = switch("no-pivot");
pub(super) const NO_NEW_KEYRING: Flag = switch("no-new-keyring");
pub(super) const PIDFD_SOCKET: Flag = option("pidfd-socket");
pub(super) const PRESERVE_FDS: Flag = option("preserve-fds");

/// A container whose process waits at its gate.
pub(super) struct Made {
    pub(super) container: Container,
    pub(super) init: Init,
}

/// Who opens the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opener {
    /// A later `start`.
    Start,
    /// This process.
    Us,
}

/// Makes the container of the command line; what was made is undone when it fails.
pub(super) fn make(context: &Context, parsed: &Parsed, opener: Opener) -> Result<Made> {
    let id = parsed.id()?;
    let bundle = bundle(parsed)?;
    let spec = read_spec(&bundle)?;
    check(&spec, parsed)?;
    let cgroup_path = spec.linux.as_ref().map_or("", |linux| linux.cgroups_path.as_str());
    let record = Record {
        id: id.to_owned(),
        pid: 0,
        began: 0,
        rootfs: spec.root.as_ref().map(|root| bundle.join(&root.path)).unwrap_or_default(),
        bundle,
        created: Timestamp::now().to_string(),
        cgroup: if cgroup_path.is_empty() { id.to_owned() } else { cgroup_path.to_owned() },
        owner: rustix::process::getuid().as_raw(),
        spec,
    };
    let mut container = Container::claim(&context.root, record)?;
    mark("id claimed");
    let brought_up = claim_cgroup(&container.record).and_then(|cgroup| {
        // The error that is told is the first one.
        bring_up(context, parsed, opener, &mut container, &cgroup).inspect_err(|_| drop(cgroup.delete()))
    });
    match brought_up {
        Ok(init) => Ok(Made { container, init }),
        Err(error) => {
            let _ = container.forget();
            Err(error)
        }
    }
}

fn bring_up(
    context: &Context,
    parsed: &Parsed,
    opener: Opener,
    container: &mut Container,
    cgroup: &Cgroup,
) -> Result<Init> {
    let devices = limit(context, &container.record, cgroup)?;
    mark("cgroup made");
    let Record { id, bundle, rootfs, spec, .. } = &container.record;
    let terminal = spec.process.as_ref().is_some_and(|process| process.terminal);
    let init = spawn_init(InitRequest {
        id,
        spec,
        filter: None,
        bundle,
        rootfs: RootfsPlan::Directory(rootfs.clone()),
        trees: BTreeMap::new(),
        stdio: if terminal { Stdio::Terminal } else { Stdio::Inherit },
        cgroup: Some(cgroup),
        devices,
        gate: match opener {
            Opener::Us => Gate::Parent,
            Opener::Start => Gate::Socket(
                gate::make(&container.directory)
                    .map_err(|error| Error::internal("cannot make the gate").because(error))?,
            ),
        },
        preserve: preserved(parsed)?,
        no_pivot: parsed.has("no-pivot"),
        no_new_keyring: parsed.has("no-new-keyring"),
        reaper: false,
    })?;
    mark("brought up");
    init.notes.iter().for_each(|note| context.log.warn(note));
    match hand_over(parsed, container, &init) {
        Ok(()) => Ok(init),
        Err(error) => {
            init.kill();
            Err(error)
        }
    }
}

/// What others are told of the process: its terminal, its record, its number.
fn hand_over(parsed: &Parsed, container: &mut Container, init: &Init) -> Result<()> {
    if let (Some(path), Some(terminal)) = (parsed.value("console-socket"), &init.terminal) {
        console::send(path, terminal.as_fd())?;
    }
    console::send_process(parsed, init.pidfd.as_fd())?;
    container.set_process(init.pid.as_raw_nonzero().get())?;
    write_pid_file(parsed, container.record.pid)
}

/// Writes the number of a process where `--pid-file` says.
pub(super) fn write_pid_file(parsed: &Parsed, pid: i32) -> Result<()> {
    let Some(path) = parsed.value("pid-file").filter(|path| !path.is_empty()) else { return Ok(()) };
    container::write_whole(Path::new(path), pid.to_string().as_bytes())
        .map_err(|error| Error::internal(format!("cannot write the pid file {path}")).because(error))
}

/// The container's cgroup, with nobody in it: who is there would be held to its limits and die with it.
fn claim_cgroup(record: &Record) -> Result<Cgroup> {
    let cgroup = Cgroup::create(&Layout::detect()?, &CgroupPath::parse(&record.cgroup)?)?;
    match if cgroup.is_new() { 0 } else { cgroup.processes()?.len() } {
        0 => Ok(cgroup),
        count => Err(Error::conflict(format!("container's cgroup is not empty: {count} process(es) found"))),
    }
}

fn limit(context: &Context, record: &Record, cgroup: &Cgroup) -> Result<DeviceRules> {
    cgroup.missing().for_each(|missing| context.log.warn(&missing));
    let none = dhow_oci::runtime::Resources::default();
    let resources = record.spec.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    let applied = cgroup.apply(resources.unwrap_or(&none))?;
    applied.notes.iter().for_each(|note| context.log.warn(note));
    Ok(applied.devices)
}

fn bundle(parsed: &Parsed) -> Result<PathBuf> {
    let given = parsed.value("bundle").unwrap_or(".");
    std::fs::canonicalize(given)
        .map_err(|error| Error::invalid(format!("cannot find the bundle {given}")).because(error))
}

/// Reads `config.json` of a bundle.
pub(super) fn read_spec(bundle: &Path) -> Result<Spec> {
    let path = bundle.join("config.json");
    let text = container::read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Error::not_found(format!("JSON specification file {} not found", path.display()))
        }
        _ => Error::invalid(format!("cannot read {}", path.display())).because(error),
    })?;
    serde_json::from_slice(&text)
        .map_err(|error| Error::invalid(format!("{} is no configuration", path.display())).because(error))
}

fn check(spec: &Spec, parsed: &Parsed) -> Result<()> {
    if spec.oci_version.split('.').next() != Some("1") {
        return Err(Error::invalid(format!("ociVersion {:?} is not supported", spec.oci_version)));
    }
    if spec.root.as_ref().is_none_or(|root| root.path.as_os_str().is_empty()) {
        return Err(Error::invalid("root.path is missing in the configuration"));
    }
    let terminal = spec.process.as_ref().is_some_and(|process| process.terminal);
    console::check(parsed, terminal)
}

/// How many descriptors from 3 on the program keeps; all of them must be there.
pub(super) fn preserved(parsed: &Parsed) -> Result<u32> {
    const MOST: u32 = 1 << 16;
    let count: u32 = parsed.number("preserve-fds")?.unwrap_or(0);
    if count > MOST {
        return Err(Error::invalid(format!("unable to preserve {count} descriptors: at most {MOST}")));
    }
    let missing = (3..count + 3).find(|number| !Path::new(&format!("/proc/self/fd/{number}")).exists());
    match missing {
        Some(number) => {
            Err(Error::invalid(format!("unable to preserve descriptor {number}: it is not open")))
        }
        None => Ok(count),
    }
}
