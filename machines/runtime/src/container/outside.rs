//! What is done to a new process from outside, before it does anything: it may have no right to it, in
//! its user namespace or without /proc.

use std::io;
use std::path::Path;

use dhow_oci::runtime::{NamespaceKind, Process};
use dhow_sys::procfs::Procfs;
use rustix::process::Pid;

use super::error::{Context as _, Error, Result};
use super::plan::identity::limit_name;
use super::plan::{IdentityPlan, NamespacePlan};
use crate::capabilities::{Available, Sets};

/// Prepares the process; answers what cannot be had on this machine, in words for the user.
///
/// Going below the runtime's own badness, or beyond its own limits, needs CAP_SYS_RESOURCE. Where the
/// runtime itself was not given it, a container gets what there is.
pub(super) fn prepare(pid: Pid, identity: &IdentityPlan) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    if let Some(score) = identity.oom_score {
        notes.extend(set_oom_score(pid, score)?);
    }
    if let Ok(available) = Available::detect() {
        notes.extend(Sets::within(&identity.capabilities, available).1);
    }
    for (resource, _, hard) in identity.limits.iter().copied() {
        notes.extend(raise_limit(pid, resource, hard)?);
    }
    Ok(notes)
}

/// Who makes a network namespace owns it, but may have no right to networks at all.
pub(super) fn lacks_loopback(namespaces: &NamespacePlan) -> Option<String> {
    const NET_ADMIN: u32 = 12;
    let own = namespaces.is_new(NamespaceKind::Network) && !namespaces.is_private(NamespaceKind::User);
    let may =
        || dhow_sys::identity::capabilities().is_ok_and(|(effective, ..)| effective & (1 << NET_ADMIN) != 0);
    (own && !may()).then(|| "the loopback interface stays down: that needs CAP_NET_ADMIN".to_owned())
}

/// Refuses labels that the kernel would not know what to do with, in runc's words.
pub(super) fn check_labels(process: &Process, mount_label: &str) -> Result<()> {
    let profile = process.apparmor_profile.as_str();
    if !matches!(profile, "" | "unconfined") && !Path::new("/sys/kernel/security/apparmor").exists() {
        let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
        if !enabled.is_ok_and(|text| text.starts_with('Y')) {
            return Err(Error::configuration("apparmor: config provided but apparmor not supported"));
        }
    }
    if process.selinux_label.is_empty() && mount_label.is_empty() {
        return Ok(());
    }
    let known = std::fs::read_to_string("/proc/filesystems").doing(|| "read /proc/filesystems")?;
    if known.split_whitespace().any(|name| name == "selinuxfs") {
        return Ok(());
    }
    Err(Error::configuration(
        "selinux label is specified in config, but selinux is disabled or not supported",
    ))
}

fn set_oom_score(pid: Pid, score: i32) -> Result<Option<String>> {
    let procfs = Procfs::at_proc().doing(|| "open /proc")?;
    let path = format!("{}/oom_score_adj", pid.as_raw_nonzero());
    if procfs.read(&path).is_ok_and(|now| now.trim() == score.to_string()) {
        return Ok(None);
    }
    match procfs.write(&path, score.to_string().as_bytes()) {
        Err(error) if is_denied(&error) => {
            Ok(Some(format!("oom_score_adj cannot be set to {score} without CAP_SYS_RESOURCE")))
        }
        done => done.map(|()| None).doing(|| format!("set oom_score_adj to {score}")),
    }
}

/// Raises the hard limit so that the process itself can set what it is to have.
fn raise_limit(pid: Pid, resource: u32, hard: u64) -> Result<Option<String>> {
    let name = limit_name(resource);
    let what = || format!("error setting rlimit {name} to {hard}");
    let (soft, own) = dhow_sys::process::limit(resource).doing(what)?;
    if hard <= own {
        return Ok(None);
    }
    match dhow_sys::process::set_limit_of(pid, resource, soft, hard) {
        Err(error) if is_denied(&error) => {
            Ok(Some(format!("{name} cannot be raised to {hard} without CAP_SYS_RESOURCE: it is {own}")))
        }
        done => done.map(|()| None).doing(what),
    }
}

/// The kernel asks for the right in the first user namespace: who is root of another one has it not.
fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}
