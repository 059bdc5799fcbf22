//! Layers: trees out of tars, and tars out of trees.
//!
//! | wanted | call |
//! |---|---|
//! | a layer into a directory below overlayfs | [`extract`](fn@extract) with [`ExtractOptions::layer`] |
//! | `docker cp` into a container | [`extract`](fn@extract) with [`ExtractOptions::copy_in`] |
//! | a layer of an overlay's upper directory (`commit`) | [`create`](fn@create) with [`CreateOptions::layer`] |
//! | a whole tree (`export`) | [`create`](fn@create) with [`CreateOptions::plain`] |
//! | `docker cp` out of a container | [`create_path`] with [`CreateOptions::plain`] |
//! | a stream decompressed, hashed on both sides | [`Decoder`] |
//! | what a writable layer changed (`diff`) | [`changes`](fn@changes) |
//! | an image's directory into an empty volume | [`copy_tree`] |
//! | a file or tree removed, however deep | [`remove`](fn@remove) |
//!
//! All take a directory as a handle, block, and use a second thread of their own. What they read
//! is decompressed by its first bytes, bounded by [`Limits`](crate::tar::Limits), and hashed on the
//! way: [`Extracted`] and [`Created`] have the digests. A layer is unpacked into a directory that
//! nobody uses yet and moved to its name when the digests are right.
//!
//! ```no_run
//! # use std::os::fd::AsFd;
//! # use dhow_store::layer::{CreateOptions, ExtractOptions, create, extract};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = std::fs::File::open("layers/new")?;
//! let extracted = extract(std::fs::File::open("layer.tar.gz")?, directory.as_fd(), &ExtractOptions::layer())?;
//! println!("{} is {} bytes", extracted.diff_id, extracted.size);
//!
//! let upper = std::fs::File::open("containers/c/rw")?;
//! let created = create(upper.as_fd(), &CreateOptions::layer(), &mut std::fs::File::create("new.tar")?)?;
//! println!("{:?} is {} bytes", created.digest, created.size);
//! # Ok(())
//! # }
//! ```

mod attributes;
mod changes;
mod compression;
mod copy;
mod create;
mod extract;
mod owners;
mod pipeline;
mod remove;
mod same;
mod tree;

pub use attributes::Skipped;
pub(crate) use attributes::is_overlay;
pub use changes::changes;
pub use compression::{Blob, Compression, Decoder};
pub use copy::{Copied, copy_attributes, copy_tree};
pub use create::{CreateOptions, Created, Form, create, create_path};
pub use extract::{
    ExtractOptions, Extracted, Whiteouts, extract, extract_in_container, extract_plain, extract_unhashed,
};
pub(crate) use extract::{OPAQUE_NAME, PREFIX};
pub use remove::remove;
pub(crate) use same::difference;
pub(crate) use tree::{clean, components, split};
