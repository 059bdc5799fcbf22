//! `update` of what connects a container: ports that it publishes, and networks that it is in.

use std::collections::{BTreeMap, BTreeSet};

use dhow_model::container::HostConfig;
use dhow_model::network::EndpointSettings;
use dhow_model::{Error, Result};

use super::republish::{PortChange, PortsBefore};
use crate::Engine;

/// What an update changes; what it says nothing about stays.
#[derive(Debug, Default)]
pub struct Update {
    /// Limits and the restart policy.
    pub limits: HostConfig,
    /// What is published.
    pub ports: Option<PortChange>,
    /// Networks that it comes into, by name or id. One that it is taken out of as well is connected anew.
    pub connect: BTreeMap<String, EndpointSettings>,
    /// Networks that it is taken out of.
    pub disconnect: BTreeSet<String>,
}

/// A step of an update that was done, by what undoes it.
enum Undo {
    Disconnect(String),
    Connect(String, EndpointSettings),
    Ports(PortsBefore),
}

impl Engine {
    /// Changes a container, also while it runs. What the user should know is answered.
    ///
    /// Networks come before others go, so that a container that moves is never without one.
    ///
    /// # Errors
    /// In Docker's words: a wrong value, a network that it is not in, a port that is taken. Then everything is as it
    /// was; only a network that it was to be taken out of may have given it another address.
    pub fn update_container(&self, text: &str, mut update: Update) -> Result<Vec<String>> {
        let warnings = self.check_limits(&mut update.limits)?;
        let id = self.container(text)?.record().id.to_string();
        let mut done = Vec::new();
        let updated = self
            .update_connections(&id, &update, &mut done)
            .and_then(|()| self.update_limits(&id, &update.limits));
        if updated.is_err() {
            done.into_iter().rev().for_each(|step| self.undo_step(&id, step));
        }
        updated.map(|()| warnings)
    }

    fn update_connections(&self, id: &str, update: &Update, done: &mut Vec<Undo>) -> Result<()> {
        let gone = self.settings_of(id, &update.disconnect)?;
        let mut come = BTreeMap::new();
        for (name, settings) in &update.connect {
            come.insert(self.network(name)?.name.clone(), settings);
        }
        let (anew, new): (BTreeMap<_, _>, _) =
            come.into_iter().partition(|(name, _)| gone.contains_key(name));
        for (name, settings) in new {
            self.connect_step(id, name, settings, done)?;
        }
        if let Some(change) = &update.ports {
            done.push(Undo::Ports(self.update_ports(id, change.clone())?));
        }
        for (name, settings) in gone {
            let gone = self.disconnect_network(&name, id, false);
            if !self.container(id)?.record().networks.contains_key(&name) {
                done.push(Undo::Connect(name, settings));
            }
            gone?;
        }
        anew.into_iter().try_for_each(|(name, settings)| self.connect_step(id, name, settings, done))
    }

    fn connect_step(
        &self,
        id: &str,
        name: String,
        settings: &EndpointSettings,
        done: &mut Vec<Undo>,
    ) -> Result<()> {
        self.connect_network(&name, id, settings.clone())?;
        done.push(Undo::Disconnect(name));
        Ok(())
    }

    /// What a container asked for in networks that it is to be taken out of.
    fn settings_of(
        &self,
        id: &str,
        networks: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, EndpointSettings>> {
        let record = self.container(id)?.record();
        let settings = networks.iter().map(|name| {
            let name = match self.network(name) {
                // One that was removed is known to the container alone.
                Err(_) if record.networks.contains_key(name) => name.clone(),
                found => found?.name.clone(),
            };
            let endpoint = record.networks.get(&name).ok_or_else(|| {
                let words = format!("container {} is not connected to network {name}", record.id);
                Error::forbidden(words)
            })?;
            Ok((name, endpoint.settings.clone()))
        });
        settings.collect()
    }

    fn undo_step(&self, id: &str, step: Undo) {
        let undone = match step {
            Undo::Disconnect(network) => self.disconnect_network(&network, id, false),
            Undo::Connect(network, settings) => self.connect_network(&network, id, settings),
            Undo::Ports(before) => self.update_ports(id, PortChange::Back(before)).map(drop),
        };
        if let Err(error) = undone {
            tracing::warn!(container = id, "undo an update: {}", error.report());
        }
    }
}
