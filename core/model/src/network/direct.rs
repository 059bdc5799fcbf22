//! Networks whose containers hang on a link of the host, without a bridge between (drivers macvlan and ipvlan).

use super::{Driver, Network};
use crate::{Error, Result};

/// How a container's link hangs on one of the host's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Direct {
    /// The host's link.
    pub parent: String,
    /// What the container's is.
    pub kind: DirectKind,
}

/// What hangs there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectKind {
    /// A link with a hardware address of its own.
    Macvlan(MacvlanMode),
    /// A link with the hardware address of its parent.
    Ipvlan(IpvlanMode, IpvlanFlag),
}

impl DirectKind {
    /// The kernel's word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Macvlan(_) => "macvlan",
            Self::Ipvlan(..) => "ipvlan",
        }
    }
}

/// Whom links on the same parent talk to (ip-link(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacvlanMode {
    /// Each other, at once.
    Bridge,
    /// Not each other.
    Private,
    /// Each other, by the switch outside.
    Vepa,
    /// There is one link only, and it is its parent.
    Passthru,
}

/// What the parent does with packets (ip-link(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpvlanMode {
    /// It switches them.
    L2,
    /// It routes them, past the host's firewall.
    L3,
    /// It routes them, through the host's firewall.
    L3s,
}

/// Whom links on the same parent talk to (ip-link(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpvlanFlag {
    /// Each other, at once.
    Bridge,
    /// Not each other.
    Private,
    /// Each other, by the switch outside.
    Vepa,
}

/// The option that names the parent.
const PARENT: &str = "parent";

impl Network {
    /// How its containers hang on a link of the host; nothing when they do not.
    ///
    /// # Errors
    /// Invalid argument, in Docker's words: a mode, a flag or a parent that is none.
    pub fn direct(&self) -> Result<Option<Direct>> {
        let option = |name: &str| self.options.get(name).map_or("", String::as_str);
        let kind = match self.driver {
            Driver::Macvlan => DirectKind::Macvlan(macvlan_mode(option("macvlan_mode"))?),
            Driver::Ipvlan => {
                DirectKind::Ipvlan(ipvlan_mode(option("ipvlan_mode"))?, ipvlan_flag(option("ipvlan_flag"))?)
            }
            Driver::Bridge | Driver::Host | Driver::Null => return Ok(None),
        };
        if option(PARENT) == "lo" {
            let words = format!("loopback interface is not a valid {} parent link", kind.word());
            return Err(Error::invalid(words));
        }
        let parent = if option(PARENT).is_empty() { self.own_parent() } else { option(PARENT).to_owned() };
        Ok(Some(Direct { parent, kind }))
    }

    /// The parent that is made for a network for which nobody named one: it leads nowhere.
    #[must_use]
    pub fn own_parent(&self) -> String {
        let prefix = if self.driver == Driver::Ipvlan { "di" } else { "dm" };
        format!("{prefix}-{}", self.id.get(..12).unwrap_or(&self.id))
    }

    /// Whether containers reach the world by it.
    #[must_use]
    pub fn leads_out(&self) -> bool {
        let parent = self.options.get(PARENT).is_some_and(|parent| !parent.is_empty());
        !self.internal
            && match self.driver {
                Driver::Bridge => true,
                Driver::Macvlan | Driver::Ipvlan => parent,
                Driver::Host | Driver::Null => false,
            }
    }

    /// Whether somebody has an address in its blocks of a version by which containers reach others. Those that are routed
    /// by their parent hand everything to it.
    #[must_use]
    pub fn has_gateway(&self, six: bool) -> bool {
        let routed = matches!(
            self.direct(),
            Ok(Some(Direct { kind: DirectKind::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _), .. }))
        );
        match self.driver {
            Driver::Bridge => !self.is_isolated(six) && (six || self.leads_out() || !self.inhibits_four()),
            _ => self.leads_out() && !routed,
        }
    }
}

fn macvlan_mode(word: &str) -> Result<MacvlanMode> {
    match word {
        "" | "bridge" => Ok(MacvlanMode::Bridge),
        "private" => Ok(MacvlanMode::Private),
        "vepa" => Ok(MacvlanMode::Vepa),
        "passthru" => Ok(MacvlanMode::Passthru),
        _ => Err(Error::invalid(format!(
            "requested macvlan mode '{word}' is not valid, 'bridge' mode is the macvlan driver default"
        ))),
    }
}

fn ipvlan_mode(word: &str) -> Result<IpvlanMode> {
    match word {
        "" | "l2" => Ok(IpvlanMode::L2),
        "l3" => Ok(IpvlanMode::L3),
        "l3s" => Ok(IpvlanMode::L3s),
        _ => Err(Error::invalid(format!(
            "requested ipvlan mode '{word}' is not valid, 'l2' mode is the ipvlan driver default"
        ))),
    }
}

fn ipvlan_flag(word: &str) -> Result<IpvlanFlag> {
    match word {
        "" | "bridge" => Ok(IpvlanFlag::Bridge),
        "private" => Ok(IpvlanFlag::Private),
        "vepa" => Ok(IpvlanFlag::Vepa),
        _ => Err(Error::invalid(format!(
            "requested ipvlan flag '{word}' is not valid, 'bridge' is the ipvlan driver default"
        ))),
    }
}
