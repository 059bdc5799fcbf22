//! Networks of containers on this host: the port of the engine's rules.

mod annex;
mod borrowed;
mod bridges;
mod claim;
mod connect;
mod direct;
mod forwarding;
mod guard;
mod ipv6;
mod pool;
mod ports;
mod spare;
mod sysctls;
mod table;
mod ways;

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use dhow_model::network::{Driver, Network, Prefix};
use dhow_model::ports::{Carrier, LinkPlan, NetworkSpace, Networks, Publication, ShouldBe, UserSpace, Way};
use dhow_model::{ContainerId, Error, Kind, Result};
use dhow_sys::trace::mark;

use crate::dns::{Listeners, Server};
use crate::firewall::{Elsewhere, Protocol};
use crate::link::{Address, Index, Links};
use crate::sandbox::Sandbox;
use annex::{Annex, Rooms};
use borrowed::Borrowed;
use bridges::Loopback;
use claim::Claim;
use connect::{configure, inside};
use forwarding::Forwarding;
use guard::Guard;
pub use guard::{HostPolicy, PublishPolicy};
use pool::Pool;
use table::table;

/// Networks in the namespace that the engine runs in.
#[derive(Debug)]
pub struct HostNetworks {
    /// What links of ours are marked with: other engines may have theirs here.
    mark: String,
    links: Mutex<Option<Links>>,
    borrowed: Borrowed,
    guard: Guard,
    forwarding: Forwarding,
    policy: HostPolicy,
    server: Server,
    plain: Pool,
    named: Pool,
    rooms: Rooms,
    elsewhere: Elsewhere,
}

impl HostNetworks {
    /// For the engine whose data are at `data_root`, whose state of this boot is at `exec_root`, and whose containers
    /// ask `server` for names. Nothing is touched before a network is used.
    #[must_use]
    pub fn new(data_root: &Path, exec_root: &Path, server: Server, policy: HostPolicy) -> Self {
        Self {
            mark: format!("{}{}", bridges::MARK, data_root.display()),
            links: Mutex::new(None),
            borrowed: Borrowed::new(exec_root.join("bridges")),
            guard: Guard::new(table(data_root), policy),
            forwarding: Forwarding::new(exec_root.join("forwarding-was-off")),
            policy,
            server,
            plain: Pool::of(spare::pair),
            named: Pool::of(spare::pair_and_listeners),
            rooms: Rooms::default(),
            elsewhere: Elsewhere::default(),
        }
    }

    /// Does something with the links of the host.
    fn with_links<T>(&self, deed: impl FnOnce(&mut Links) -> io::Result<T>) -> io::Result<T> {
        let mut held = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let links = match &mut *held {
            Some(links) => links,
            none => none.insert(Links::open()?),
        };
        deed(links)
    }

    /// Another bridge with addresses of a network that has none yet.
    fn holder(&self, network: &Network) -> io::Result<Option<String>> {
        self.with_links(|links| match links.find(&network.bridge())? {
            Some(_) => Ok(None),
            None => claim::holder(links, network),
        })
    }

    /// The rules come before the bridge: nothing is ever open that should not be.
    fn set_up_bridge(&self, network: &Network) -> io::Result<()> {
        self.guard.add(network, &self.forwarding)?;
        self.with_links(|links| bridges::make(links, network, &self.mark, &self.borrowed))?;
        // One that was made anew, or by another engine.
        self.open_loopback(&network.bridge(), Loopback::default())?;
        let forwarded = self.policy.forwarding && !network.internal;
        if !forwarded {
            return Ok(());
        }
        // A later engine may want to know what the host was before.
        self.forwarding.was_off()?;
        if network.ipv6 && self.forwarding.begins6()? {
            self.guard.drop_strangers6()?;
        }
        let links = self.with_links(Links::all)?;
        let new = Forwarding::switch_on(network, links.iter().map(|link| link.name.as_str()))?;
        for version in new.into_iter().filter(|_| self.policy.rules && !self.policy.forwards_strangers) {
            tracing::info!(
                "the host is a router of IPv{version} now, for containers only: what else it would route, as for virtual \
                 machines or a VPN, is dropped (--ip-forward-no-drop lets it pass)"
            );
        }
        Ok(())
    }

    /// Lets what is published on addresses of the loopback come back by a bridge, where it did not `before`.
    fn open_loopback(&self, bridge: &str, before: Loopback) -> io::Result<()> {
        let open = self.guard.opens(bridge);
        if open == before {
            return Ok(());
        }
        self.with_links(|links| {
            if (before.four && !open.four) || (before.six && !open.six) {
                bridges::close_loopbacks(links, std::iter::once(bridge), &self.mark)?;
            }
            bridges::open_loopback(links, bridge, open, (&self.mark, &self.borrowed))
        })
    }

    fn take_down_bridge(&self, network: &Network) -> io::Result<()> {
        let name = network.bridge();
        self.rooms.forget(&name);
        let annexes = self.with_links(|links| {
            bridges::remove(links, &name, &self.mark)?;
            self.borrowed.give_back(links, &name)?;
            let annexes = Annex::all(links, &name)?;
            annexes.iter().try_for_each(|annex| annex.remove(links))?;
            Ok(annexes)
        })?;
        annexes.iter().try_for_each(|annex| self.guard.remove(&annex.bridge))?;
        self.guard.remove(&name)
    }

    fn replace_rules(&self, should_be: &ShouldBe) -> io::Result<()> {
        let mut annexes = Vec::new();
        for network in &should_be.used {
            let found = self.with_links(|links| Annex::all(links, &network.bridge()))?;
            annexes.extend(found.into_iter().map(|annex| (network.bridge(), annex.bridge)));
        }
        self.guard.replace(&should_be.used, &annexes, &should_be.published, &self.forwarding)
    }
}

/// What a client asked for and this host has not is not the engine's fault.
fn refused(error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::InvalidInput => Kind::InvalidArgument,
        io::ErrorKind::Unsupported => Kind::NotImplemented,
        _ => Kind::Internal,
    };
    Error::new(kind, error.to_string())
}

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |error| Error::internal(what).because(error)
}

impl Networks for HostNetworks {
    fn used_by_host(&self) -> Result<Vec<(Prefix, String)>> {
        self.with_links(used).map_err(failed("cannot look at the host's networks"))
    }

    fn has_bridge(&self, name: &str) -> Result<Option<bool>> {
        let found = self.with_links(|links| links.find(name));
        let found = found.map_err(failed(format!("cannot look for the bridge {name}")))?;
        Ok(found.map(|link| link.kind == "bridge"))
    }

    fn set_up(&self, network: &Network) -> Result<()> {
        if network.driver == Driver::Bridge {
            let what = || format!("cannot make the bridge {} of network {}", network.bridge(), network.name);
            let _claim = Claim::wait().map_err(failed(what()))?;
            if let Some(other) = self.holder(network).map_err(failed(what()))? {
                let words = format!("{}: the bridge {other} has addresses of it", what());
                return Err(Error::conflict(words));
            }
            return self.set_up_bridge(network).map_err(failed(what()));
        }
        let Some(direct) = network.direct()? else { return Ok(()) };
        self.with_links(|links| direct::make(links, &direct, &network.own_parent(), &self.mark))
            .map_err(|error| refused(&error))
    }

    fn take_down(&self, network: &Network) -> Result<()> {
        if let Some(direct) = network.direct()? {
            let removed = self.with_links(|links| direct::remove(links, &direct.parent, &self.mark));
            return removed.map_err(failed(format!("cannot remove the link {}", direct.parent)));
        }
        self.take_down_bridge(network)
            .map_err(failed(format!("cannot remove the bridge {}", network.bridge())))
    }

    fn restore(&self, should_be: &ShouldBe) -> Result<Vec<String>> {
        let missing = self
            .with_links(|links| bridges::tidy(links, should_be, &self.mark, &self.borrowed))
            .map_err(failed("cannot remove links that nobody needs"))?;
        let bridges: Vec<String> = should_be.known.iter().map(Network::bridge).collect();
        let publishes = |bridge: &&str| {
            self.policy.rules && should_be.published.iter().any(|publication| publication.bridge == **bridge)
        };
        let closed = bridges.iter().map(String::as_str).filter(|bridge| !publishes(bridge));
        self.with_links(|links| bridges::close_loopbacks(links, closed, &self.mark))
            .map_err(failed("cannot keep others away from the loopback"))?;
        self.guard.clear_unwanted();
        if should_be.used.is_empty() {
            return Ok(missing);
        }
        self.replace_rules(should_be).map_err(failed("cannot put the firewall in place"))?;
        should_be.used.iter().try_for_each(|network| self.set_up(network))?;
        Ok(missing)
    }

    fn attach(&self, network: &Network, interfaces: &[String]) -> Result<()> {
        let name = network.bridge();
        let attached = self.attach_again(network, interfaces);
        attached.map_err(failed(format!("cannot connect to the bridge {name} again")))
    }

    fn space(&self, driver: Driver, names: bool) -> Result<NetworkSpace> {
        let pool = if names { &self.named } else { &self.plain };
        // What waits has an end of a pair of links in it, for which only a bridge has a use.
        let space = if driver == Driver::Bridge { pool.take() } else { pool::new() };
        let space = space.map_err(failed("cannot make a network namespace"))?;
        mark("network space taken");
        Ok(space)
    }

    fn space_in(&self, user: &UserSpace) -> Result<NetworkSpace> {
        let prepared = match user.network() {
            Some(network) => pool::of_user(network),
            None => Err(std::io::Error::other("none was made with its user namespace")),
        };
        prepared.map_err(failed("cannot prepare a network namespace"))
    }

    fn space_of(&self, pid: i32) -> Result<NetworkSpace> {
        let sandbox = Sandbox::at(format!("/proc/{pid}/ns/net").into());
        let sandbox =
            sandbox.map_err(failed(format!("cannot open the network namespace of process {pid}")))?;
        Ok(sandbox.into_space())
    }

    fn obstacles(&self) -> Vec<String> {
        self.guard.obstacles()
    }

    fn connect(&self, space: &NetworkSpace, plan: &LinkPlan) -> Result<()> {
        match &plan.carrier {
            Carrier::Bridge { name, isolated, .. } => {
                let what = || format!("cannot connect to the bridge {name}");
                self.join(space, plan, name, *isolated).map_err(failed(what()))?;
                mark("on its bridge");
                configure(space, plan).map_err(failed(what()))?;
                mark("addressed");
                Ok(())
            }
            Carrier::Direct(direct) => {
                let what = || format!("cannot connect to the parent interface {}", direct.parent);
                self.connect_direct(space, plan, direct).map_err(failed(what()))
            }
        }
    }

    fn order_ways(&self, space: &NetworkSpace, order: &[(String, Vec<Way>)]) -> Result<()> {
        let ordered = inside(space).and_then(|mut links| ways::order(&mut links, order));
        ordered.map_err(failed("cannot order the ways out"))
    }

    fn has_link(&self, space: &NetworkSpace, interface: &str) -> Result<bool> {
        let found = inside(space).and_then(|mut links| links.find(interface));
        Ok(found.map_err(failed(format!("cannot look for the link {interface}")))?.is_some())
    }

    fn disconnect(&self, host_interface: &str) -> Result<()> {
        let removed = self.with_links(|links| match links.find(host_interface)? {
            Some(link) => links.remove(link.index),
            None => Ok(()),
        });
        removed.map_err(failed(format!("cannot remove the link {host_interface}")))
    }

    fn disconnect_inside(&self, space: &NetworkSpace, interface: &str) -> Result<()> {
        let removed = inside(space).and_then(|mut links| match links.find(interface)? {
            Some(link) => links.remove(link.index),
            None => Ok(()),
        });
        removed.map_err(failed(format!("cannot remove the link {interface}")))
    }

    fn serve_names(&self, container: &ContainerId, space: &NetworkSpace) -> Result<()> {
        let opened = match space.take_listeners() {
            Some(spare) => Listeners::from_spare(spare, space.handle())
                .and_then(|listeners| self.server.serve(container, listeners)),
            None => self.server.open(container, space.handle().as_fd()),
        };
        opened.map_err(failed("cannot serve names to the container"))?;
        mark("names served");
        Ok(())
    }

    fn stop_names(&self, container: &ContainerId) {
        self.server.close(container);
    }

    fn look_up(&self, name: &str) -> Result<Vec<IpAddr>> {
        self.server.look_up(name).map_err(failed("cannot look up a name"))
    }

    fn check_port(&self, protocol: &str, host: IpAddr, port: u16) -> Result<()> {
        ports::check(protocol, host, port).map_err(|error| {
            let (kind, words) = match error.kind() {
                io::ErrorKind::AddrInUse => (Kind::Conflict, "address already in use"),
                io::ErrorKind::AddrNotAvailable => (Kind::InvalidArgument, "cannot assign requested address"),
                _ => return failed("cannot bind")(error),
            };
            Error::new(kind, words)
        })?;
        let number = match protocol {
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => Protocol::Tcp,
        };
        match self.elsewhere.holder(self.guard.name(), number.number(), host, port) {
            Ok(Some(table)) => Err(Error::conflict(format!(
                "port is already allocated by another engine of this host (table inet {table})"
            ))),
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::debug!("look for what other engines publish: {error}");
                Ok(())
            }
        }
    }

    fn publish(&self, publication: &Publication) -> Result<()> {
        let before = self.guard.opens(&publication.bridge);
        let published = self.guard.publish(publication);
        // The rules are in force before anything comes by the bridge that they keep away.
        let published = published.and_then(|()| {
            self.open_loopback(&publication.bridge, before).inspect_err(|_| {
                if let Err(error) = self.guard.unpublish(publication) {
                    tracing::warn!("take published ports back: {error}");
                }
            })
        });
        published.map_err(failed("cannot publish ports"))
    }

    fn unpublish(&self, publication: &Publication) -> Result<()> {
        let before = self.guard.opens(&publication.bridge);
        let gone = self.guard.unpublish(publication);
        let gone = gone.and_then(|()| self.open_loopback(&publication.bridge, before));
        gone.map_err(failed("cannot take published ports back"))
    }
}

/// Blocks of the host's addresses and routes, with the names of their links.
fn used(links: &mut Links) -> io::Result<Vec<(Prefix, String)>> {
    let names: Vec<(Index, String)> = links.all()?.into_iter().map(|link| (link.index, link.name)).collect();
    let name = |link: Option<Index>| {
        names.iter().find(|(index, _)| Some(*index) == link).map(|(_, name)| name.clone())
    };
    let addresses = links.addresses()?.into_iter().map(|(link, address)| (address, name(Some(link))));
    let routes = links.routes()?.into_iter();
    let routes = routes.filter_map(|route| Some((route.destination?, name(route.link))));
    let block = |(address, name): (Address, Option<String>)| {
        (Prefix::new(address.address, address.prefix), name.unwrap_or_default())
    };
    Ok(addresses.chain(routes).map(block).collect())
}
