//! A new network: its addresses are chosen or checked, and it is recorded.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use dhow_model::network::{self, Driver, Network, Pool, Prefix};
use dhow_model::{ContainerId, Error, Kind, Result, Timestamp};

use super::{Known, built_in, configuration, is_link_name, options, pools, without_record};
use crate::Engine;
use crate::registry::lock;

/// Names the bridge; it may be there already.
const BRIDGE_NAME: &str = "com.docker.network.bridge.name";

/// What a client asks for.
#[derive(Debug, Clone, Default)]
pub struct NetworkRequest {
    /// Its name.
    pub name: String,
    /// `bridge`, `macvlan`, `ipvlan`; empty is the first.
    pub driver: String,
    /// Nothing of it reaches the world.
    pub internal: bool,
    /// Shown back.
    pub attachable: bool,
    /// Addresses of version 4; yes, unless it says no.
    pub ipv4: Option<bool>,
    /// Addresses of version 6; no, unless it says yes.
    pub ipv6: Option<bool>,
    /// `default`; empty is the same.
    pub ipam_driver: String,
    /// Its blocks of addresses; those that are missing are chosen.
    pub pools: Vec<Pool>,
    /// Options of the address management.
    pub ipam_options: Option<BTreeMap<String, String>>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Free pairs.
    pub labels: BTreeMap<String, String>,
    /// It keeps settings for others, and nobody is in it.
    pub config_only: bool,
    /// The network that keeps its settings.
    pub config_from: String,
}

impl Engine {
    /// Makes a network. Its bridge is made when the first container is started in it.
    ///
    /// # Errors
    /// In Docker's words: a name that is taken, addresses that overlap, an option that is none.
    pub fn create_network(&self, mut request: NetworkRequest) -> Result<Arc<Network>> {
        network::check_name(&request.name)?;
        if network::is_built_in(&request.name) || request.name == "default" {
            let words = format!("operation is not permitted on predefined {} network", request.name);
            return Err(Error::forbidden(words));
        }
        if request.config_only {
            configuration::check(&request)?;
        }
        lock(&self.networks).take_configuration(&mut request)?;
        let driver = check(&mut request)?;
        self.add_default_options(&mut request);
        let used_by_host = self.ports.networks.used_by_host()?;
        let mut known = lock(&self.networks);
        if known.networks.values().any(|network| network.name == request.name) {
            return Err(Error::conflict(format!("network with name {} already exists", request.name)));
        }
        let used: Vec<Prefix> = used_by_host.iter().map(|(prefix, _)| *prefix).collect();
        let mut network = Network {
            id: ContainerId::from_random(self.ports.host.random()).to_string(),
            driver: if request.config_only { configuration::DRIVER } else { driver },
            created: Timestamp::now(),
            internal: request.internal,
            attachable: request.attachable,
            ipv4: request.ipv4.unwrap_or(true),
            ipv6: request.ipv6.unwrap_or(false) || request.pools.iter().any(|pool| pool.subnet.is_six()),
            pools: Vec::new(),
            name: request.name.clone(),
            ipam_options: request.ipam_options.clone(),
            options: request.options.clone(),
            labels: request.labels.clone(),
            chosen: request.pools.is_empty() && driver == Driver::Bridge,
            config_only: request.config_only,
            config_from: request.config_from.clone(),
        };
        if request.config_only {
            network.pools = request.pools;
        } else {
            options::check(&network)?;
            network.pools = self.pools(&known, &request, (&network, &used))?;
            check_host(&network, &used_by_host)?;
            check_bridge(&known, &network, &self.settings().bridge())?;
            self.check_link(&network)?;
            known.check_parent(&network)?;
        }
        self.ports.records.put_network(&network)?;
        let network = Arc::new(network);
        known.networks.insert(network.id.clone(), Arc::clone(&network));
        drop(known);
        self.make_parent(&network)?;
        self.tell_network(&network, "create", None);
        Ok(network)
    }

    /// What has the name of the bridge already is one.
    fn check_link(&self, network: &Network) -> Result<()> {
        let name = network.bridge();
        let named = network.driver == Driver::Bridge && network.options.contains_key(BRIDGE_NAME);
        if named && self.ports.networks.has_bridge(&name)? == Some(false) {
            return Err(Error::internal(format!("existing interface {name} is not a bridge")));
        }
        Ok(())
    }

    /// What the engine's flags say of new networks, where nobody says it of this one.
    fn add_default_options(&self, request: &mut NetworkRequest) {
        let driver = if request.driver.is_empty() { "bridge" } else { &request.driver };
        let settings = self.settings();
        let usual = settings.network_options.get(driver).filter(|_| !request.config_only);
        for (option, value) in usual.into_iter().flatten() {
            request.options.entry(option.clone()).or_insert_with(|| value.clone());
        }
    }

    /// What containers are to hang on is there from the beginning, or the network is not.
    fn make_parent(&self, network: &Arc<Network>) -> Result<()> {
        if network.driver == Driver::Bridge {
            return Ok(());
        }
        self.make_ready(network).inspect_err(|_| {
            if let Err(error) = self.forget_network(network) {
                tracing::warn!(network = network.name, "undo a network: {}", error.report());
            }
        })
    }

    /// Blocks that were asked for, completed, and those that are missing.
    pub(super) fn pools(
        &self,
        known: &Known,
        request: &NetworkRequest,
        (network, host): (&Network, &[Prefix]),
    ) -> Result<Vec<Pool>> {
        let mut found: Vec<Pool> = Vec::new();
        for pool in request.pools.clone() {
            let pool = complete(network, pool)?;
            let mut others = known.pools().map(|(_, pool)| pool).chain(&found);
            if others.any(|other| other.subnet.overlaps(pool.subnet)) {
                let words = "invalid pool request: Pool overlaps with other one on this address space";
                return Err(Error::forbidden(words));
            }
            found.push(pool);
        }
        let own = known.pools().map(|(_, pool)| pool.subnet);
        let used: Vec<Prefix> = own.chain(host.iter().copied()).collect();
        if request.ipv4.unwrap_or(true) && !found.iter().any(|pool| !pool.subnet.is_six()) {
            let subnet = pools::choose(&self.settings().address_pools, &used)?;
            found.push(complete(network, chosen(subnet))?);
        }
        if request.ipv6.unwrap_or(false) && !found.iter().any(|pool| pool.subnet.is_six()) {
            found.push(complete(network, chosen(self.local_block()))?);
        }
        Ok(found)
    }

    /// A block of version 6 that nobody else has: 40 of its bits are random (RFC 4193, 3.2).
    pub(super) fn local_block(&self) -> Prefix {
        let random = self.ports.host.random();
        let mut octets = [0; 16];
        octets[0] = 0xfd;
        octets[1..8].copy_from_slice(&random[..7]);
        Prefix::new(std::net::Ipv6Addr::from(octets).into(), 64)
    }

    /// What a new engine knows: the networks on record, and those that are always there.
    pub(crate) fn load_networks(&self) -> Result<()> {
        let records = self.ports.records.networks()?;
        let mut known = lock(&self.networks);
        for network in records.into_iter().chain(without_record()) {
            known.networks.insert(network.id.clone(), Arc::new(network));
        }
        let default = built_in("bridge", Driver::Bridge);
        if !known.networks.contains_key(&default.id) {
            known.networks.insert(default.id.clone(), Arc::new(default));
        }
        drop(known);
        Ok(())
    }
}

fn chosen(subnet: Prefix) -> Pool {
    Pool { subnet, range: None, gateway: None, reserved: BTreeMap::new() }
}

/// Containers among which the host has an address already, on another link, would be reached by one of the two only.
fn check_host(network: &Network, used: &[(Prefix, String)]) -> Result<()> {
    let is_own = |prefix: &Prefix| match prefix.address {
        IpAddr::V4(_) => *prefix != prefix.network(),
        IpAddr::V6(address) => *prefix != prefix.network() && !address.is_unicast_link_local(),
    };
    let others = used.iter().filter(|(prefix, link)| is_own(prefix) && *link != network.bridge());
    for (prefix, link) in others.filter(|_| network.driver == Driver::Bridge) {
        if let Some(pool) = network.pools.iter().find(|pool| pool.subnet.contains(prefix.address)) {
            return Err(Error::forbidden(format!(
                "invalid pool request: {} overlaps with the host's own address {} of {link}",
                pool.subnet, prefix.address
            )));
        }
    }
    Ok(())
}

/// Where nobody stands between the containers and the world, an address is kept for him only when it was asked for.
fn complete(network: &Network, asked: Pool) -> Result<Pool> {
    let gateway = asked.gateway;
    let pool = pools::complete(asked)?;
    Ok(if network.has_gateway(pool.subnet.is_six()) { pool } else { Pool { gateway, ..pool } })
}

fn check(request: &mut NetworkRequest) -> Result<Driver> {
    let driver = match request.driver.as_str() {
        "" | "bridge" => Driver::Bridge,
        "macvlan" => Driver::Macvlan,
        "ipvlan" => Driver::Ipvlan,
        "host" | "null" => {
            let words = format!("only one instance of \"{}\" network is allowed", request.driver);
            return Err(Error::forbidden(words));
        }
        "overlay" => {
            let words = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";
            return Err(Error::new(Kind::Unavailable, words));
        }
        driver => return Err(Error::not_found(format!("plugin {driver:?} not found"))),
    };
    if !matches!(request.ipam_driver.as_str(), "" | "default") {
        return Err(Error::not_found(format!("plugin {:?} not found", request.ipam_driver)));
    }
    for (asked, option) in [(&mut request.ipv4, "enable_ipv4"), (&mut request.ipv6, "enable_ipv6")] {
        *asked = asked.or(options::version(&request.options, option)?);
    }
    if request.ipv4 == Some(false) && request.ipv6 != Some(true) {
        return Err(Error::invalid("IPv4 or IPv6 must be enabled"));
    }
    check_subnets(request, driver)?;
    Ok(driver)
}

/// Those of a version that was switched off are of no use, as with Docker; of the other there is one a bridge.
fn check_subnets(request: &mut NetworkRequest, driver: Driver) -> Result<()> {
    if request.config_only {
        return Ok(());
    }
    let versions = (request.ipv4, request.ipv6);
    request.pools.retain(|pool| if pool.subnet.is_six() { versions.1 } else { versions.0 } != Some(false));
    let six = request.pools.iter().filter(|pool| pool.subnet.is_six()).count();
    if driver == Driver::Bridge && six.max(request.pools.len() - six) > 1 {
        return Err(Error::forbidden("bridge driver doesn't support multiple subnets"));
    }
    Ok(())
}

/// The name of a bridge is one of a link, and nobody else's.
fn check_bridge(known: &Known, network: &Network, default: &str) -> Result<()> {
    let name = network.bridge();
    if !is_link_name(&name) {
        return Err(Error::invalid(format!("invalid bridge name: {name:?}")));
    }
    let of_default = |other: &Network| other.is_built_in() && name == default;
    let mut others = known.networks.values().filter(|other| !other.config_only);
    if others.any(|other| other.bridge() == name || of_default(other)) {
        return Err(Error::conflict(format!("bridge {name} is used by another network already")));
    }
    Ok(())
}
