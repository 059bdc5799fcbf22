//! What `daemon.json` and the flags say of networks.

use anyhow::{Context as _, Result, bail, ensure};
use dhow_engine::Settings;
use dhow_engine::networks::{Source, default_sources};
use dhow_net::PublishPolicy;
use serde::Deserialize;

use super::default_network::network_options;
use super::file::File;
use super::flags::{ContainerFlags, Flags};

/// A block that networks are cut from, as the file has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) struct FilePool {
    base: String,
    size: u8,
}

/// Takes what is said over into the settings.
///
/// # Errors
/// What is no block, or no address.
pub(super) fn apply(flags: &ContainerFlags, file: &File, settings: &mut Settings) -> Result<()> {
    let of_flags = flags.address_pools.iter().map(|text| read(text));
    let of_file = file.default_address_pools.iter().map(|pool| source(&pool.base, pool.size));
    let pools = of_flags.chain(of_file).collect::<Result<Vec<Source>>>()?;
    settings.address_pools = if pools.is_empty() { default_sources() } else { pools };
    let gateways = flags.host_gateways.iter().chain(&file.host_gateway_ips).chain(&file.host_gateway_ip);
    settings.host_gateway = gateways
        .map(|text| text.parse().with_context(|| format!("host-gateway-ip: {text:?} is no address")))
        .collect::<Result<_>>()?;
    settings.network_options = network_options(&flags.network_opts, &file.default_network_opts)?;
    Ok(())
}

/// What the host's own rules say of published ports.
///
/// # Errors
/// A word that is no policy.
pub(super) fn publishing(flags: &Flags, file: &File) -> Result<PublishPolicy> {
    match flags.publish_policy.as_deref().or(file.publish_policy.as_deref()) {
        None | Some("open") => Ok(PublishPolicy::Open),
        Some("host-rules") => Ok(PublishPolicy::HostRules),
        Some(other) => bail!("publish-policy: {other:?} is neither open nor host-rules"),
    }
}

/// `base=10.0.0.0/8,size=24`.
fn read(text: &str) -> Result<Source> {
    let (mut base, mut size) = (None, None);
    for pair in text.split(',') {
        match pair.split_once('=') {
            Some(("base", value)) => base = Some(value),
            Some(("size", value)) => size = value.parse().ok(),
            _ => bail!("default-address-pool: invalid field {pair:?}"),
        }
    }
    let wrong = || format!("default-address-pool: {text:?} is not of the form base=10.0.0.0/8,size=24");
    source(base.with_context(wrong)?, size.with_context(wrong)?)
}

fn source(base: &str, size: u8) -> Result<Source> {
    let base: dhow_model::network::Prefix =
        base.parse().map_err(|error| anyhow::anyhow!("default-address-pools: {error}"))?;
    let most = if base.is_six() { 126 } else { 30 };
    ensure!(
        (base.length..=most).contains(&size),
        "default-address-pools: {base} has no networks of {size} bits"
    );
    Ok(Source { base: base.network(), size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_or_refused() {
        let read = |text: &str| read(text).map(|source| (source.base.to_string(), source.size));
        assert_eq!(read("base=10.0.0.0/8,size=24").unwrap(), ("10.0.0.0/8".into(), 24));
        assert_eq!(read("size=64,base=fd00::/48").unwrap(), ("fd00::/48".into(), 64));
        for text in
            ["", "base=10.0.0.0/8", "base=x,size=24", "base=10.0.0.0/24,size=16", "base=10.0.0.0/8,size=31"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
