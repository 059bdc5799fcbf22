//! `--link`: what a container on the default network knows of others there. In networks of users a link is one more
//! name, which the [`directory`](super::directory) has.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use dhow_model::network::{Endpoint, EndpointSettings};
use dhow_model::{Container, Error, Result};

use super::check::check_settings;
use super::ports;
use crate::Engine;
use crate::plan::files;

/// What a container is told of another: lines of /etc/hosts, and variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Linked {
    /// Lines of /etc/hosts.
    pub hosts: String,
    /// `KEY=value`.
    pub variables: Vec<String>,
}

/// Reads `container`, `container:alias` or what an inspection shows, `/container:/of/alias`.
///
/// # Errors
/// In Docker's words.
fn parse(link: &str) -> Result<(&str, &str)> {
    if link.is_empty() {
        return Err(Error::invalid("empty string specified for links"));
    }
    let wrong = || Error::invalid(format!("bad format for links: {link}"));
    let (name, alias) = link.split_once(':').unwrap_or((link, link));
    let name = name.trim_start_matches('/');
    let alias = alias.rsplit('/').next().unwrap_or_default();
    if name.is_empty() || alias.is_empty() || alias.contains([':', ' ', '\n']) {
        return Err(wrong());
    }
    Ok((name, alias))
}

impl Engine {
    /// The networks that a new container is in: that of its mode, and those that are asked for; with the links that
    /// it asked for.
    ///
    /// # Errors
    /// In Docker's words: settings that a network refuses, ports and links that are none.
    pub(crate) fn endpoints(
        &self,
        record: &mut Container,
        asked: BTreeMap<String, EndpointSettings>,
    ) -> Result<()> {
        ports::wanted(&record.config, &record.host_config)?;
        let Some(name) = Self::network_of_mode(&record.host_config.network_mode) else { return Ok(()) };
        let named =
            |name: &str| self.network(name).map_or_else(|_| name.to_owned(), |network| network.name.clone());
        let own = named(name);
        record.networks.insert(own.clone(), Endpoint::default());
        for (name, settings) in asked {
            let name = named(Self::network_of_mode(&name).unwrap_or(&name));
            record.networks.entry(name).or_default().settings = settings;
        }
        self.take_links(record, &own)?;
        for (name, endpoint) in &record.networks {
            if let Ok(network) = self.network(name) {
                check_settings(&network, &endpoint.settings)?;
            }
        }
        Ok(())
    }

    fn take_links(&self, record: &mut Container, own: &str) -> Result<()> {
        let links = record.host_config.links.clone().unwrap_or_default();
        let mut read: Vec<(&str, &str)> = links.iter().map(|link| parse(link)).collect::<Result<_>>()?;
        if !dhow_model::network::is_built_in(own) {
            let endpoint = record.networks.entry(own.to_owned()).or_default();
            let all = endpoint.settings.links.get_or_insert_default();
            all.extend(read.drain(..).map(|(name, alias)| format!("{name}:{alias}")));
            Arc::make_mut(&mut record.host_config).links = None;
            return Ok(());
        }
        let mut kept = Vec::new();
        for (name, alias) in read {
            // A name may be another's later.
            kept.push(format!("{}:{alias}", self.link_target(name)?.id));
        }
        if record.host_config.links.is_some() {
            Arc::make_mut(&mut record.host_config).links = Some(kept);
        }
        Ok(())
    }

    /// Who a link leads to: whose network the container of that name is in.
    fn link_target(&self, name: &str) -> Result<Arc<Container>> {
        let get = |name: &str| {
            let told = |error: Error| {
                Error::invalid(format!("could not get container for {name}: {}", error.report()))
            };
            self.container(name).map(|entry| entry.record()).map_err(told)
        };
        let mut other = get(name)?;
        while let Some(donor) = other.host_config.network_donor() {
            other = get(donor)?;
        }
        if other.host_config.network_mode == "host" {
            return Err(Error::invalid(
                "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
            ));
        }
        Ok(other)
    }

    /// Old links as an inspection shows them, `/container:/of/alias`; those to containers that are gone are gone.
    #[must_use]
    pub fn shown_links(&self, record: &Container) -> Vec<String> {
        let show =
            |(other, alias): (Arc<Container>, &str)| format!("/{}:/{}/{alias}", other.name, record.name);
        self.old_links(record).map(show).collect()
    }

    /// What containers are called beside their own names, by those that are linked to them: `PARENT/ALIAS`, by id.
    #[must_use]
    pub fn link_names(&self) -> HashMap<String, Vec<String>> {
        let mut names: HashMap<String, Vec<String>> = HashMap::new();
        for record in self.containers() {
            for (id, alias) in record.host_config.old_links() {
                names.entry(id.to_owned()).or_default().push(format!("{}/{alias}", record.name));
            }
        }
        names
    }

    fn old_links<'a>(&self, record: &'a Container) -> impl Iterator<Item = (Arc<Container>, &'a str)> {
        let links = record.host_config.old_links();
        links.filter_map(|(id, alias)| Some((self.container(id).ok()?.record(), alias)))
    }

    /// Takes a link away that is known as `CONTAINER/ALIAS`; neither container goes.
    ///
    /// # Errors
    /// In Docker's words: the name of a container alone, or of no link.
    pub fn remove_link(&self, name: &str) -> Result<()> {
        let unknown = || Error::not_found(format!("No such container: {name}"));
        let Some((parent, alias)) = name.trim_start_matches('/').rsplit_once('/') else {
            self.container(name)?;
            return Err(Error::internal("Conflict, cannot remove the default link name of the container"));
        };
        let entry = self.container(parent).map_err(|_| unknown())?;
        let _turn = entry.turn();
        let record = entry.record();
        let (other, _) = self.old_links(&record).find(|(_, known)| *known == alias).ok_or_else(unknown)?;
        let gone = format!("{}:{alias}", other.id);
        entry.change(&self.ports, |record| {
            if let Some(links) = Arc::make_mut(&mut record.host_config).links.as_mut() {
                links.retain(|link| *link != gone);
            }
        })?;
        if record.state.running().is_some() {
            let names = names_of(&other, alias);
            let told = self.change_hosts(&record, &[], |line| is_of(line, &names));
            told.unwrap_or_else(|error| tracing::warn!(container = record.id.short(), "{}", error.report()));
        }
        Ok(())
    }

    /// What a container that is started is told of those that it is linked to.
    ///
    /// # Errors
    /// In Docker's words: one does not run.
    pub(crate) fn linked(&self, record: &Container) -> Result<Linked> {
        let mut linked = Linked::default();
        for (other, alias) in self.old_links(record) {
            let assigned = other.networks.get("bridge").and_then(|endpoint| endpoint.assigned.as_ref());
            let address = assigned.and_then(|assigned| assigned.addresses().next()).ok_or_else(|| {
                let place = format!("/{} AS /{}/{alias}", other.name, record.name);
                Error::invalid(format!("Cannot link to a non running container: {place}"))
            })?;
            linked.hosts.push_str(&files::host_line(address, &names_of(&other, alias)));
            linked.variables.extend(variables(record, alias, &other, address));
        }
        Ok(linked)
    }
}

impl Engine {
    /// Tells containers that run and are linked to one that is started which address it has now.
    pub(crate) fn tell_linking(&self, started: &Container) {
        let assigned = started.networks.get("bridge").and_then(|endpoint| endpoint.assigned.as_ref());
        let Some(address) = assigned.and_then(|assigned| assigned.addresses().next()) else { return };
        for record in self.registry.all().into_iter().map(|entry| entry.record()) {
            if record.host_config.links.is_none() || record.state.running().is_none() {
                continue;
            }
            let own = self.old_links(&record).filter(|(other, _)| other.id == started.id);
            for names in own.map(|(other, alias)| names_of(&other, alias)) {
                let line = files::host_line(address, &names);
                let old = |line: &str| is_of(line, &names);
                if let Err(error) = self.change_hosts(&record, &[line], old) {
                    tracing::warn!(
                        container = record.id.short(),
                        "tell where a link leads: {}",
                        error.report()
                    );
                }
            }
        }
    }
}

/// Whether a line of /etc/hosts is for these names.
fn is_of(line: &str, names: &str) -> bool {
    line.split_once('\t').is_some_and(|(_, of)| of.trim_end() == names)
}

/// What /etc/hosts calls a container that another is linked to.
fn names_of(other: &Container, alias: &str) -> String {
    [alias, other.config.hostname.as_str(), &other.name.to_string()].join(" ")
}

/// What programs of the first years of Docker look for.
fn variables(record: &Container, alias: &str, other: &Container, address: IpAddr) -> Vec<String> {
    let prefix = alias.to_uppercase().replace('-', "_");
    let mut all = vec![format!("{prefix}_NAME=/{}/{alias}", record.name)];
    let mut exposed: Vec<(u16, String)> =
        other.config.exposed_ports.keys().filter_map(|key| ports::port_of(key).ok()).collect();
    exposed.sort();
    if let Some((port, protocol)) = exposed.first() {
        all.push(format!("{prefix}_PORT={protocol}://{address}:{port}"));
    }
    for (port, protocol) in exposed {
        let key = format!("{prefix}_PORT_{port}_{}", protocol.to_uppercase());
        all.push(format!("{key}={protocol}://{address}:{port}"));
        all.push(format!("{key}_ADDR={address}"));
        all.push(format!("{key}_PORT={port}"));
        all.push(format!("{key}_PROTO={protocol}"));
    }
    let own = other.config.env.iter().filter(|pair| !pair.starts_with("HOME=") && !pair.starts_with("PATH="));
    all.extend(own.map(|pair| format!("{prefix}_ENV_{pair}")));
    all
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn links_are_read_as_they_are_asked_for_and_shown() {
        for (link, name, alias) in
            [("db", "db", "db"), ("db:data", "db", "data"), ("/db:/web/data", "db", "data")]
        {
            assert_eq!(parse(link).unwrap(), (name, alias), "{link}");
        }
        assert_eq!(parse("").unwrap_err().to_string(), "empty string specified for links");
        for link in [":", "db:", ":data", "db:a b"] {
            let error = parse(link).unwrap_err().to_string();
            assert_eq!(error, format!("bad format for links: {link}"));
        }
    }
}
