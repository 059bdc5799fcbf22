//! One more process in a container, as the OCI configuration has it.

use dhow_model::container::HostConfig;
use dhow_model::{Container, Result};
use dhow_oci::runtime::{ConsoleSize, Process, Spec, User};

use super::{Facts, merge, rights, spec, user};
use crate::execs::ExecRequest;

/// Works out the process of an exec.
///
/// # Errors
/// A user that is not there.
pub fn plan(record: &Container, request: &ExecRequest, container: &Spec, facts: &Facts) -> Result<Process> {
    let (config, host) = (&record.config, &record.host_config);
    let name = if request.user.is_empty() { &config.user } else { &request.user };
    let none = Vec::new();
    let further = host.group_add.as_ref().filter(|_| request.user.is_empty()).unwrap_or(&none);
    let identity = user::resolve(name, further, &facts.passwd, &facts.group)?;
    let mut privileged = HostConfig::clone(host);
    privileged.privileged |= request.privileged;
    let set = rights::capability_set(&privileged, facts.host.capabilities)?;
    let first = container.process.clone().unwrap_or_default();
    let mut merged = config.clone();
    merged.tty = request.tty;
    merged.env = merge::variables(config.env.clone(), &request.env);
    let directory = if request.working_dir.is_empty() { &config.working_dir } else { &request.working_dir };
    Ok(Process {
        terminal: request.tty,
        console_size: request
            .console_size
            .map(|size| ConsoleSize { height: size.rows.into(), width: size.columns.into() }),
        user: User {
            uid: identity.uid,
            gid: identity.gid,
            additional_gids: identity.groups,
            ..User::default()
        },
        args: request.cmd.clone(),
        env: spec::env(&merged, &identity.home, &[]),
        cwd: if directory.is_empty() { "/".into() } else { directory.clone() },
        capabilities: Some(rights::process_sets(set, identity.uid)),
        rlimits: first.rlimits,
        no_new_privileges: first.no_new_privileges,
        apparmor_profile: if request.privileged { String::new() } else { first.apparmor_profile },
        selinux_label: first.selinux_label,
        oom_score_adj: first.oom_score_adj,
        ..Process::default()
    })
}
