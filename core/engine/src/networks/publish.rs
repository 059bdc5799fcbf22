//! Ports of the host that lead to a container: chosen, checked, and made to.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use dhow_model::network::{Assigned, Network, Published};
use dhow_model::ports::Publication;
use dhow_model::{Container, Error, Result};

use super::ports;
use super::republish::{PortChange, PortsBefore};
use crate::Engine;
use crate::registry::lock;

/// Ports of the host that lead to containers, with the addresses that they are published on.
#[derive(Debug, Default)]
pub(crate) struct HostPorts {
    taken: BTreeMap<(String, u16), Vec<IpAddr>>,
    /// The port that was chosen last.
    last: u16,
}

/// Ports that a running container had, and has.
struct Moved {
    network: Arc<Network>,
    before: Assigned,
    after: Assigned,
}

impl Engine {
    /// Publishes other ports of a container, also while it runs. Those that stay keep their port of the host, and
    /// their connections. The answer is what was published before, for who has to undo it.
    ///
    /// # Errors
    /// In Docker's words: what is no port, not published, or taken. Then everything is as it was.
    pub(super) fn update_ports(&self, text: &str, change: PortChange) -> Result<PortsBefore> {
        let entry = self.container(text)?;
        let _turn = entry.turn();
        let old = entry.record();
        let mut new = (*old).clone();
        let (bindings, preferred) = change.of(&old.host_config.port_bindings)?;
        Arc::make_mut(&mut new.host_config).port_bindings = bindings;
        ports::wanted(&new.config, &new.host_config)?;
        let moved = match new.state.running() {
            Some(_) => self.republish(&mut new, &preferred)?,
            None => None,
        };
        let recorded = entry.change(&self.ports, |record| {
            record.host_config = new.host_config;
            record.networks = new.networks;
        });
        if let Err(error) = recorded {
            if let Some(Moved { network, before, after }) = &moved {
                self.unpublish_ports(network, after);
                self.publish_again(network, before)?;
            }
            return Err(error);
        }
        let published = moved.map(|moved| moved.before.published).unwrap_or_default();
        Ok(PortsBefore { bindings: old.host_config.port_bindings.clone(), published })
    }

    /// Those that `preferred` names get that port of the host again, where nobody says another.
    fn republish(&self, record: &mut Container, preferred: &[Published]) -> Result<Option<Moved>> {
        let Some((name, network)) = self.way_out(&record.networks) else { return Ok(None) };
        let endpoint = record.networks.get(&name).and_then(|endpoint| endpoint.assigned.clone());
        let Some(before) = endpoint else { return Ok(None) };
        self.unpublish_ports(&network, &before);
        let mut after = before.clone();
        after.published.extend_from_slice(preferred);
        if let Err(error) = self.publish_ports(record, &network, &mut after) {
            self.publish_again(&network, &before)?;
            return Err(error);
        }
        if let Some(endpoint) = record.networks.get_mut(&name) {
            endpoint.assigned = Some(after.clone());
        }
        Ok(Some(Moved { network, before, after }))
    }

    /// Puts ports back that were taken away for others that could not be had.
    pub(super) fn publish_again(&self, network: &Network, before: &Assigned) -> Result<()> {
        before.published.iter().for_each(|published| lock(&self.networks).ports.hold(published));
        self.ports.networks.publish(&publication(network, before))
    }

    /// Makes the ports that were asked for lead to the container, in place of those that it had: where nobody says
    /// which, it gets those again.
    pub(super) fn publish_ports(
        &self,
        record: &Container,
        network: &Network,
        assigned: &mut Assigned,
    ) -> Result<()> {
        let before = std::mem::take(&mut assigned.published);
        let mut wanted = ports::wanted(&record.config, &record.host_config)?;
        if wanted.is_empty() {
            return Ok(());
        }
        ports::prefer(&mut wanted, &before);
        let refused = |error: Error| {
            let words = format!(
                "driver failed programming external connectivity on endpoint {} ({})",
                record.name, assigned.id
            );
            Error::new(error.kind(), format!("{words}: {}", error.report()))
        };
        assigned.published = ports::joined(self.choose_ports(&wanted, network, assigned).map_err(refused)?);
        self.ports.networks.publish(&publication(network, assigned)).map_err(|error| {
            lock(&self.networks).give_back_ports(&std::mem::take(&mut assigned.published));
            refused(error)
        })
    }

    /// Takes published ports back; what fails is logged, and found again by the next engine.
    pub(super) fn unpublish_ports(&self, network: &Network, assigned: &Assigned) {
        if assigned.published.is_empty() {
            return;
        }
        if let Err(error) = self.ports.networks.unpublish(&publication(network, assigned)) {
            tracing::warn!(network = network.name, "take back published ports: {}", error.report());
        }
        lock(&self.networks).give_back_ports(&assigned.published);
    }

    fn choose_ports(
        &self,
        wanted: &[ports::Wanted],
        network: &Network,
        assigned: &Assigned,
    ) -> Result<Vec<Published>> {
        let usual = network.options.get("com.docker.network.bridge.host_binding_ipv4");
        // That of version 4 for all stands for those of both, as Docker's default network has it.
        let usual =
            usual.and_then(|address| address.parse().ok()).filter(|host| *host != Ipv4Addr::UNSPECIFIED);
        let free = |protocol: &str, host, port| self.ports.networks.check_port(protocol, host, port);
        let mut known = lock(&self.networks);
        let mut chosen = Vec::new();
        for want in wanted {
            let hosts = ports::hosts(want, usual, (assigned.ipv4.is_some(), assigned.ipv6.is_some()));
            let port = known.ports.choose(want, &hosts, &free).inspect_err(|_| {
                known.give_back_ports(&chosen);
            })?;
            chosen.extend(hosts.into_iter().map(|host| Published {
                protocol: want.protocol.clone(),
                host,
                host_port: port,
                port: want.port,
                count: 1,
            }));
        }
        Ok(chosen)
    }
}

/// What tells whether a program of the host has a port: protocol, address, port.
type Free<'a> = &'a dyn Fn(&str, IpAddr, u16) -> Result<()>;

impl HostPorts {
    /// Notes ports that lead to a container.
    pub(super) fn hold(&mut self, published: &Published) {
        for port in each(published) {
            self.taken.entry((published.protocol.clone(), port)).or_default().push(published.host);
        }
    }

    /// Forgets them.
    pub(super) fn give_back(&mut self, published: &Published) {
        for port in each(published) {
            let key = (published.protocol.clone(), port);
            if let Some(hosts) = self.taken.get_mut(&key) {
                hosts.retain(|host| *host != published.host);
                if hosts.is_empty() {
                    self.taken.remove(&key);
                }
            }
        }
    }

    /// Takes a port on all of these addresses.
    fn choose(&mut self, wanted: &ports::Wanted, hosts: &[IpAddr], free: Free<'_>) -> Result<u16> {
        let next = self.last.checked_add(1).filter(|port| ports::ANY_PORT.contains(port));
        let next = next.unwrap_or(*ports::ANY_PORT.start());
        let candidates: Box<dyn Iterator<Item = u16>> = match &wanted.host_ports {
            Some(range) => Box::new(range.clone()),
            None => Box::new((next..=*ports::ANY_PORT.end()).chain(*ports::ANY_PORT.start()..next)),
        };
        let mut refusal = None;
        for port in candidates {
            match self.check(wanted, hosts, port, free) {
                Ok(()) => {
                    if wanted.host_ports.is_none() {
                        self.last = port;
                    }
                    self.taken.entry((wanted.protocol.clone(), port)).or_default().extend(hosts);
                    return Ok(port);
                }
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.unwrap_or_else(|| Error::internal("all ports are allocated")))
    }

    /// A port of all addresses is in the way of one address, and the other way round.
    fn check(&self, wanted: &ports::Wanted, hosts: &[IpAddr], port: u16, free: Free<'_>) -> Result<()> {
        let taken = self.taken.get(&(wanted.protocol.clone(), port)).map_or(&[][..], Vec::as_slice);
        let collide = |a: IpAddr, b: IpAddr| {
            a == b || (a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified()))
        };
        for host in hosts {
            let place = std::net::SocketAddr::new(*host, port);
            if taken.iter().any(|other| collide(*other, *host)) {
                return Err(Error::internal(format!("Bind for {place} failed: port is already allocated")));
            }
            free(&wanted.protocol, *host, port).map_err(|error| {
                let words = format!("failed to bind host port {place}/{}", wanted.protocol);
                Error::internal(format!("{words}: {}", error.report()))
            })?;
        }
        Ok(())
    }
}

fn each(published: &Published) -> std::ops::RangeInclusive<u16> {
    published.host_port..=published.host_port.saturating_add(published.count.saturating_sub(1))
}

/// What a container publishes in a network.
pub(super) fn publication(network: &Network, assigned: &Assigned) -> Publication {
    Publication {
        bridge: network.bridge(),
        ipv4: assigned.ipv4.map(|prefix| prefix.address),
        ipv6: assigned.ipv6.map(|prefix| prefix.address),
        ports: assigned.published.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(host_ports: Option<std::ops::RangeInclusive<u16>>) -> ports::Wanted {
        ports::Wanted { protocol: "tcp".into(), port: 80, host: None, host_ports }
    }

    fn all() -> [IpAddr; 1] {
        ["0.0.0.0".parse().unwrap()]
    }

    #[test]
    fn a_port_is_one_containers() {
        let mut ports = HostPorts::default();
        let mut choose = |hosts: &[IpAddr]| ports.choose(&wanted(Some(80..=80)), hosts, &|_, _, _| Ok(()));
        assert_eq!(choose(&all()).unwrap(), 80);
        for host in ["0.0.0.0", "127.0.0.1"] {
            let error = choose(&[host.parse().unwrap()]).unwrap_err();
            assert_eq!(error.to_string(), format!("Bind for {host}:80 failed: port is already allocated"));
        }
        assert_eq!(choose(&["::".parse().unwrap()]).unwrap(), 80);
    }

    #[test]
    fn what_the_host_uses_is_stepped_over_where_there_is_a_choice() {
        let mut ports = HostPorts::default();
        let free = |_: &str, _, port: u16| match port % 2 {
            0 => Err(Error::conflict("address already in use")),
            _ => Ok(()),
        };
        assert_eq!(ports.choose(&wanted(None), &all(), &free).unwrap(), 32_769);
        assert_eq!(ports.choose(&wanted(None), &all(), &free).unwrap(), 32_771);
        assert_eq!(ports.choose(&wanted(Some(8000..=8002)), &all(), &free).unwrap(), 8001);
        let error = ports.choose(&wanted(Some(8000..=8000)), &all(), &free).unwrap_err();
        assert_eq!(error.to_string(), "failed to bind host port 0.0.0.0:8000/tcp: address already in use");
    }

    #[test]
    fn what_is_given_back_is_free() {
        let mut ports = HostPorts::default();
        let range = Published {
            protocol: "tcp".into(),
            host: "127.0.0.1".parse().unwrap(),
            host_port: 80,
            port: 80,
            count: 3,
        };
        ports.hold(&range);
        let choose = |ports: &mut HostPorts| ports.choose(&wanted(Some(82..=82)), &all(), &|_, _, _| Ok(()));
        assert!(choose(&mut ports).is_err());
        ports.give_back(&range);
        assert_eq!(choose(&mut ports).unwrap(), 82);
    }
}
