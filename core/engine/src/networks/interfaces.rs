//! Names of a container's links.

use std::collections::{BTreeMap, BTreeSet};

use dhow_model::network::{Endpoint, EndpointSettings};
use dhow_model::{Error, Result};

/// The option of an endpoint by which its link's name is asked for.
const ASKED: &str = "com.docker.network.endpoint.ifname";

/// The name of the link to a network, beside those that the container has and that are asked for in its other networks:
/// the one that is asked for, or the first free one.
///
/// # Errors
/// A conflict: another link has the name.
pub(super) fn choose(
    all: &BTreeMap<String, Endpoint>,
    (network, prefix): (&str, &str),
    settings: &EndpointSettings,
) -> Result<String> {
    let others = all.iter().filter(|(name, _)| *name != network).map(|(_, endpoint)| endpoint);
    let has = |endpoint: &Endpoint| endpoint.assigned.as_ref().map(|assigned| assigned.interface.clone());
    let asks = |endpoint: &Endpoint| endpoint.settings.option(ASKED).map(str::to_owned);
    let taken: BTreeSet<String> =
        others.flat_map(|endpoint| [has(endpoint), asks(endpoint)]).flatten().collect();
    if let Some(asked) = settings.option(ASKED) {
        if taken.contains(asked) {
            let words =
                format!("interface name {asked:?} is already in use by another network of the container");
            return Err(Error::conflict(words));
        }
        return Ok(asked.to_owned());
    }
    let mut names = (0_usize..).map(|number| format!("{prefix}{number}"));
    Ok(names.find(|name| !taken.contains(name)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(name: &str) -> EndpointSettings {
        let options = BTreeMap::from([(ASKED.to_owned(), name.to_owned())]);
        EndpointSettings { driver_opts: Some(options), ..EndpointSettings::default() }
    }

    #[test]
    fn a_name_that_another_network_asks_for_is_left_to_it() {
        let other = Endpoint { settings: asking("eth0"), ..Endpoint::default() };
        let others = BTreeMap::from([("other".to_owned(), other)]);
        let network = ("own", "eth");
        assert_eq!(choose(&others, network, &EndpointSettings::default()).unwrap(), "eth1");
        assert_eq!(choose(&others, network, &asking("wan")).unwrap(), "wan");
        let error = choose(&others, network, &asking("eth0")).unwrap_err().to_string();
        assert!(error.contains("\"eth0\" is already in use"), "{error}");
    }
}
