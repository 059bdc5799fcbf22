//! Networks that nobody is in: they keep settings for others (`--config-only`, `--config-from`).

use std::collections::BTreeMap;
use std::sync::Arc;

use dhow_model::network::{Driver, Network};
use dhow_model::{Error, Result};

use super::{Known, NetworkRequest};

const NO_SETTINGS: &str =
    "user specified configurations are not supported if the network depends on a configuration network";

/// Whether what is asked for can be kept for others.
///
/// # Errors
/// In Docker's words.
pub(super) fn check(request: &NetworkRequest) -> Result<()> {
    if !request.config_from.is_empty() {
        let words = "a configuration network cannot depend on another configuration network";
        return Err(Error::forbidden(words));
    }
    if request.internal || request.attachable {
        let words = "configuration network can only contain network specific fields. Network operator fields like \
                     [ ingress | internal | attachable | scope ] are not supported.";
        return Err(Error::forbidden(words));
    }
    Ok(())
}

impl Known {
    /// Completes a request by the settings that another network keeps for it.
    ///
    /// # Errors
    /// In Docker's words: there is no such network, or something is asked for besides.
    pub(super) fn take_configuration(&self, request: &mut NetworkRequest) -> Result<()> {
        if request.config_from.is_empty() {
            return Ok(());
        }
        let nothing_else = request.ipv6 != Some(true)
            && matches!(request.ipam_driver.as_str(), "" | "default")
            && [&request.labels, &request.options].iter().all(|pairs| pairs.is_empty())
            && request.ipam_options.as_ref().is_none_or(BTreeMap::is_empty)
            && request.pools.is_empty();
        if !nothing_else {
            return Err(Error::forbidden(NO_SETTINGS));
        }
        let kept = self.find(&request.config_from).ok().filter(|network| network.config_only);
        let missing =
            || Error::not_found(format!("configuration network {:?} does not exist", request.config_from));
        let kept = kept.ok_or_else(missing)?;
        request.config_from.clone_from(&kept.name);
        request.ipv4 = Some(kept.ipv4);
        request.ipv6 = Some(kept.ipv6);
        request.pools.clone_from(&kept.pools);
        request.ipam_options.clone_from(&kept.ipam_options);
        request.options.clone_from(&kept.options);
        request.labels.clone_from(&kept.labels);
        Ok(())
    }

    /// Whether other networks have their settings from this one.
    ///
    /// # Errors
    /// In Docker's words: they have.
    pub(super) fn check_unused_configuration(&self, network: &Arc<Network>) -> Result<()> {
        let used = self.networks.values().any(|other| other.config_from == network.name);
        if network.config_only && used {
            return Err(Error::forbidden(format!("configuration network {:?} is in use", network.name)));
        }
        Ok(())
    }
}

/// Whether containers can be in a network.
///
/// # Errors
/// In Docker's words: it only keeps settings.
pub(super) fn check_joins(network: &Network) -> Result<()> {
    if network.config_only {
        return Err(Error::forbidden("cannot create endpoint on configuration-only network"));
    }
    Ok(())
}

/// Nobody's: engines of earlier versions can do nothing with it.
pub(super) const DRIVER: Driver = Driver::Null;
