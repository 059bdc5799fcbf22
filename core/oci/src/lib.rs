//! Published OCI formats as types; opens no file, no socket.
//!
//! In reading order: [`Digest`] names a blob by its content, [`Reference`] names an image in a
//! repository, [`Platform`] says where it runs; [`image`] has manifest, index and configuration,
//! and the rule that makes chain ids of diff ids; [`runtime`] has the bundle configuration,
//! [`capabilities`] and [`profile`] what Docker gives a container by default, and [`cdi`] the devices that a
//! vendor describes.

pub mod capabilities;
pub mod cdi;
pub mod digest;
pub mod image;
pub mod platform;
pub mod profile;
pub mod reference;
pub mod runtime;

pub use digest::Digest;
pub use image::{ChainId, Descriptor, DiffId, History, ImageConfig, Index, Manifest};
pub use platform::Platform;
pub use reference::Reference;
