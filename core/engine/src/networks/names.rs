//! Whether a container is served names, and by whom all other names are answered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use dhow_model::Container;
use dhow_model::Result;
use dhow_model::network::{self, Endpoint};
use dhow_model::ports::{NetworkSpace, Servers, Upstreams};

use super::directory::Place;
use super::join::in_order;
use crate::Engine;
use crate::plan::{Facts, files};
use crate::registry::lock;

/// Bytes of a resolv.conf that are read.
const LONGEST: u64 = 1 << 20;
/// Containers that a new engine serves names at once.
const SIDE_BY_SIDE: usize = 8;

impl Engine {
    /// Whether our own server answers a container's questions: in networks of users, and where only the host reaches
    /// the servers of the host.
    pub(super) fn needs_names(
        &self,
        record: &Container,
        endpoints: &BTreeMap<String, Endpoint>,
    ) -> Result<bool> {
        if endpoints.keys().any(|name| !network::is_built_in(name)) {
            return Ok(true);
        }
        Ok(files::servers(record, &self.settings().dns, &self.resolv_conf_of_host()?).is_empty())
    }

    /// Opens the server for a container.
    pub(super) fn serve_names(
        &self,
        record: &Container,
        endpoints: &BTreeMap<String, Endpoint>,
        space: &NetworkSpace,
    ) -> Result<()> {
        self.enter_names(record, endpoints);
        self.ports.networks.serve_names(&record.id, space)
    }

    /// Enters what a container is called, and who is asked for other names.
    fn enter_names(&self, record: &Container, endpoints: &BTreeMap<String, Endpoint>) {
        let networks: Vec<_> = in_order(endpoints)
            .into_iter()
            .filter_map(|name| {
                let endpoint = endpoints.get(&name)?;
                Some((self.network(&endpoint.network).ok()?, endpoint.assigned.as_ref()?, endpoint))
            })
            .collect();
        let places: Vec<Place<'_>> =
            networks.iter().map(|(network, assigned, endpoint)| (&**network, *assigned, *endpoint)).collect();
        let reaches_out = places.iter().any(|(network, ..)| network.leads_out());
        self.ports.names.put(record, &places, self.upstreams(record, reaches_out));
    }

    fn upstreams(&self, record: &Container, reaches_out: bool) -> Upstreams {
        let settings = self.settings();
        let given = files::chosen(&record.host_config.dns, &settings.dns);
        let given: Vec<_> = given.iter().filter_map(|address| address.parse().ok()).collect();
        let servers = match (given.is_empty(), reaches_out) {
            (false, _) => Servers::Given(given),
            (true, true) => Servers::Host,
            (true, false) => Servers::Nobody,
        };
        let options = files::chosen(&record.host_config.dns_options, &settings.dns_options);
        let dots = files::dots(&options, &self.resolv_conf_of_host().unwrap_or_default());
        Upstreams { servers, dotted_only: dots.is_some_and(|dots| dots != 0) }
    }

    fn resolv_conf_of_host(&self) -> Result<String> {
        let read = self.ports.host.read_file(Path::new("/etc/resolv.conf"), LONGEST)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&read).into_owned())
    }

    /// Enters it again after a change, when it runs.
    pub(crate) fn rename_in_networks(&self, record: &Container) {
        if record.state.running().is_some() {
            self.enter_names(record, &record.networks);
        }
    }

    /// Takes back what was opened for a container.
    pub(super) fn stop_names(&self, record: &Container) {
        self.ports.names.remove(&record.id);
        self.ports.networks.stop_names(&record.id);
    }

    /// Opens it for a container that came to its first network with names, and tells it where it is, unless somebody
    /// wrote a resolv.conf of his own there.
    pub(super) fn begin_names(&self, record: &Container, space: &NetworkSpace) -> Result<()> {
        let facts = self.gather(record)?;
        let (file, text) = self.own_resolv_conf(record)?;
        if text != files::resolv_conf(record, &facts) || !self.needs_names(record, &record.networks)? {
            return Ok(());
        }
        self.serve_names(record, &record.networks, space)?;
        let served = files::resolv_conf(record, &Facts { own_server: true, ..facts });
        self.ports.host.write_file(&file, served.as_bytes())
    }

    fn own_resolv_conf(&self, record: &Container) -> Result<(PathBuf, String)> {
        let file = self.ports.snapshots.directory(&record.id).join("resolv.conf");
        let text = self.ports.host.read_file(&file, LONGEST)?.unwrap_or_default();
        Ok((file, String::from_utf8_lossy(&text).into_owned()))
    }

    /// Opens it for those of these containers that an earlier engine served, side by side and while this one answers
    /// already: with a table that is not right, each waits for the kernel.
    pub(super) fn serve_names_again(self: &Arc<Self>, running: &[Arc<Container>]) {
        let served = running.iter().filter(|record| self.was_served(record)).cloned();
        let served: Vec<Arc<Container>> = served.collect();
        // All are known before the first can ask: about what is not known, servers elsewhere are asked.
        served.iter().for_each(|record| self.enter_names(record, &record.networks));
        let threads = served.len().min(SIDE_BY_SIDE);
        let left = Arc::new(Mutex::new(served.into_iter()));
        for _ in 0..threads {
            let (engine, left) = (Arc::clone(self), Arc::clone(&left));
            tokio::task::spawn_blocking(move || engine.serve_each(&left));
        }
    }

    fn serve_each(&self, left: &Mutex<impl Iterator<Item = Arc<Container>>>) {
        let next = || lock(left).next().filter(|_| !self.is_shutting_down());
        while let Some(record) = next() {
            if let Err(error) = self.serve_again(&record) {
                tracing::error!(container = record.id.short(), "serve names again: {}", error.report());
            }
        }
    }

    fn was_served(&self, record: &Container) -> bool {
        let text = (!record.networks.is_empty()).then(|| self.own_resolv_conf(record)).transpose();
        let text = text.unwrap_or_else(|error| {
            tracing::error!(container = record.id.short(), "who served it names: {}", error.report());
            None
        });
        text.is_some_and(|(_, text)| files::names_own_server(&text))
    }

    fn serve_again(&self, record: &Container) -> Result<()> {
        let Ok(entry) = self.container(record.id.as_str()) else { return Ok(()) };
        let _turn = entry.turn();
        // It has ended since, or somebody has started it anew, and that served it.
        if entry.record().state.running() != record.state.running() {
            return Ok(());
        }
        let space = self.space_of_running(record)?;
        self.ports.networks.serve_names(&record.id, &space)
    }
}
