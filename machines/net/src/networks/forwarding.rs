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

    /// Whether the host was no router before.
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

    /// Lets the packets of a network through.
    pub(super) fn switch_on(network: &Network) -> io::Result<()> {
        let procfs = Procfs::at_proc()?;
        for (switch, wanted) in [(FOUR, network.ipv4), (SIX, network.ipv6)] {
            if wanted && is_off(&procfs, switch)? {
                procfs.write(switch, b"1")?;
            }
        }
        Ok(())
    }
}

fn is_off(procfs: &Procfs, switch: &str) -> io::Result<bool> {
    Ok(procfs.read(switch)?.trim() == "0")
}
