//! SIGHUP: the configuration is read again, and what dockerd would take of it is taken.

use std::sync::Arc;

use anyhow::Result;
use dhow_engine::{Engine, Settings};

use super::configuration::Configuration;
use super::flags::{Flags, Given};
use super::log::Log;
use super::notify::{self, Notice};

/// What a reload needs.
pub(super) struct Reload {
    pub(super) flags: Flags,
    pub(super) given: Given,
    pub(super) log: Log,
    pub(super) running: Configuration,
}

impl Reload {
    /// Reads it again; what is wrong is told, and all stays as it is.
    pub(super) fn run(&mut self, engine: &Arc<Engine>) {
        tracing::info!("Got signal to reload configuration");
        notify::tell(Notice::Reloading);
        match self.apply(engine) {
            Ok(()) => tracing::info!("Reloaded configuration"),
            Err(error) => tracing::error!("Error reloading configuration: {error:#}"),
        }
        // Also when it failed: the engine serves, as before.
        notify::tell(Notice::Ready);
    }

    fn apply(&mut self, engine: &Arc<Engine>) -> Result<()> {
        let fresh = Configuration::read(&self.flags, &self.given)?;
        for what in fixed(&self.running, &fresh) {
            tracing::warn!("{what} has changed: it is taken by the next start of the engine");
        }
        self.log.set(fresh.log);
        self.running.log = fresh.log;
        engine.reload(merged(&engine.settings(), fresh.settings));
        Ok(())
    }
}

/// The old settings with what a reload changes.
fn merged(old: &Settings, new: Settings) -> Settings {
    Settings {
        debug: new.debug,
        labels: new.labels,
        live_restore: new.live_restore,
        shutdown_timeout: new.shutdown_timeout,
        stop_timeout: new.stop_timeout,
        shm_size: new.shm_size,
        ipc_mode: new.ipc_mode,
        cgroupns_mode: new.cgroupns_mode,
        max_concurrent_downloads: new.max_concurrent_downloads,
        max_concurrent_uploads: new.max_concurrent_uploads,
        max_download_attempts: new.max_download_attempts,
        runtimes: new.runtimes,
        default_runtime: new.default_runtime,
        ..old.clone()
    }
}

/// What was changed and needs another start.
fn fixed(old: &Configuration, new: &Configuration) -> Vec<&'static str> {
    let (was, is) = (&old.settings, &new.settings);
    let changed = [
        ("hosts, group or TLS", old.access != new.access),
        ("data-root", old.data_root != new.data_root),
        ("exec-root", old.exec_root != new.exec_root),
        ("pidfile", old.pidfile != new.pidfile),
        ("publish-policy, iptables, ip-forward or allow-direct-routing", old.host != new.host),
        ("the default network", was.default_network != is.default_network),
        ("default-network-opts", was.network_options != is.network_options),
        ("metrics-addr", old.metrics != new.metrics),
        ("log-format", (old.log.json, old.log.raw) != (new.log.json, new.log.raw)),
        ("log-driver or log-opts", was.log != is.log),
        ("default-ulimits", was.ulimits != is.ulimits),
        ("init", was.init != is.init),
        ("no-new-privileges", was.no_new_privileges != is.no_new_privileges),
        ("seccomp-profile", was.seccomp_profile != is.seccomp_profile),
        ("cgroup-parent", was.cgroup_parent != is.cgroup_parent),
        ("default-address-pools or host-gateway-ips", {
            (&was.address_pools, &was.host_gateway) != (&is.address_pools, &is.host_gateway)
        }),
        ("dns, dns-opts or dns-search", {
            (&was.dns, &was.dns_options, &was.dns_search) != (&is.dns, &is.dns_options, &is.dns_search)
        }),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(what, _)| what).collect()
}
