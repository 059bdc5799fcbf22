//! Our nouns, their legal moves, error kinds, and the ports by which rules reach the world.
//!
//! In reading order: [`error`] says what can go wrong and of which kind it is; [`container`] is a
//! container as it is recorded: what was asked for ([`container::Config`], [`container::HostConfig`])
//! and what became of it ([`container::State`]); [`image`], [`network`], [`volume`] and [`event`] are the other
//! nouns; [`time`] and [`duration`] are instants and lengths of time as Docker writes them; [`ports`] are the
//! traits that the machines implement.
//!
//! The settings of a container have the names and the JSON form of Docker's `Config` and
//! `HostConfig`: they are the words of the field, the record on disk and the form on the wire.

pub mod container;
pub mod duration;
pub mod error;
pub mod event;
pub mod image;
pub mod network;
pub mod ports;
pub mod time;
pub mod volume;

pub use container::{Container, ContainerId, ContainerName};
pub use error::{Error, Kind, Result};
pub use event::Event;
pub use image::{Image, ImageId};
pub use network::Network;
pub use time::Timestamp;
pub use volume::Volume;
