//! The recipe of a layer: how its tree becomes the very tar it came from (docs/formats/layer-recipe.md).
//!
//! [`record`] writes it while the tar streams past, [`replay`](fn@replay) makes the tar again.

mod record;
mod replay;

pub(crate) use record::{Left, Recorder};
pub(crate) use replay::replay;

const MAGIC: &[u8; 16] = b"dhow recipe 1\0\0\0";
const LITERAL: u8 = b'L';
const FILE: u8 = b'F';
const END: u8 = b'E';

/// The longest literal; longer ones are written as several.
const LITERAL_MAX: usize = 1 << 20;
const PATH_MAX: usize = 4_096;
