//! What the drivers do with the options of a network.

use dhow_model::network::Driver;
use dhow_model::{Error, Result};

/// Checks one; what is of no engine's is kept for whoever wrote it, as Docker does.
///
/// # Errors
/// Invalid argument: one that the driver does not know, or a value that is none.
pub(super) fn check(driver: Driver, option: &str, value: &str) -> Result<()> {
    let Some(name) = option.strip_prefix("com.docker.network.") else { return Ok(()) };
    let known = any_driver(name, value);
    let known = if driver == Driver::Bridge { known.or_else(|| bridge(name, value)) } else { known };
    match known {
        Some(true) => Ok(()),
        Some(false) => Err(Error::invalid(format!("invalid value {value:?} of the option {option}"))),
        None => {
            let words = format!("option {option:?} of the {} driver is not supported yet", driver.word());
            Err(Error::invalid(words))
        }
    }
}

/// Whether a value is good; nothing when the option is not known.
fn any_driver(name: &str, value: &str) -> Option<bool> {
    match name {
        "driver.mtu" => Some(value.parse::<u32>().is_ok_and(|mtu| (68..=65_535).contains(&mtu))),
        "container_iface_prefix" => Some(
            (1..=12).contains(&value.len())
                && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
        ),
        _ => None,
    }
}

fn bridge(name: &str, value: &str) -> Option<bool> {
    match name {
        "bridge.name" => Some(true),
        "bridge.enable_icc" | "bridge.enable_ip_masquerade" => Some(matches!(
            value,
            "true" | "1" | "t" | "T" | "TRUE" | "True" | "false" | "0" | "f" | "F" | "FALSE" | "False"
        )),
        "bridge.host_binding_ipv4" | "host_ipv4" => Some(value.parse::<std::net::Ipv4Addr>().is_ok()),
        "bridge.gateway_mode_ipv4" => Some(matches!(value, "" | "nat" | "routed" | "nat-unprotected")),
        _ => None,
    }
}
