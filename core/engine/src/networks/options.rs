//! What the drivers do with the options of a network.

use std::net::IpAddr;

use dhow_model::network::{Driver, Network};
use dhow_model::{Error, Result};

use super::is_link_name;

/// Checks all of them; what is of no engine's is kept for whoever wrote it, as Docker does.
///
/// # Errors
/// Invalid argument, mostly in Docker's words: one that the driver does not know, or a value that is none.
pub(super) fn check(network: &Network) -> Result<()> {
    for (option, value) in &network.options {
        let Some(name) = option.strip_prefix("com.docker.network.") else { continue };
        let known = any_driver(name, value);
        let bridge = network.driver == Driver::Bridge;
        let known = if bridge { known.or_else(|| of_bridge(name, value)) } else { known };
        match known {
            Some(Ok(())) => {}
            Some(Err(why)) => {
                return Err(Error::invalid(format!("failed to parse {option} value: {value} ({why})")));
            }
            None => {
                let driver = network.driver.word();
                let words = format!("option {option:?} of the {driver} driver is not supported yet");
                return Err(Error::invalid(words));
            }
        }
    }
    if !network.internal && [false, true].into_iter().any(|six| network.is_isolated(six)) {
        let words = "gateway mode 'isolated' can only be used for an internal network";
        return Err(Error::invalid(words));
    }
    Ok(())
}

/// Whether a version of addresses is asked for by an option of the driver, as files of Compose do.
///
/// # Errors
/// In Docker's words: what is no truth.
pub(super) fn version(
    options: &std::collections::BTreeMap<String, String>,
    name: &str,
) -> Result<Option<bool>> {
    let option = format!("com.docker.network.{name}");
    let Some(value) = options.get(&option) else { return Ok(None) };
    let wrong = |_| Error::invalid(format!("driver-opt {option:?} is not a valid bool"));
    truth(value).map_err(wrong)?;
    Ok(Some(matches!(value.as_bytes().first(), Some(b'1' | b't' | b'T'))))
}

/// What is wrong with a value; nothing when the option is not known.
type Known = Option<Result<(), String>>;

fn any_driver(name: &str, value: &str) -> Known {
    match name {
        "driver.mtu" => Some(mtu(value)),
        "enable_ipv4" | "enable_ipv6" => Some(truth(value)),
        "container_iface_prefix" => {
            // Digits follow.
            let good = value.len() <= 12 && is_link_name(value) && value != "lo";
            Some(if good { Ok(()) } else { Err("no name of an interface begins so".to_owned()) })
        }
        _ => None,
    }
}

fn of_bridge(name: &str, value: &str) -> Known {
    match name {
        "bridge.name" => Some(Ok(())),
        "bridge.enable_icc" | "bridge.enable_ip_masquerade" | "bridge.inhibit_ipv4" => Some(truth(value)),
        "bridge.default_bridge" => Some(truth(value).and_then(|()| match value.as_bytes().first() {
            Some(b'1' | b't' | b'T') => {
                Err("there is one default bridge, and it is there already".to_owned())
            }
            _ => Ok(()),
        })),
        "bridge.gateway_mode_ipv4" | "bridge.gateway_mode_ipv6" => Some(mode(value)),
        "bridge.host_binding_ipv4" => Some(address(value, |_| true)),
        "host_ipv4" => Some(address(value, IpAddr::is_ipv4)),
        "host_ipv6" => Some(address(value, IpAddr::is_ipv6)),
        "bridge.trusted_host_interfaces" => {
            let mut names = value.split(':').filter(|name| !name.is_empty());
            Some(names.try_for_each(|name| {
                if is_link_name(name) { Ok(()) } else { Err(format!("{name:?} is no name of an interface")) }
            }))
        }
        _ => None,
    }
}

/// The most is what a packet of IP can have, the least what everybody has to take (RFC 791, 3.2).
fn mtu(value: &str) -> Result<(), String> {
    match value.parse::<i64>() {
        Ok(0 | 68..=65_535) => Ok(()),
        Ok(number) => Err(format!("invalid MTU number: {number}")),
        Err(_) => Err(format!("strconv.Atoi: parsing {value:?}: invalid syntax")),
    }
}

fn truth(value: &str) -> Result<(), String> {
    match value {
        "true" | "1" | "t" | "T" | "TRUE" | "True" | "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok(()),
        _ => Err(format!("strconv.ParseBool: parsing {value:?}: invalid syntax")),
    }
}

fn mode(value: &str) -> Result<(), String> {
    match value {
        "nat" | "nat-unprotected" | "routed" | "isolated" => Ok(()),
        _ => Err(format!("unknown gateway mode {value}")),
    }
}

fn address(value: &str, fits: impl Fn(&IpAddr) -> bool) -> Result<(), String> {
    value.parse().ok().filter(fits).map(drop).ok_or_else(|| "nil ip".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::built_in;
    use super::*;

    #[test]
    fn options_are_served_or_refused_by_name() {
        let said = |option: &str, value: &str| {
            let mut network = built_in("x", Driver::Bridge);
            network.options.insert(option.to_owned(), value.to_owned());
            check(&network).err().map(|error| error.to_string())
        };
        for (option, value, wrong) in [
            ("bridge.name", "br7", None),
            ("bridge.inhibit_ipv4", "1", None),
            ("bridge.gateway_mode_ipv6", "routed", None),
            ("bridge.host_binding_ipv4", "::1", None),
            ("bridge.trusted_host_interfaces", "wg0:wg1", None),
            ("driver.mtu", "x", Some("strconv.Atoi: parsing \"x\": invalid syntax")),
            ("driver.mtu", "-1", Some("invalid MTU number: -1")),
            ("bridge.enable_icc", "x", Some("strconv.ParseBool: parsing \"x\": invalid syntax")),
            ("bridge.gateway_mode_ipv4", "x", Some("unknown gateway mode x")),
            ("host_ipv6", "1.2.3.4", Some("nil ip")),
        ] {
            let option = format!("com.docker.network.{option}");
            let wrong = wrong.map(|why| format!("failed to parse {option} value: {value} ({why})"));
            assert_eq!(said(&option, value), wrong, "{option}");
        }
        assert!(said("com.docker.network.x", "").unwrap().contains("is not supported yet"));
        assert_eq!(said("org.example", ""), None);
        let isolated = said("com.docker.network.bridge.gateway_mode_ipv4", "isolated").unwrap();
        assert_eq!(isolated, "gateway mode 'isolated' can only be used for an internal network");
    }
}
