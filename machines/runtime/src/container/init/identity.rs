//! Becoming who the program is, and giving up what it must not have.

use dhow_sys::{identity, process};
use rustix::thread;

use super::super::error::{Context as _, Result};
use super::super::plan::IdentityPlan;
use super::super::plan::identity::limit_name;
use super::super::rights::Rights;

/// Labels that take effect when the program is executed; written through a procfs of our own, so
/// that nothing of the container's stands in for it (CVE-2025-52881).
pub(in super::super) fn label(plan: &IdentityPlan) -> Result<()> {
    let apparmor = plan.apparmor.as_str();
    if (apparmor.is_empty() || apparmor == "unconfined") && plan.selinux.is_empty() {
        return Ok(());
    }
    let procfs = dhow_sys::procfs::Procfs::private().doing(|| "mount a private /proc")?;
    if !apparmor.is_empty() && apparmor != "unconfined" {
        let text = format!("exec {apparmor}");
        procfs
            .write("self/attr/apparmor/exec", text.as_bytes())
            .or_else(|_| procfs.write("self/attr/exec", text.as_bytes()))
            .doing(|| format!("apply the AppArmor profile {apparmor}"))?;
    }
    if !plan.selinux.is_empty() {
        procfs
            .write("self/attr/exec", plan.selinux.as_bytes())
            .doing(|| format!("apply the SELinux label {}", plan.selinux))?;
    }
    Ok(())
}

/// Becomes the user, with its groups, limits and capabilities.
///
/// `filter` is installed in between when it needs a right that the program will not have.
pub(in super::super) fn assume(plan: &IdentityPlan, filter: impl FnOnce() -> Result<()>) -> Result<()> {
    schedule(plan)?;
    let last = identity::last_capability();
    let rights = plan.capabilities.as_ref().map(Rights::parse);
    if let Some(rights) = &rights {
        identity::bound(rights.bounding, last).doing(|| "drop capabilities from the bounding set")?;
    }
    become_user(plan)?;
    if let Some(rights) = &rights {
        let (_, permitted, _) = identity::capabilities().doing(|| "read capabilities")?;
        // Changing the user has emptied the effective set; what is permitted is still all.
        identity::set_capabilities(permitted, permitted, 0).doing(|| "raise capabilities")?;
        filter()?;
        let rights = rights.within(permitted);
        identity::set_capabilities(rights.effective, rights.permitted, rights.inheritable)
            .doing(|| "set capabilities")?;
        identity::set_ambient(rights.ambient, last).doing(|| "set ambient capabilities")?;
    } else {
        filter()?;
    }
    if plan.no_new_privileges {
        thread::set_no_new_privs(true).doing(|| "set no_new_privileges")?;
    }
    let mask = plan.umask.unwrap_or(0o022);
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
    Ok(())
}

/// Sets the limits of setrlimit(2): last of all, since the setup itself may need more than the program
/// is to have. What the parent could not raise stays as it is, which it has told.
pub(in super::super) fn limit(plan: &IdentityPlan) -> Result<()> {
    for (resource, soft, hard) in plan.limits.iter().copied() {
        let what = || format!("error setting rlimit {} to {soft}:{hard}", limit_name(resource));
        let (_, most) = process::limit(resource).doing(what)?;
        process::set_limit(resource, soft.min(most), hard.min(most)).doing(what)?;
    }
    Ok(())
}

fn schedule(plan: &IdentityPlan) -> Result<()> {
    if let Some(attributes) = plan.scheduler {
        process::set_scheduler(attributes).doing(|| "set the scheduler")?;
    }
    if let Some((class, level)) = plan.io_priority {
        process::set_io_priority(class, level).doing(|| "set the priority of input and output")?;
    }
    if !plan.affinity.is_empty() {
        process::set_affinity(&plan.affinity).doing(|| "set the processors")?;
    }
    Ok(())
}

fn become_user(plan: &IdentityPlan) -> Result<()> {
    process::keep_capabilities(true).doing(|| "keep capabilities")?;
    match identity::set_groups(&plan.groups) {
        // In a user namespace whose maker had no right to groups there are none to drop either.
        Err(_) if plan.groups.is_empty() => {}
        done => done.doing(|| "set the supplementary groups")?,
    }
    identity::set_group(plan.gid).doing(|| format!("set the group {}", plan.gid))?;
    identity::set_user(plan.uid).doing(|| format!("set the user {}", plan.uid))?;
    process::keep_capabilities(false).doing(|| "stop keeping capabilities")
}
