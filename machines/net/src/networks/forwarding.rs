//! The switches that let a host carry packets of others, and what they were before the engine came.

use std::io;
use std::path::PathBuf;

use dhow_model::network::Network;
use dhow_sys::procfs::Procfs;

const FOUR: &str = "sys/net/ipv4/ip_forward";
const SIX: &str = "sys/net/ipv6/conf/all/forwarding";

/// Forwarding of the host.
#[derive(Debug)]
pub(super) struct Forwarding {
    /// A file that is there when the engine switched it on; it is forgotten with the next boot, as the switch is.
    mark: PathBuf,
}

impl Forwarding {
    /// `mark` lies in a directory that a boot empties.
    pub(super) const fn new(mark: PathBuf) -> Self {
        Self { mark }
    }

    /// Whether the engine made the host a router of version 6, which it does when a network wants it only: until then
    /// the switch is the host's own.
    pub(super) fn was_off6(&self) -> io::Result<bool> {
        self.mark6().try_exists()
    }

    /// Notes that the engine is about to, and answers that it is: the host is no router of version 6.
    pub(super) fn begins6(&self) -> io::Result<bool> {
        let off = match is_off(&Procfs::at_proc()?, SIX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            read => read?,
        };
        if off {
            std::fs::write(self.mark6(), b"")?;
        }
        Ok(off)
    }

    fn mark6(&self) -> PathBuf {
        self.mark.with_extension("6")
    }

    /// Whether the host was no router of version 4 before.
    pub(super) fn was_off(&self) -> io::Result<bool> {
        if self.mark.try_exists()? {
            return Ok(true);
        }
        let off = is_off(&Procfs::at_proc()?, FOUR)?;
        if off {
            std::fs::write(&self.mark, b"")?;
        }
        Ok(off)
    }

    /// Lets the packets of a network through. `links` are those of the host: a kernel that forwards believes no router on
    /// them any more, and forgets the way out that one told of, unless it is told to believe all the same. Answers the
    /// versions of which it makes the host a router.
    pub(super) fn switch_on<'a>(
        network: &Network,
        mut links: impl Iterator<Item = &'a str>,
    ) -> io::Result<Vec<u8>> {
        let procfs = Procfs::at_proc()?;
        if network.ipv6 && is_off(&procfs, SIX)? {
            links.try_for_each(|link| keep_routers(&procfs, link))?;
        }
        let mut new = Vec::new();
        for (version, switch, wanted) in [(4, FOUR, network.ipv4), (6, SIX, network.ipv6)] {
            if wanted && is_off(&procfs, switch)? {
                procfs.write(switch, b"1")?;
                new.push(version);
            }
        }
        Ok(new)
    }
}

/// Linux, `Documentation/networking/ip-sysctl.rst`, `accept_ra`: 1 is "unless it forwards", 2 is "always".
fn keep_routers(procfs: &Procfs, link: &str) -> io::Result<()> {
    let switch = format!("sys/net/ipv6/conf/{link}/accept_ra");
    match procfs.read(&switch) {
        Ok(believes) if believes.trim() == "1" => procfs.write(&switch, b"2"),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_off(procfs: &Procfs, switch: &str) -> io::Result<bool> {
    Ok(procfs.read(switch)?.trim() == "0")
}
