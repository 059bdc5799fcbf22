//! Links of the host that networks without a bridge hang on: who may share one, and when it goes.

use dhow_model::network::{Direct, DirectKind, MacvlanMode, Network};
use dhow_model::{Error, Result};

use super::{Known, is_link_name};

impl Known {
    /// Whether a network can have the parent that it asks for beside those that there are.
    ///
    /// # Errors
    /// In Docker's words: another one has it for itself.
    pub(super) fn check_parent(&self, network: &Network) -> Result<()> {
        let Some(direct) = network.direct()? else { return Ok(()) };
        if !is_link_name(&direct.parent) {
            return Err(Error::invalid(format!("invalid parent interface name: {:?}", direct.parent)));
        }
        self.on(&direct.parent).try_for_each(|(other, theirs)| share(&direct, other, &theirs))
    }

    /// Whether networks are left that hang on a network's parent.
    pub(super) fn shares_parent(&self, network: &Network) -> bool {
        match network.direct() {
            Ok(Some(direct)) => self.on(&direct.parent).any(|(other, _)| other.id != network.id),
            _ => false,
        }
    }

    fn on<'a>(&'a self, parent: &'a str) -> impl Iterator<Item = (&'a Network, Direct)> + 'a {
        let direct = |network: &'a Network| Some((network, network.direct().ok()??));
        let all = self.networks.values().filter_map(move |network| direct(network));
        all.filter(move |(_, direct)| direct.parent == parent)
    }
}

/// What is of macvlan may share, unless one is all that there is; the kernel refuses both kinds at once itself.
fn share(direct: &Direct, other: &Network, theirs: &Direct) -> Result<()> {
    let parent = &direct.parent;
    let alone = DirectKind::Macvlan(MacvlanMode::Passthru);
    match (direct.kind, theirs.kind) {
        (DirectKind::Macvlan(_), DirectKind::Macvlan(_)) if direct.kind == alone => {
            Err(Error::forbidden(format!(
                "cannot use mode passthru, macvlan network {} is already using parent interface {parent}",
                other.id
            )))
        }
        (DirectKind::Macvlan(_), DirectKind::Macvlan(_)) if theirs.kind == alone => {
            Err(Error::forbidden(format!(
                "macvlan network {} is already using parent interface {parent} in mode passthru",
                other.id
            )))
        }
        (DirectKind::Ipvlan(..), DirectKind::Ipvlan(..)) => Err(Error::forbidden(format!(
            "network {} is already using parent interface {parent}",
            other.own_parent()
        ))),
        _ => Ok(()),
    }
}
