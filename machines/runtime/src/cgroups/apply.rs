//! Carries out a plan of limits, on a new cgroup or on a live one.

use std::os::fd::OwnedFd;

use dhow_model::error::{Error, Kind, Result};
use dhow_oci::runtime::{Memory, Resources};
use dhow_sys::bpf;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::devices::{Line, Policy, program, transition};
use super::files::{failure, open, read_value, value_of, write_all, write_value};
use super::plan::{IfMissing, Plan, Write, v1, v2};
use super::{Cgroup, Controller, Directory, Version};

/// What came of limits.
#[derive(Debug)]
pub struct Applied {
    /// What means nothing here, or cannot be had, in words for the user.
    pub notes: Vec<String>,
    /// Whether the device rules are in force.
    pub devices: DeviceRules,
}

/// Whether the kernel holds a container to its device rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceRules {
    /// It does, or there is nothing to forbid.
    InForce,
    /// It cannot: the container must not get at device nodes in another way.
    LeftOut,
}

impl Cgroup {
    /// Sets the limits and the device policy of a new container, before it has a process.
    ///
    /// # Errors
    /// When a limit is out of its range, its controller cannot be used, or the kernel refuses it: the
    /// error names the file.
    pub fn apply(&self, resources: &Resources) -> Result<Applied> {
        let Plan { writes, mut notes } = self.plan(resources)?;
        let policy = Policy::of_container(&resources.devices)?;
        self.carry_out(&writes)?;
        let (devices, note) = self.set_devices(&policy)?;
        notes.extend(note);
        Ok(Applied { notes, devices })
    }

    /// Whether the device rules of a container that was made before are in force.
    ///
    /// # Errors
    /// When its rules are none.
    pub fn device_rules(&self, resources: &Resources) -> Result<DeviceRules> {
        let unlimited = Policy::of_container(&resources.devices)?.allows_all();
        let holds = self.directory(Controller::Devices).is_some_and(|directory| match directory.version {
            Version::V1 => read_value(directory.fd(), "devices.list")
                .is_ok_and(|list| !Policy::of_list(&list).allows_all()),
            Version::V2 => {
                bpf::attached_device_programs(directory.fd()).is_ok_and(|programs| !programs.is_empty())
            }
        });
        Ok(if unlimited || holds { DeviceRules::InForce } else { DeviceRules::LeftOut })
    }

    /// Changes limits of a live container; what is not given stays, and so do devices when no rules are
    /// given.
    ///
    /// # Errors
    /// As above, and with `checkBeforeUpdate` when a limit of memory is below what is used.
    pub fn update(&self, resources: &Resources) -> Result<Vec<String>> {
        let mut plan = self.plan(resources)?;
        if let Some(memory) = resources.memory.as_ref().filter(|m| m.check_before_update == Some(true)) {
            self.check_usage(memory)?;
        }
        self.carry_out(&plan.writes)?;
        if !resources.devices.is_empty() {
            let policy = Policy::of_container(&resources.devices)?;
            plan.notes.extend(self.set_devices(&policy)?.1);
        }
        Ok(plan.notes)
    }

    fn plan(&self, resources: &Resources) -> Result<Plan> {
        match self.version {
            Version::V1 => v1::plan(resources),
            Version::V2 => v2::plan(resources),
        }
    }

    /// Writes all; what the kernel refuses as not fitting is tried again after the rest.
    ///
    /// Pairs of limits (memory and swap, period and quota or burst, both of real-time) must fit each other
    /// after every single write, so that the right order depends on what was there before.
    fn carry_out(&self, writes: &[Write]) -> Result<()> {
        let mut refused = Vec::new();
        for write in writes {
            match self.carry_out_one(write)? {
                Ok(()) => {}
                Err(Errno::INVAL | Errno::BUSY) => refused.push(write),
                Err(error) => return Err(self.refusal(write, error)),
            }
        }
        for write in refused {
            self.carry_out_one(write)?.map_err(|error| self.refusal(write, error))?;
        }
        Ok(())
    }

    /// The outer error is that there is no such controller, the inner one the kernel's.
    fn carry_out_one(&self, write: &Write) -> Result<Result<(), Errno>> {
        let directory = match self.need(write.controller) {
            Ok(directory) => directory,
            Err(_) if write.if_missing == IfMissing::Skip => return Ok(Ok(())),
            Err(error) => return Err(error),
        };
        for (file, value) in &write.choices {
            match write_value(directory.fd(), file, value) {
                Err(Errno::NOENT) => {}
                result => return Ok(result),
            }
        }
        match write.if_missing {
            IfMissing::Skip => Ok(Ok(())),
            IfMissing::Fail => Err(no_file(directory, write)),
        }
    }

    fn refusal(&self, write: &Write, error: Errno) -> Error {
        let what = format!("cannot set {write}");
        if error == Errno::BUSY
            && write.controller == Controller::Memory
            && let Some((usage, peak)) = self.memory_usage()
        {
            let what = format!("{what}: more is used (current usage: {usage}, peak usage: {peak})");
            return Error::new(Kind::Conflict, what).because(std::io::Error::from(error));
        }
        let kind = match error {
            Errno::INVAL | Errno::RANGE | Errno::NODEV => Kind::InvalidArgument,
            _ => Kind::Internal,
        };
        Error::new(kind, what).because(std::io::Error::from(error))
    }

    fn memory_usage(&self) -> Option<(u64, u64)> {
        let directory = self.directory(Controller::Memory)?;
        let number = |file| read_value(directory.fd(), file).ok()?.trim().parse().ok();
        match self.version {
            Version::V1 => Some((number("memory.usage_in_bytes")?, number("memory.max_usage_in_bytes")?)),
            Version::V2 => Some((number("memory.current")?, number("memory.peak").unwrap_or_default())),
        }
    }

    fn check_usage(&self, memory: &Memory) -> Result<()> {
        let Some((usage, _)) = self.memory_usage() else { return Ok(()) };
        for (name, limit) in [("memory+swap", memory.swap), ("memory", memory.limit)] {
            let below =
                limit.filter(|limit| *limit > 0).is_some_and(|l| u64::try_from(l).is_ok_and(|l| l <= usage));
            if below {
                let limit = limit.unwrap_or_default();
                return Err(Error::new(
                    Kind::Conflict,
                    format!("rejecting {name} limit {limit} <= usage {usage}"),
                ));
            }
        }
        Ok(())
    }

    /// Every container has device rules, asked for or not: where there can be none (read-only
    /// hierarchies, a user namespace), it is told and no error.
    fn set_devices(&self, target: &Policy) -> Result<(DeviceRules, Option<String>)> {
        let directory = match self.need(Controller::Devices) {
            Ok(directory) => directory,
            Err(_) if target.allows_all() => return Ok((DeviceRules::InForce, None)),
            Err(error) => return Ok(left_out(error)),
        };
        match self.version {
            Version::V1 => set_devices_v1(directory, target),
            Version::V2 => set_devices_v2(directory, target),
        }
    }
}

fn left_out(why: impl std::fmt::Display) -> (DeviceRules, Option<String>) {
    let note = format!("device rules are left out, and device nodes are closed to the container: {why}");
    (DeviceRules::LeftOut, Some(note))
}

/// A cgroup above may allow less than is to be allowed here: that much is left out, and told.
fn set_devices_v1(directory: &Directory, target: &Policy) -> Result<(DeviceRules, Option<String>)> {
    let place = |file: &str| format!("{}/{file}", directory.path.display());
    let list = read_value(directory.fd(), "devices.list")
        .map_err(|error| failure(format!("cannot read {}", place("devices.list")), error))?;
    let mut opened: [Option<OwnedFd>; 2] = [None, None];
    let mut refused = Vec::new();
    for Line { allow, text } in transition(&Policy::of_list(&list), target) {
        let file = if allow { "devices.allow" } else { "devices.deny" };
        let cannot = |error| failure(format!("cannot write {text:?} to {}", place(file)), error);
        let fd = match &mut opened[usize::from(allow)] {
            Some(fd) => fd,
            empty => empty.insert(open(directory.fd(), file, OFlags::WRONLY).map_err(cannot)?),
        };
        match write_all(&*fd, &text) {
            Err(Errno::PERM) if allow => refused.push(text),
            // Only within a user namespace, where nobody can make device nodes.
            Err(error @ Errno::PERM) => return Ok(left_out(cannot(error).report())),
            result => result.map_err(cannot)?,
        }
    }
    let note = || format!("devices that cannot be had here: {}", refused.join(", "));
    Ok((DeviceRules::InForce, (!refused.is_empty()).then(note)))
}

fn set_devices_v2(directory: &Directory, target: &Policy) -> Result<(DeviceRules, Option<String>)> {
    let result = if target.allows_all() {
        remove_programs(directory)
    } else {
        let program = program::compile(target).into_iter().map(program::Instruction::encode);
        replace_program(directory, &program.collect::<Vec<u64>>())
    };
    let what = || format!("cannot set the device program of the cgroup {}", directory.path.display());
    match result {
        Ok(()) => Ok((DeviceRules::InForce, None)),
        // Within a user namespace, and where the filter of a container around us forbids bpf(2).
        Err(error) if is_refused(&error) => Ok(left_out(format!("{}: {error}", what()))),
        Err(error) => Err(failure(what(), error)),
    }
}

fn is_refused(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::Unsupported)
}

/// Who may not ask for programs (inside another container) cannot have attached one.
fn remove_programs(directory: &Directory) -> std::io::Result<()> {
    let old = match bpf::attached_device_programs(directory.fd()) {
        Err(error) if is_refused(&error) => return Ok(()),
        old => old?,
    };
    old.iter().try_for_each(|program| bpf::detach_device_program(directory.fd(), program))
}

/// Puts the program in place of those that are attached, without a moment that has none.
fn replace_program(directory: &Directory, program: &[u64]) -> std::io::Result<()> {
    let loaded = bpf::load_device_program(program)?;
    let old = bpf::attached_device_programs(directory.fd())?;
    if let [only] = old.as_slice() {
        match bpf::replace_device_program(directory.fd(), &loaded, only) {
            // Kernels before 5.6 cannot replace: attach beside it, then take the old one away.
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {}
            result => return result,
        }
    }
    bpf::attach_device_program(directory.fd(), &loaded)?;
    old.iter().try_for_each(|program| bpf::detach_device_program(directory.fd(), program))
}

fn no_file(directory: &Directory, write: &Write) -> Error {
    let file = write.choices.first().map_or("", |(file, _)| file.as_str());
    let controllers = read_value(directory.fd(), "cgroup.controllers").ok();
    let has_it =
        |name: &str| controllers.as_ref().is_none_or(|list| list.split_whitespace().any(|each| each == name));
    let why = match write.controller.v2_name().filter(|name| !has_it(name)) {
        Some(name) => format!("the controller {name} is not available in the cgroup"),
        None => "the kernel has no such file".to_owned(),
    };
    Error::new(
        Kind::Unavailable,
        format!("cannot set {file} of the cgroup {}: {why}", directory.path.display()),
    )
}

impl Cgroup {
    /// How often the kernel killed a process of it for want of memory.
    #[must_use]
    pub fn oom_kills(&self) -> Option<u64> {
        let directory = self.directory(Controller::Memory)?;
        let file = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        value_of(&read_value(directory.fd(), file).ok()?, "oom_kill")
    }

    /// How often the limit of memory could not be kept by taking memory back (version 2).
    #[must_use]
    pub fn oom_events(&self) -> Option<u64> {
        let directory = self.directory(Controller::Memory)?;
        value_of(&read_value(directory.fd(), "memory.events").ok()?, "oom")
    }
}
