//! A hardware address that the container says, not its place in a network: so clients did before 1.44, and some do yet.

use std::collections::BTreeMap;

use dhow_model::container::donor;
use dhow_model::network::EndpointSettings;
use dhow_model::{Error, Result};

use super::create::Members;
use crate::server::json::{self, Place};
use crate::server::version::ApiVersion;

/// Where the container says it.
pub(super) const FIELD: &str = "MacAddress";

/// Moves it to the network of `mode`, and answers what the user should know.
///
/// # Errors
/// Invalid argument, in Docker's words: another address is there already, or which network is meant cannot be told.
pub(super) fn settle(
    members: &mut Members,
    mode: &str,
    networks: &mut BTreeMap<String, EndpointSettings>,
    version: ApiVersion,
) -> Result<Option<String>> {
    let place = Place { structure: "container.CreateRequest", path: &[FIELD] };
    let mac: String = json::read(place, members.remove(FIELD).unwrap_or_default())?;
    if version.before(44) {
        settle_old(mac, mode, networks)?;
        return Ok(None);
    }
    if mac.is_empty() {
        return Ok(None);
    }
    if !has_none(mode) {
        settle_new(mac, mode, networks)?;
    }
    Ok(Some("The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.".to_owned()))
}

/// No other way was there: what is said of a network is not theirs, and there is at most one.
fn settle_old(mac: String, mode: &str, networks: &mut BTreeMap<String, EndpointSettings>) -> Result<()> {
    if !mac.is_empty() && has_none(mode) {
        return Err(Error::invalid("conflicting options: mac-address and the network mode"));
    }
    if networks.is_empty() && !mac.is_empty() {
        networks.insert(named(mode).to_owned(), EndpointSettings::default());
    }
    networks.values_mut().for_each(|settings| settings.mac_address.clone_from(&mac));
    Ok(())
}

fn settle_new(mac: String, mode: &str, networks: &mut BTreeMap<String, EndpointSettings>) -> Result<()> {
    if networks.is_empty() {
        networks.insert(named(mode).to_owned(), EndpointSettings::default());
    }
    let own = networks.iter_mut().find(|(name, _)| same(name, mode)).map(|(_, settings)| settings);
    let Some(own) = own else {
        return Err(Error::invalid(
            "if a container-wide MAC address is supplied, HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks",
        ));
    };
    if !own.mac_address.is_empty() && own.mac_address != mac {
        return Err(Error::invalid(
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
        ));
    }
    own.mac_address = mac;
    Ok(())
}

/// Whether a container has no link of its own there.
fn has_none(mode: &str) -> bool {
    matches!(mode, "host" | "none" | "container") || donor(mode).is_some()
}

fn named(mode: &str) -> &str {
    if mode.is_empty() { "default" } else { mode }
}

/// `default` is another word for the bridge.
fn same(name: &str, mode: &str) -> bool {
    let is_bridge = |name: &str| matches!(name, "" | "default" | "bridge");
    name == mode || (is_bridge(name) && is_bridge(mode))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use serde_json::Value;

    use super::*;

    const MAC: &str = "02:42:ac:11:00:02";

    /// What the networks have then, and whether there is a word of warning.
    fn settled(mac: &Value, mode: &str, networks: &[(&str, &str)], minor: u16) -> Result<(String, bool)> {
        let mut members = Members::from_iter([(FIELD.to_owned(), mac.clone())]);
        let settings =
            |mac: &str| EndpointSettings { mac_address: mac.to_owned(), ..EndpointSettings::default() };
        let mut networks = networks.iter().map(|(name, mac)| ((*name).to_owned(), settings(mac))).collect();
        let warning = settle(&mut members, mode, &mut networks, ApiVersion::of(minor))?;
        assert!(members.is_empty(), "{members:?}");
        let shown = networks.iter().map(|(name, settings)| format!("{name}={}", settings.mac_address));
        Ok((shown.collect::<Vec<_>>().join(" "), warning.is_some()))
    }

    #[test]
    fn it_is_moved_to_the_containers_own_network() {
        for (mode, networks, minor, then) in [
            ("", &[][..], 50, "default=02:42:ac:11:00:02"),
            ("apart", &[("apart", ""), ("b", "")], 50, "apart=02:42:ac:11:00:02 b="),
            ("default", &[("bridge", MAC)], 44, "bridge=02:42:ac:11:00:02"),
            ("host", &[("host", "")], 50, "host="),
            ("apart", &[("aba", "02:42:ac:11:00:03")], 43, "aba=02:42:ac:11:00:02"),
        ] {
            let (shown, warned) = settled(&json!(MAC), mode, networks, minor).unwrap();
            assert_eq!((shown.as_str(), warned), (then, minor >= 44), "{mode}");
        }
        assert_eq!(settled(&json!(""), "", &[("a", MAC)], 50).unwrap(), (format!("a={MAC}"), false));
        assert_eq!(settled(&Value::Null, "", &[("a", MAC)], 43).unwrap(), ("a=".to_owned(), false));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_in_dockers_words() {
        for (mac, mode, networks, minor, words) in [
            (
                json!(MAC),
                "a",
                &[("a", "02:42:ac:11:00:03")][..],
                50,
                "must match the endpoint-specific MAC address",
            ),
            (
                json!(MAC),
                "a",
                &[("b", "")],
                50,
                "HostConfig.NetworkMode must match the identity of a network",
            ),
            (json!(MAC), "none", &[], 43, "conflicting options: mac-address and the network mode"),
            (json!(7), "", &[], 50, "struct field CreateRequest.MacAddress of type string"),
        ] {
            let said = settled(&mac, mode, networks, minor).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
    }
}
