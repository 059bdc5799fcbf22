//! What a container may ask for in a network.

use dhow_model::network::{Driver, EndpointSettings, Network};
use dhow_model::{Error, Result};

use super::assign::parse_mac;
use super::{is_link_name, sysctls};

/// Options of a place in a network that are known.
const OPTIONS: [&str; 2] = ["com.docker.network.endpoint.ifname", "com.docker.network.endpoint.sysctls"];

/// Checks what is asked for in one network.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub(super) fn check_settings(network: &Network, settings: &EndpointSettings) -> Result<()> {
    let problems =
        [addresses(network, settings), aliases(network, settings), options(settings), mac(network, settings)];
    let problems: Vec<String> = problems.into_iter().filter_map(Result::err).map(|e| e.to_string()).collect();
    match problems.as_slice() {
        [] => Ok(()),
        problems => Err(Error::invalid(format!("invalid endpoint settings:\n{}", problems.join("\n")))),
    }
}

fn addresses(network: &Network, settings: &EndpointSettings) -> Result<()> {
    let Some(ipam) = &settings.ipam else { return Ok(()) };
    let asked: Vec<&String> = [&ipam.ipv4, &ipam.ipv6].into_iter().filter(|text| !text.is_empty()).collect();
    if asked.is_empty() {
        return Ok(());
    }
    if network.is_built_in() {
        return Err(Error::invalid("user specified IP address is supported on user defined networks only"));
    }
    for text in asked {
        let address: std::net::IpAddr =
            text.parse().map_err(|_| Error::invalid(format!("invalid IP address: {text}")))?;
        if !network.pools.iter().any(|pool| pool.subnet.contains(address)) {
            let words = format!("no configured subnet contains IP address {address}");
            return Err(Error::invalid(words));
        }
    }
    Ok(())
}

fn aliases(network: &Network, settings: &EndpointSettings) -> Result<()> {
    let any = settings.aliases.as_ref().is_some_and(|aliases| !aliases.is_empty());
    if any && network.driver != Driver::Null && network.is_built_in() {
        let words = "network-scoped alias is supported only for containers in user defined networks";
        return Err(Error::invalid(words));
    }
    Ok(())
}

fn options(settings: &EndpointSettings) -> Result<()> {
    // What is of no engine's is kept for whoever wrote it, as Docker does.
    let of_docker = |name: &str| name.starts_with("com.docker.network.") && !OPTIONS.contains(&name);
    let unknown = settings.driver_opts.iter().flatten().find(|(name, _)| of_docker(name));
    if let Some((name, _)) = unknown {
        return Err(Error::invalid(format!("option {name:?} of a place in a network is not supported yet")));
    }
    sysctls::read(settings)?;
    let name = settings.option("com.docker.network.endpoint.ifname");
    let good = |name: &str| is_link_name(name) && !matches!(name, "lo" | "all" | "default");
    match name.filter(|name| !good(name)) {
        Some(name) => Err(Error::invalid(format!("invalid interface name: {name:?}"))),
        None => Ok(()),
    }
}

fn mac(network: &Network, settings: &EndpointSettings) -> Result<()> {
    match settings.mac_address.as_str() {
        "" => Ok(()),
        _ if network.driver == Driver::Ipvlan => {
            Err(Error::invalid("ipvlan interfaces do not support custom mac address assignment"))
        }
        mac => parse_mac(mac).map(drop),
    }
}
