//! The default network: what the engine's flags say of it, and addresses that are chosen once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use dhow_model::network::{Driver, Network, Pool, Prefix};
use dhow_model::{Error, Result, Timestamp};

use super::assign::USUAL_MTU;
use super::{Known, NetworkRequest, pools};
use crate::Engine;
use crate::registry::lock;

/// What flags say of the default network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefaultNetwork {
    /// There is none.
    pub absent: bool,
    /// A bridge that somebody made for it.
    pub bridge: Option<String>,
    /// Its addresses of version 4.
    pub four: Block,
    /// Its addresses of version 6.
    pub six: Block,
    /// It has addresses of version 6.
    pub ipv6: bool,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

/// What is said of its addresses of one version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    /// The bridge's, with the bits of the network.
    pub address: Option<Prefix>,
    /// Where containers get theirs from.
    pub range: Option<Prefix>,
    /// Their way out, where it is not the bridge.
    pub gateway: Option<IpAddr>,
}

impl Block {
    /// The pool: what is said, then what there was, then what is chosen.
    fn pool(&self, before: Option<&Pool>, choose: impl FnOnce() -> Result<Prefix>) -> Result<Pool> {
        let kept = before.filter(|pool| self.range.is_none_or(|range| pool.subnet.covers(range)));
        let kept = kept.and_then(|pool| Some(Prefix::new(pool.gateway?, pool.subnet.length)));
        let (subnet, gateway) = match (self.address.or(kept), self.range) {
            (Some(address), _) => (address.network(), Some(address.address)),
            (None, Some(range)) => (range.network(), None),
            (None, None) => (choose()?, None),
        };
        let gateway = gateway.filter(|gateway| *gateway != subnet.address);
        let version = if subnet.is_six() { 6 } else { 4 };
        let other = self.gateway.filter(|other| Some(*other) != gateway);
        let reserved = other.map(|other| (format!("DefaultGatewayIPv{version}"), other));
        pools::complete(Pool { subnet, range: self.range, gateway, reserved: reserved.into_iter().collect() })
    }
}

impl Engine {
    /// Makes the default network what the flags say. While containers are in it that were left running, it stays what
    /// it was.
    ///
    /// # Errors
    /// What the flags say and cannot be.
    pub(crate) fn settle_default(&self) -> Result<()> {
        let said = self.settings().default_network.clone();
        let Ok(network) = self.network("bridge") else { return Ok(()) };
        if !self.network_members(&network).is_empty() {
            return Ok(());
        }
        if said.absent {
            lock(&self.networks).networks.remove(&network.id);
            return Ok(());
        }
        match self.make_default(&network) {
            Err(error) if said == DefaultNetwork::default() => {
                // The first container in it is told.
                tracing::warn!("choose addresses of the default network: {}", error.report());
                Ok(())
            }
            made => made.map(drop),
        }
    }

    /// Gives the default network its addresses, when it has none yet.
    pub(super) fn complete_default(&self, network: &Arc<Network>) -> Result<Arc<Network>> {
        if network.driver != Driver::Bridge || !network.pools.is_empty() {
            return Ok(Arc::clone(network));
        }
        self.make_default(network)
    }

    /// Gives a network whose addresses were the engine's choice others, which nobody else on the host has.
    pub(super) fn choose_again(&self, network: &Arc<Network>) -> Result<Arc<Network>> {
        let mut without = (**network).clone();
        without.pools.clear();
        lock(&self.networks).addresses.remove(&network.id);
        if network.is_built_in() {
            return self.make_default(&Arc::new(without));
        }
        let host = self.ports.networks.used_by_host()?;
        let host: Vec<Prefix> = host.into_iter().map(|(prefix, _)| prefix).collect();
        let request =
            NetworkRequest { ipv4: Some(network.ipv4), ipv6: Some(network.ipv6), ..Default::default() };
        let mut known = lock(&self.networks);
        without.pools = self.pools(&known, &request, (&without, &host))?;
        self.ports.records.put_network(&without)?;
        let network = Arc::new(without);
        known.networks.insert(network.id.clone(), Arc::clone(&network));
        Ok(network)
    }

    fn make_default(&self, before: &Arc<Network>) -> Result<Arc<Network>> {
        let host = self.ports.networks.used_by_host()?;
        let said = self.default_on(&host)?;
        let mut known = lock(&self.networks);
        let mut network = (**before).clone();
        network.pools = self.default_pools(&known, &said, (before, &host))?;
        network.chosen = [&said.four, &said.six].iter().all(|block| **block == Block::default());
        network.ipv6 = said.ipv6;
        network.options = usual_options(&self.settings().bridge());
        network.options.extend(said.options);
        if network == **before {
            return Ok(Arc::clone(before));
        }
        if before.created == Timestamp::NEVER {
            network.created = Timestamp::now();
        }
        if !before.pools.is_empty() {
            // What it had is on the bridge still. Nobody is in it: a bridge that is gone is made again.
            self.ports.networks.take_down(before)?;
        }
        self.ports.records.put_network(&network)?;
        let network = Arc::new(network);
        known.networks.insert(network.id.clone(), Arc::clone(&network));
        known.ready.remove(&network.id);
        Ok(network)
    }

    /// What is said; a bridge of somebody else says its addresses itself.
    fn default_on(&self, host: &[(Prefix, String)]) -> Result<DefaultNetwork> {
        let mut said = self.settings().default_network.clone();
        let Some(bridge) = &said.bridge else { return Ok(said) };
        if !self.ports.networks.has_bridge(bridge)?.unwrap_or(false) {
            let words = format!("bridge device with non default name {bridge} must be created manually");
            return Err(Error::invalid(words));
        }
        let own = |six: bool| {
            let mut own = host.iter().filter(|(prefix, link)| link == bridge && prefix.is_six() == six);
            own.find(|(prefix, _)| *prefix != prefix.network()).map(|(prefix, _)| *prefix)
        };
        said.four.address = said.four.address.or(own(false));
        said.six.address = said.six.address.or(own(true).filter(|_| said.ipv6));
        Ok(said)
    }

    fn default_pools(
        &self,
        known: &Known,
        said: &DefaultNetwork,
        (before, host): (&Network, &[(Prefix, String)]),
    ) -> Result<Vec<Pool>> {
        let settings = self.settings();
        let bridge = settings.bridge();
        let others: Vec<Prefix> =
            known.pools().filter(|(id, _)| *id != before.id).map(|(_, p)| p.subnet).collect();
        let not_own = host.iter().filter(|(_, link)| *link != bridge).map(|(prefix, _)| *prefix);
        let used: Vec<Prefix> = others.iter().copied().chain(not_own).collect();
        let free = |usual: &Prefix| !used.iter().any(|used| used.overlaps(*usual));
        let choose = || match pools::OF_BRIDGE.parse().ok().filter(free) {
            Some(usual) => Ok(usual),
            None => pools::choose(&settings.address_pools, &used),
        };
        let of = |six: bool| before.pools.iter().find(|pool| pool.subnet.is_six() == six);
        let mut found = vec![said.four.pool(of(false), choose)?];
        if said.ipv6 {
            found.push(said.six.pool(of(true), || Ok(self.local_block()))?);
        }
        let overlaps = |pool: &Pool| others.iter().any(|other| other.overlaps(pool.subnet));
        if found.iter().any(overlaps) {
            let words = "invalid pool request: Pool overlaps with other one on this address space";
            return Err(Error::forbidden(words));
        }
        Ok(found)
    }
}

/// As Docker lists them.
fn usual_options(bridge: &str) -> BTreeMap<String, String> {
    let options = [
        ("bridge.default_bridge", "true"),
        ("bridge.enable_icc", "true"),
        ("bridge.enable_ip_masquerade", "true"),
        ("bridge.host_binding_ipv4", "0.0.0.0"),
        ("bridge.name", bridge),
        ("driver.mtu", &USUAL_MTU.to_string()),
    ];
    options.map(|(name, value)| (format!("com.docker.network.{name}"), value.to_owned())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Option<Prefix> {
        Some(text.parse().unwrap())
    }

    fn pool(block: &Block, before: Option<&Pool>) -> Result<Pool> {
        block.pool(before, || Ok("172.17.0.0/16".parse().unwrap()))
    }

    #[test]
    fn what_is_said_goes_before_what_was_and_that_before_what_is_chosen() {
        let chosen = pool(&Block::default(), None).unwrap();
        assert_eq!((chosen.subnet.to_string().as_str(), chosen.range), ("172.17.0.0/16", None));
        let said = Block { address: prefix("10.9.0.5/24"), range: prefix("10.9.0.128/25"), gateway: None };
        let said = pool(&said, Some(&chosen)).unwrap();
        assert_eq!(said.subnet.to_string(), "10.9.0.0/24");
        assert_eq!(said.gateway.unwrap().to_string(), "10.9.0.5");
        // Who says nothing any more keeps the addresses, and all of them.
        let kept = pool(&Block::default(), Some(&said)).unwrap();
        assert_eq!((kept.subnet, kept.gateway, kept.range), (said.subnet, said.gateway, None));
        let range = Block { range: prefix("10.8.0.0/24"), ..Block::default() };
        assert_eq!(pool(&range, Some(&said)).unwrap().subnet.to_string(), "10.8.0.0/24");
    }

    #[test]
    fn another_way_out_is_kept_free() {
        let gateway = Some("10.9.0.9".parse().unwrap());
        let said = Block { address: prefix("10.9.0.1/24"), range: None, gateway };
        let pool = pool(&said, None).unwrap();
        assert_eq!((pool.way_out(), pool.gateway.unwrap().to_string().as_str()), (gateway, "10.9.0.1"));
        let outside = Block { gateway: Some("10.8.0.9".parse().unwrap()), ..said };
        assert!(outside.pool(None, || unreachable!()).is_err());
    }
}
