//! Becoming who the program is, and giving up what it must not have.

use dhow_sys::{identity, process};
use rustix::thread;

use super::super::error::{Context as _, Error, Result};
use super::super::plan::IdentityPlan;
use super::super::plan::identity::limit_name;
use super::super::sync::Talk;
use super::filter::Filter;
use crate::capabilities::{Available, Sets};

/// Rights that the program will have, and that this process still has.
pub(in super::super) struct Rights {
    sets: Sets,
    permitted: u64,
}

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
            .doing(|| format!("apply the AppArmor profile {apparmor}"))?;
    }
    if !plan.selinux.is_empty() {
        procfs
            .write("self/attr/exec", plan.selinux.as_bytes())
            .doing(|| format!("apply the SELinux label {}", plan.selinux))?;
    }
    Ok(())
}

/// Becomes the user, with its groups and with the capabilities in force that the program will have.
/// What is needed to install a filter is kept back until [`settle`].
pub(in super::super) fn assume(plan: &IdentityPlan) -> Result<Rights> {
    domain(plan)?;
    schedule(plan)?;
    let available = Available::detect().doing(|| "read capabilities")?;
    let (sets, _) = Sets::within(&plan.capabilities, available);
    identity::bound(sets.bounding.0, identity::last_capability())
        .doing(|| "drop capabilities from the bounding set")?;
    become_user(plan)?;
    let permitted = available.permitted.0;
    identity::set_capabilities(sets.effective.0, permitted, 0).doing(|| "set capabilities")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(plan.umask.unwrap_or(0o022)));
    Ok(Rights { sets, permitted })
}

/// The last things before the program: limits, capabilities, and the filter.
///
/// Limits come last of all since the setup itself may need more than the program is to have. The
/// filter sees as few of our own calls as can be: with no_new_privileges only execve(2), without it
/// also those that give up the right to install it.
pub(in super::super) fn settle(
    plan: &IdentityPlan,
    rights: &Rights,
    filter: &Filter,
    talk: &Talk,
) -> Result<()> {
    limit(plan)?;
    if plan.no_new_privileges {
        thread::set_no_new_privs(true).doing(|| "set no_new_privileges")?;
        give_up(rights)?;
        filter.install(talk)
    } else if filter.is_none() {
        give_up(rights)
    } else {
        identity::set_capabilities(rights.permitted, rights.permitted, 0).doing(|| "raise capabilities")?;
        filter.install(talk)?;
        give_up(rights)
    }
}

fn give_up(rights: &Rights) -> Result<()> {
    let sets = &rights.sets;
    identity::set_capabilities(sets.effective.0, sets.permitted.0, sets.inheritable.0)
        .doing(|| "set capabilities")?;
    if sets.ambient.is_empty() {
        // Raising what is inheritable has left it empty: it was emptied when the user changed, or never
        // filled.
        return rustix::thread::clear_ambient_capability_set().doing(|| "clear ambient capabilities");
    }
    identity::set_ambient(sets.ambient.0, identity::last_capability()).doing(|| "set ambient capabilities")
}

/// The execution domain; it is kept when the program is executed.
fn domain(plan: &IdentityPlan) -> Result<()> {
    plan.personality.map_or(Ok(()), process::set_personality).doing(|| "set the personality")
}

/// What the parent could not raise stays as it is, which it has told.
fn limit(plan: &IdentityPlan) -> Result<()> {
    for (resource, soft, hard) in plan.limits.iter().copied() {
        let what = || format!("error setting rlimit {} to {soft}:{hard}", limit_name(resource));
        if soft > hard {
            return Err(Error::configuration(what()));
        }
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
