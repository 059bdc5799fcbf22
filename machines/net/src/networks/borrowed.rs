//! Bridges that somebody else made, and what was put on them: it is taken off again, and nothing else.
//!
//! ```text
//! <exec-root>/bridges/<name>     a line for each: `10.1.0.1/24`, an address that was not there before;
//!                                `loopback`, what is for the host's loopback did not come by it before
//! ```
//! A line is written before the deed, so that no crash forgets one. A boot forgets them all, as it does what they tell of.

use std::fs;
use std::io;
use std::path::PathBuf;

use dhow_sys::procfs::Procfs;

use crate::link::{Address, Change, Link, Links};

const LOOPBACK: &str = "loopback";
/// More is on no bridge.
const LONGEST: u64 = 64 * 1024;

/// What is known of them.
#[derive(Debug)]
pub(super) struct Borrowed {
    directory: PathBuf,
}

impl Borrowed {
    /// `directory` lies where a boot empties it.
    pub(super) const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// These addresses are about to be given to a bridge.
    pub(super) fn note_addresses(
        &self,
        links: &mut Links,
        bridge: &Link,
        addresses: &[Address],
    ) -> io::Result<()> {
        let there = links.addresses()?;
        let is_new = |new: &&Address| !there.iter().any(|(link, old)| *link == bridge.index && old == *new);
        addresses
            .iter()
            .filter(is_new)
            .try_for_each(|new| self.note(&bridge.name, &format!("{}/{}", new.address, new.prefix)))
    }

    /// What is for the host's loopback is about to come by a bridge.
    pub(super) fn note_loopback(&self, bridge: &str) -> io::Result<()> {
        let was_on = Procfs::at_proc()?.read(format!("sys/net/ipv4/conf/{bridge}/route_localnet"))?;
        if was_on.trim() == "0" { self.note(bridge, LOOPBACK) } else { Ok(()) }
    }

    /// Takes off a bridge what was put on it.
    pub(super) fn give_back(&self, links: &mut Links, bridge: &str) -> io::Result<()> {
        let noted = self.noted(bridge)?;
        if noted.is_empty() {
            return Ok(());
        }
        if let Some(found) = links.find(bridge)? {
            let addresses: Vec<Address> = noted.iter().filter_map(|line| address(line)).collect();
            keep_others(bridge, || {
                addresses.iter().try_for_each(|one| links.remove_address(found.index, *one))
            })?;
            if noted.iter().any(|line| line == LOOPBACK) {
                links.change(found.index, &Change { loopback: Some(false), ..Change::default() })?;
            }
            links.leave_loopback6(found.index)?;
        }
        fs::remove_file(self.directory.join(bridge))
    }

    /// The names of the bridges that something was put on.
    pub(super) fn all(&self) -> io::Result<Vec<String>> {
        match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            entries => entries?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
        }
    }

    fn note(&self, bridge: &str, line: &str) -> io::Result<()> {
        let mut noted = self.noted(bridge)?;
        if noted.iter().any(|known| known == line) {
            return Ok(());
        }
        noted.push(line.to_owned());
        fs::create_dir_all(&self.directory)?;
        // A name that is none of a link's would not have been found.
        let part = self.directory.join(format!("{bridge}/part").replace('/', " "));
        fs::write(&part, noted.join("\n"))?;
        fs::rename(part, self.directory.join(bridge))
    }

    fn noted(&self, bridge: &str) -> io::Result<Vec<String>> {
        let file = match fs::File::open(self.directory.join(bridge)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        let text = io::read_to_string(io::Read::take(file, LONGEST))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

fn address(line: &str) -> Option<Address> {
    let (address, prefix) = line.split_once('/')?;
    Some(Address { address: address.parse().ok()?, prefix: prefix.parse().ok()? })
}

/// The first address of a subnet takes the others of that subnet with it, unless it is said otherwise.
fn keep_others(bridge: &str, deed: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let switch = format!("sys/net/ipv4/conf/{bridge}/promote_secondaries");
    let procfs = Procfs::at_proc()?;
    let was = procfs.read(&switch)?;
    procfs.write(&switch, b"1")?;
    let done = deed();
    procfs.write(&switch, was.trim().as_bytes())?;
    done
}
