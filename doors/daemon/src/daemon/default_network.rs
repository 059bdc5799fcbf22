//! What flags and `daemon.json` say of the default network, and of what the engine does to the host.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use dhow_engine::networks::{Block, DefaultNetwork};
use dhow_model::network::Prefix;
use dhow_net::{HostPolicy, PublishPolicy};
use serde::Deserialize;

use super::flags::boolean;

/// Of dockerd; the file has the same keys.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct NetworkFlags {
    /// A bridge that is there, for the default network; none for no such network
    #[arg(short = 'b', long, value_name = "NAME")]
    bridge: Option<String>,
    /// The address of the default bridge, with the bits of its network
    #[arg(long, value_name = "ADDRESS")]
    bip: Option<String>,
    /// The same of IPv6
    #[arg(long, value_name = "ADDRESS")]
    bip6: Option<String>,
    /// Where containers of the default network get their addresses from
    #[arg(long, value_name = "SUBNET")]
    fixed_cidr: Option<String>,
    /// The same of IPv6
    #[arg(long, value_name = "SUBNET")]
    fixed_cidr_v6: Option<String>,
    /// The way out of containers of the default network, where it is not the bridge
    #[arg(long, value_name = "ADDRESS")]
    default_gateway: Option<String>,
    /// The same of IPv6
    #[arg(long, value_name = "ADDRESS")]
    default_gateway_v6: Option<String>,
    /// The default network has IPv6
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    ipv6: Option<bool>,
    /// Containers of the default network reach each other; so it is unless this is false
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    icc: Option<bool>,
    /// The address of the host on which ports of the default network are published
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// Containers of the default network reach the world by the host's address; so it is unless this is false
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    ip_masq: Option<bool>,
    /// Bytes of a packet in the default network
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u32>,
    /// The engine makes firewall rules (by nftables); without, no port is published, and no network kept apart
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    iptables: Option<bool>,
    /// The same of IPv6; it goes with --iptables
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    ip6tables: Option<bool>,
    /// The host is made a router; so it is unless this is false
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    ip_forward: Option<bool>,
    /// A host that is made a router is one for others, too
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    ip_forward_no_drop: Option<bool>,
    /// Published ports are reached by the containers' own addresses as well
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    allow_direct_routing: Option<bool>,
    /// Nothing is different: there is no proxy, and what it is for works without
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    userland_proxy: Option<bool>,
}

/// Options of new networks by driver, as the file has them.
pub(super) type NetworkOptions = BTreeMap<String, BTreeMap<String, String>>;

impl NetworkFlags {
    /// Each from where it is given: never from both, which was refused.
    pub(super) fn or(&self, file: &Self) -> Self {
        let text = |flag: &Option<String>, file: &Option<String>| {
            flag.clone().or_else(|| file.clone()).filter(|text| !text.is_empty())
        };
        Self {
            bridge: text(&self.bridge, &file.bridge),
            bip: text(&self.bip, &file.bip),
            bip6: text(&self.bip6, &file.bip6),
            fixed_cidr: text(&self.fixed_cidr, &file.fixed_cidr),
            fixed_cidr_v6: text(&self.fixed_cidr_v6, &file.fixed_cidr_v6),
            default_gateway: text(&self.default_gateway, &file.default_gateway),
            default_gateway_v6: text(&self.default_gateway_v6, &file.default_gateway_v6),
            ipv6: self.ipv6.or(file.ipv6),
            icc: self.icc.or(file.icc),
            ip: text(&self.ip, &file.ip),
            ip_masq: self.ip_masq.or(file.ip_masq),
            mtu: self.mtu.or(file.mtu).filter(|mtu| *mtu > 0),
            iptables: self.iptables.or(file.iptables),
            ip6tables: self.ip6tables.or(file.ip6tables),
            ip_forward: self.ip_forward.or(file.ip_forward),
            ip_forward_no_drop: self.ip_forward_no_drop.or(file.ip_forward_no_drop),
            allow_direct_routing: self.allow_direct_routing.or(file.allow_direct_routing),
            userland_proxy: self.userland_proxy.or(file.userland_proxy),
        }
    }

    /// What is said of the default network.
    ///
    /// # Errors
    /// What is no address, and what contradicts itself: mostly in dockerd's words.
    pub(super) fn default_network(&self) -> Result<DefaultNetwork> {
        if self.bridge.is_some() && self.bip.is_some() {
            bail!("You specified -b & --bip, mutually exclusive options. Please specify only one");
        }
        if self.icc == Some(false) && self.iptables == Some(false) {
            bail!(
                "You specified --iptables=false with --icc=false; ICC=false uses iptables to function. Please set \
                 --icc or --iptables to true"
            );
        }
        let four = prefix("bip", self.bip.as_deref(), false)?;
        if let Some(own) = four.filter(|own| own.length < 31 && *own == own.network()) {
            bail!("failed to allocate gateway ({}): Address already in use", own.address);
        }
        let absent = self.bridge.as_deref() == Some("none");
        Ok(DefaultNetwork {
            absent,
            bridge: self.bridge.clone().filter(|_| !absent),
            four: Block {
                address: four,
                range: prefix("fixed-cidr", self.fixed_cidr.as_deref(), false)?.map(|range| range.network()),
                gateway: address("default-gateway", self.default_gateway.as_deref())?,
            },
            six: Block {
                address: prefix("bip6", self.bip6.as_deref(), true)?,
                range: prefix("fixed-cidr-v6", self.fixed_cidr_v6.as_deref(), true)?
                    .map(|range| range.network()),
                gateway: address("default-gateway-v6", self.default_gateway_v6.as_deref())?,
            },
            ipv6: self.ipv6 == Some(true),
            options: self.options()?,
        })
    }

    fn options(&self) -> Result<BTreeMap<String, String>> {
        let host = address("ip", self.ip.as_deref())?;
        if let Some(mtu) = self.mtu {
            ensure!((68..=65_535).contains(&mtu), "invalid MTU number: {mtu}");
        }
        let pairs = [
            ("bridge.enable_icc", self.icc.map(|icc| icc.to_string())),
            ("bridge.enable_ip_masquerade", self.ip_masq.map(|masquerade| masquerade.to_string())),
            ("bridge.host_binding_ipv4", host.map(|host| host.to_string())),
            ("driver.mtu", self.mtu.map(|mtu| mtu.to_string())),
        ];
        let pairs = pairs
            .into_iter()
            .filter_map(|(name, value)| Some((format!("com.docker.network.{name}"), value?)));
        Ok(pairs.collect())
    }

    /// What is done to the host.
    ///
    /// # Errors
    /// Rules of one version alone: there is one table for both.
    pub(super) fn policy(&self, publishing: PublishPolicy) -> Result<HostPolicy> {
        let rules = self.iptables.unwrap_or(true);
        if self.ip6tables.is_some_and(|six| six != rules) {
            bail!("ip6tables: rules are made for both versions of IP, or (with iptables) for none");
        }
        Ok(HostPolicy {
            publishing,
            rules,
            forwarding: self.ip_forward.unwrap_or(true),
            forwards_strangers: self.ip_forward_no_drop == Some(true),
            direct_routing: self.allow_direct_routing == Some(true),
        })
    }
}

/// `bridge=com.docker.network.driver.mtu=1400`, added to what the file says.
///
/// # Errors
/// What is not of that form.
pub(super) fn network_options(flags: &[String], file: &NetworkOptions) -> Result<NetworkOptions> {
    let mut all = file.clone();
    for text in flags {
        let parts = text.split_once('=').and_then(|(driver, pair)| Some((driver, pair.split_once('=')?)));
        let (driver, (option, value)) = parts.with_context(|| {
            format!("invalid default network option {text:?}: it should be of the form driver=option=value")
        })?;
        all.entry(driver.to_owned()).or_default().insert(option.to_owned(), value.to_owned());
    }
    Ok(all)
}

fn prefix(name: &str, text: Option<&str>, six: bool) -> Result<Option<Prefix>> {
    let Some(text) = text else { return Ok(None) };
    let prefix = text.parse::<Prefix>().ok().filter(|prefix| prefix.is_six() == six);
    prefix.map(Some).with_context(|| format!("{name}: invalid CIDR address: {text}"))
}

fn address(name: &str, text: Option<&str>) -> Result<Option<std::net::IpAddr>> {
    text.map(|text| text.parse().with_context(|| format!("{name}: {text:?} is no address"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(json: &str) -> NetworkFlags {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (json, words) in [
            (r#"{"bip": "10.0.0.1"}"#, "invalid CIDR address: 10.0.0.1"),
            (r#"{"bip": "fd00::1/64"}"#, "invalid CIDR address: fd00::1/64"),
            (r#"{"bip": "10.33.0.0/24"}"#, "failed to allocate gateway (10.33.0.0): Address already in use"),
            (r#"{"bip": "10.0.0.1/24", "bridge": "br0"}"#, "mutually exclusive options"),
            (r#"{"icc": false, "iptables": false}"#, "ICC=false uses iptables to function"),
            (r#"{"mtu": 10}"#, "invalid MTU number: 10"),
            (r#"{"ip": "here"}"#, "is no address"),
        ] {
            let error = said(json).default_network().unwrap_err().to_string();
            assert!(error.contains(words), "{json}: {error}");
        }
        assert!(said(r#"{"ip6tables": false}"#).policy(PublishPolicy::Open).is_err());
        assert!(!said(r#"{"iptables": false}"#).policy(PublishPolicy::Open).unwrap().rules);
    }

    #[test]
    fn options_of_new_networks_are_read() {
        let file = [("bridge".to_owned(), [("a".to_owned(), "1".to_owned())].into())].into();
        let all = network_options(&["bridge=b=2".to_owned(), "macvlan=c=d=3".to_owned()], &file).unwrap();
        assert_eq!(all["bridge"].len(), 2);
        assert_eq!(all["macvlan"]["c"], "d=3");
        assert!(network_options(&["bridge=b".to_owned()], &file).is_err());
    }
}
