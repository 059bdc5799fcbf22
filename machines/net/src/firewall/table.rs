//! One engine's table in the kernel.

use std::io;

use rustix::io::Errno;

use super::connections;
use super::constants as nf;
use super::encode::{self, SUBSYSTEM, Step};
use super::language::{Element, Home};
use super::others;
use super::plan;
use super::rules::{Network, Port, Rules};
use crate::netlink::{Failure, Message, Refused, Socket, attributes};

/// `struct nfgenmsg`.
const START: usize = 4;
const OWNED: u32 = nf::NFT_TABLE_F_OWNER | nf::NFT_TABLE_F_PERSIST;

/// A table, and the rules that are in it. It stays in force when this is dropped.
#[derive(Debug)]
pub struct Firewall {
    socket: Socket,
    name: String,
    rules: Rules,
    /// Flags of the table: whether the kernel lets nobody else change it.
    flags: u32,
    /// The kernel's numbers of the tables that we made last.
    handles: Vec<u64>,
}

/// Who may change our table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// This engine alone, where the kernel can keep it so: flushing all tables leaves ours.
    Exclusive,
    /// Everybody who may change the others.
    Shared,
}

/// What the kernel has by our table's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    home: Home,
    flags: u32,
    owner: u32,
    handle: u64,
}

impl Firewall {
    /// For a table of this name, in the network namespace that this thread is in. Nothing is changed yet.
    ///
    /// # Errors
    /// The kernel's; `InvalidInput` for a name that no table can have.
    pub fn open(name: &str, ownership: Ownership) -> io::Result<Self> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(good) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{name:?} cannot be a table's name"),
            ));
        }
        let socket = Socket::netfilter()?;
        let flags = if ownership == Ownership::Exclusive { OWNED } else { 0 };
        Ok(Self { socket, name: name.to_owned(), rules: Rules::default(), flags, handles: Vec::new() })
    }

    /// Name of the table.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The rules that are in force by this.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Puts these rules in place of whatever is there, in one transaction: no packet meets half of them.
    /// Connections that there are go on.
    ///
    /// # Errors
    /// The kernel's, naming what it refused: nothing was changed then.
    pub fn replace(&mut self, rules: Rules) -> io::Result<()> {
        rules.check()?;
        let mut steps = self.clear()?;
        let at = steps.len();
        for table in plan::tables(&self.name, &rules) {
            steps.push(encode::add_table(table.home, &self.name, self.flags));
            steps.extend(encode::contents(&table));
        }
        match self.commit(&steps) {
            // This kernel has no owners of tables, or none that a table outlives.
            Err((Some(index), _)) if index == at && self.flags > 0 => {
                self.flags = 0;
                return self.replace(rules);
            }
            done => done.map_err(|(_, error)| error)?,
        }
        self.handles = self.find_all()?.iter().map(|found| found.handle).collect();
        self.rules = rules;
        Ok(())
    }

    /// Puts the same rules in place again.
    pub(super) fn restore(&mut self) -> io::Result<()> {
        self.replace(self.rules.clone())
    }

    /// The table is the one that we made, whatever may have been changed in it.
    pub(super) fn is_there(&mut self) -> bool {
        self.find_all().is_ok_and(|all| all.iter().map(|found| &found.handle).eq(&self.handles))
    }

    /// The number by which the kernel knows our socket.
    pub(super) fn number(&self) -> io::Result<u32> {
        self.socket.number()
    }

    /// Adds a network: before its first container is joined, for until then nothing keeps it apart.
    ///
    /// # Errors
    /// The kernel's, naming what it refused: nothing was changed then.
    pub fn add_network(&mut self, network: Network) -> io::Result<()> {
        network.check()?;
        self.change(&[], &plan::network_elements(&network, &self.rules.policy))?;
        self.rules.networks.push(network);
        Ok(())
    }

    /// Removes a network, and what is published of it.
    ///
    /// # Errors
    /// The kernel's, naming what it refused: nothing was changed then.
    pub fn remove_network(&mut self, bridge: &str) -> io::Result<()> {
        let policy = &self.rules.policy;
        let networks = self.rules.networks.iter().filter(|network| network.bridge == bridge);
        let mut gone: Vec<Element> =
            networks.flat_map(|network| plan::network_elements(network, policy)).collect();
        let ports = self.rules.ports.iter().filter(|port| port.bridge == bridge);
        gone.extend(plan::ports_elements(ports, &[], &self.rules));
        self.change(&gone, &[])?;
        self.rules.networks.retain(|network| network.bridge != bridge);
        let (gone, left) =
            std::mem::take(&mut self.rules.ports).into_iter().partition(|port| port.bridge == bridge);
        self.rules.ports = left;
        self.forget(&gone, &[]);
        Ok(())
    }

    /// Takes some published ports away and adds others, in one transaction.
    ///
    /// # Errors
    /// The kernel's, naming what it refused: nothing was changed then. `EEXIST` when a port is taken.
    pub fn publish(&mut self, gone: &[Port], new: &[Port]) -> io::Result<()> {
        new.iter().try_for_each(|port| self.rules.check_port(port))?;
        let touched = |port: &&Port| gone.iter().chain(new).any(|other| other.container == port.container);
        let stay = self.rules.ports.iter().filter(|port| !gone.contains(port)).filter(touched);
        let stay: Vec<&Port> = stay.collect();
        let elements = |ports: &[Port]| plan::ports_elements(ports, &stay, &self.rules);
        self.change(&elements(gone), &elements(new))?;
        self.rules.ports.retain(|port| !gone.contains(port));
        self.rules.ports.extend_from_slice(new);
        self.forget(gone, new);
        Ok(())
    }

    /// Takes the table away, and all that is in it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(mut self) -> io::Result<()> {
        let steps = self.clear()?;
        if steps.is_empty() {
            return Ok(());
        }
        self.commit(&steps).map_err(|(_, error)| error)
    }

    /// The ports are as they should be, and what remembers them ends by itself in minutes: this is no reason to
    /// say that they are not.
    fn forget(&mut self, gone: &[Port], new: &[Port]) {
        if let Err(error) = connections::forget(&mut self.socket, gone, new) {
            tracing::warn!("{error}");
        }
    }

    /// Chains of tables that are not `ours` which drop what is routed unless they say otherwise, as `ip filter FORWARD`. We let
    /// packets of containers pass, but what one chain lets pass the next may drop: such a host must let them pass, too. What
    /// the older iptables has is not seen.
    ///
    /// # Errors
    /// The kernel's.
    pub fn obstacles(ours: &str) -> io::Result<Vec<String>> {
        others::dropping(&mut Socket::netfilter()?, ours).map_err(|failure| told("list chains", &failure))
    }

    fn change(&mut self, gone: &[Element], new: &[Element]) -> io::Result<()> {
        let gone = gone.iter().map(|element| encode::delete_element(&self.name, element));
        let new = new.iter().map(|element| encode::add_element(&self.name, element));
        let steps: Vec<Step> = gone.chain(new).collect();
        if steps.is_empty() {
            return Ok(());
        }
        self.commit(&steps).map_err(|(_, error)| error)
    }

    /// What makes room for a new table.
    fn clear(&mut self) -> io::Result<Vec<Step>> {
        let ours = self.socket.number()?;
        let mut steps = Vec::new();
        for found in self.find_all()? {
            let owned = found.flags & nf::NFT_TABLE_F_OWNER != 0;
            if owned && found.owner == 0 {
                // Its owner is gone; it is ours by adoption.
                steps.push(encode::add_table(found.home, &self.name, OWNED));
            } else if owned && found.owner != ours {
                let sentence = format!("another engine has the table {} {}", found.home.names().1, self.name);
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, sentence));
            }
            steps.push(encode::delete_table(found.home, &self.name));
        }
        Ok(steps)
    }

    fn find_all(&mut self) -> io::Result<Vec<Found>> {
        let mut all = Vec::new();
        for home in [Home::Both, Home::Four, Home::Six] {
            all.extend(self.find(home)?);
        }
        Ok(all)
    }

    fn find(&mut self, home: Home) -> io::Result<Option<Found>> {
        let mut question = encode::request(home, nf::NFT_MSG_GETTABLE, 0);
        question.text(nf::NFTA_TABLE_NAME, &self.name);
        let read = |answer: &[u8]| {
            let all = attributes(answer.get(START..)?);
            let number = |kind| all.get(kind).and_then(read_number).unwrap_or_default();
            let handle = u64::from_be_bytes(all.get(nf::NFTA_TABLE_HANDLE)?.try_into().ok()?);
            Some(Found {
                home,
                flags: number(nf::NFTA_TABLE_FLAGS),
                owner: number(nf::NFTA_TABLE_OWNER),
                handle,
            })
        };
        match self.socket.ask(&question, read) {
            Err(failure) if failure.errno == Errno::NOENT => Ok(None),
            Err(failure) => {
                Err(told(&format!("look for the table {} {}", home.names().1, self.name), &failure))
            }
            Ok(found) => Ok(Some(found)),
        }
    }

    fn commit(&mut self, steps: &[Step]) -> Result<(), (Option<usize>, io::Error)> {
        let messages: Vec<&Message> = steps.iter().map(|step| &step.message).collect();
        self.socket.transaction(SUBSYSTEM, &messages).map_err(|Refused { index, failure }| {
            let what = index.and_then(|index| steps.get(index)).map(|step| step.what.as_str());
            (index, told(what.unwrap_or("change the firewall"), &failure))
        })
    }
}

fn read_number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

fn told(what: &str, failure: &Failure) -> io::Error {
    io::Error::new(io::Error::from(failure.errno).kind(), format!("cannot {what}: {failure}"))
}
