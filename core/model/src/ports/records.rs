//! Records: what must still be known after the engine ends.

use std::sync::Arc;

use crate::{Container, ContainerId, Network, Result};

/// What a record owes to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It outlives a power cut before the call returns.
    Committed,
    /// It outlives the engine's death at once, and a power cut a second later: nobody waits for the disk to
    /// hear that a container runs or has ended.
    Soon,
    /// It outlives the engine's death, but owes nothing to a power cut (a `--rm` container).
    Relaxed,
}

/// The containers and networks on record.
pub trait Records: Send + Sync {
    /// All containers, in the order of their creation.
    fn containers(&self) -> Result<Vec<Arc<Container>>>;

    /// Adds or replaces one.
    fn put_container(&self, container: &Container, durability: Durability) -> Result<()>;

    /// Forgets one; it is no error when it is not there.
    fn delete_container(&self, id: &ContainerId, durability: Durability) -> Result<()>;

    /// All networks.
    fn networks(&self) -> Result<Vec<Network>>;

    /// Adds or replaces one; it outlives a power cut.
    fn put_network(&self, network: &Network) -> Result<()>;

    /// Forgets one; it is no error when it is not there.
    fn delete_network(&self, id: &str) -> Result<()>;
}
