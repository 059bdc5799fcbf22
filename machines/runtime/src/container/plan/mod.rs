//! A configuration as a plan: values that the container's process applies one by one.
//!
//! Everything that can be wrong with a configuration is found here, before a process is made.

pub mod identity;
pub mod mounts;
pub mod namespaces;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use dhow_model::ports::MountedTree;
use dhow_oci::runtime::{Linux, Process, Spec};

use super::error::{Error, Result};

pub use identity::IdentityPlan;
pub use mounts::{MountPlan, Source};
pub use namespaces::NamespacePlan;

/// Everything that the container's process does.
#[derive(Debug)]
pub struct Plan {
    /// Namespaces that are made and joined.
    pub namespaces: NamespacePlan,
    /// Mounts, in order.
    pub mounts: Vec<MountPlan>,
    /// Mounts that were made already, by their destination.
    pub trees: BTreeMap<PathBuf, MountedTree>,
    /// Mounts that the parent made for a process that cannot, with what they are.
    pub held: Vec<(OwnedFd, PathBuf)>,
    /// Propagation of the root mount, as mount(2) flags; 0 leaves the default.
    pub root_propagation: u64,
    /// The root is read-only in the end.
    pub root_readonly: bool,
    /// Device nodes in the root cannot be opened.
    pub root_nodev: bool,
    /// /dev is filled: it is no bind mount.
    pub fills_dev: bool,
    /// Kernel parameters as paths below /proc/sys.
    pub sysctls: Vec<(String, String)>,
    /// Who the program is and what it may do.
    pub identity: IdentityPlan,
    /// The program.
    pub program: ProgramPlan,
}

/// The program, its arguments and environment.
#[derive(Debug)]
pub struct ProgramPlan {
    /// As given: a path, or a name to look for in `PATH`.
    pub name: String,
    /// With the name first.
    pub arguments: Vec<CString>,
    /// `NAME=value`.
    pub environment: Vec<CString>,
    /// The directory it starts in.
    pub directory: String,
}

/// Works out the plan of a container.
///
/// # Errors
/// Stage `Configuration`, naming the member that is wrong.
pub fn plan(spec: &Spec) -> Result<Plan> {
    let process = spec.process.as_ref().ok_or_else(|| Error::configuration("process is missing"))?;
    let none = Linux::default();
    let linux = spec.linux.as_ref().unwrap_or(&none);
    if linux.intel_rdt.is_some() {
        return Err(Error::configuration("linux.intelRdt is not supported"));
    }
    let namespaces = namespaces::plan(spec, linux)?;
    let label = linux.mount_label.as_str();
    let mounts = spec.mounts.iter().map(|mount| mounts::plan(mount, label)).collect::<Result<Vec<_>>>()?;
    if !namespaces.has_mount_namespace() && !mounts.is_empty() {
        return Err(Error::configuration("mounts need a mount namespace"));
    }
    let fills_dev = !mounts.iter().any(|m| m.destination.as_os_str() == "/dev" && m.is_bind());
    Ok(Plan {
        root_propagation: mounts::propagation_of(&linux.rootfs_propagation)?,
        root_readonly: spec.root.as_ref().is_some_and(|root| root.readonly),
        root_nodev: false,
        fills_dev: fills_dev && namespaces.has_mount_namespace(),
        sysctls: sysctls(linux, &namespaces)?,
        identity: IdentityPlan { personality: identity::personality(linux)?, ..identity::plan(process)? },
        program: program(process)?,
        namespaces,
        mounts,
        trees: BTreeMap::new(),
        held: Vec::new(),
    })
}

impl Plan {
    /// What is mounted at the destinations of these is theirs, whatever the configuration names as source.
    pub fn mount_trees(&mut self, trees: BTreeMap<PathBuf, MountedTree>) {
        for mount in self.mounts.iter_mut().filter(|mount| trees.contains_key(&mount.destination)) {
            mount.source = Source::Tree;
        }
        self.trees = trees;
    }

    /// Where the kernel does not hold the container to its device rules: it may use the nodes that its
    /// configuration lists, and can neither make another one nor open one that an image or a volume has.
    pub fn close_device_nodes(&mut self) {
        self.identity.forgo_device_nodes();
        // Without a mount there, /dev is filled in the root itself.
        self.root_nodev = self.mounts.iter().any(|mount| mount.destination.as_os_str() == "/dev");
        self.mounts.iter_mut().for_each(MountPlan::close_device_nodes);
    }
}

/// The plan of the program of a process.
///
/// # Errors
/// Stage `Configuration`: no arguments, a NUL byte, a directory that is not absolute.
pub fn program(process: &Process) -> Result<ProgramPlan> {
    let name = process.args.first().ok_or_else(|| Error::configuration("args must not be empty"))?;
    if !process.cwd.starts_with('/') {
        return Err(Error::configuration("Cwd must be an absolute path"));
    }
    let strings = |member: &str, list: &[String]| -> Result<Vec<CString>> {
        let string = |text: &String| {
            CString::new(text.as_str())
                .map_err(|_| Error::configuration(format!("process.{member} has a NUL byte")))
        };
        list.iter().map(string).collect()
    };
    Ok(ProgramPlan {
        name: name.clone(),
        arguments: strings("args", &process.args)?,
        environment: strings("env", &process.env)?,
        directory: process.cwd.clone(),
    })
}

/// Kernel parameters are only those of the container's own namespaces: others would be the host's.
fn sysctls(linux: &Linux, namespaces: &NamespacePlan) -> Result<Vec<(String, String)>> {
    linux.sysctl.iter().map(|(name, value)| sysctl(name, value, namespaces)).collect()
}

fn sysctl(name: &str, value: &str, namespaces: &NamespacePlan) -> Result<(String, String)> {
    // A slash in the name separates like a dot, and a dot then stands for itself (sysctl(8)).
    let path = match name.find(['.', '/']) {
        Some(at) if name.as_bytes()[at] == b'/' => name.to_owned(),
        _ => name
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
    };
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    let own = namespaces::owner_of_sysctl(&path).is_some_and(|kind| namespaces.is_private(kind));
    if path.split('/').any(odd) || path.contains('\0') || !own {
        return Err(Error::configuration(format!("sysctl {name:?} is not in a separate kernel namespace")));
    }
    Ok((path, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &serde_json::Value) -> Spec {
        serde_json::from_value(json.clone()).unwrap()
    }

    fn with_sysctl(name: &str) -> Spec {
        spec(&serde_json::json!({
            "process": {"args": ["sh"], "cwd": "/"},
            "linux": {"namespaces": [{"type": "mount"}, {"type": "network"}, {"type": "uts"}], "sysctl": {name: "1"}}
        }))
    }

    #[test]
    fn kernel_parameters_of_the_host_are_refused() {
        for good in ["net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/forwarding", "kernel.domainname"] {
            assert!(plan(&with_sysctl(good)).is_ok(), "{good}");
        }
        for wrong in [
            "kernel.core_pattern",
            "net/../kernel/core_pattern",
            "fs.mqueue.msg_max",
            "vm.swappiness",
            "net.",
        ] {
            let error = plan(&with_sysctl(wrong)).unwrap_err();
            assert!(error.what.contains("not in a separate kernel namespace"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_process_needs_arguments_and_an_absolute_directory() {
        for wrong in [
            serde_json::json!({"args": [], "cwd": "/"}),
            serde_json::json!({"args": ["sh"], "cwd": "tmp"}),
            serde_json::json!({"args": ["s\0h"], "cwd": "/"}),
        ] {
            assert!(plan(&spec(&serde_json::json!({"process": wrong}))).is_err());
        }
    }
}
