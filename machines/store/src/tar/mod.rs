//! The tar format: entries out of a stream, and into one. Nothing here touches a file.
//!
//! In reading order: [`Entry`] is what one member says about one file; [`Reader`] reads them from a
//! stream and [`Writer`] writes them; [`Limits`] is how much an archive may ask for; [`Error`] names
//! the entry and what is wrong with it.
//!
//! ```no_run
//! # use dhow_store::tar::{Entry, Limits, Reader, Writer};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut writer = Writer::new(Vec::new());
//! writer.append(&Entry::file("manifest.json", 2), &mut &b"[]"[..])?;
//! let bytes = writer.finish()?;
//!
//! let mut reader = Reader::new(&bytes[..], Limits::default());
//! while let Some(entry) = reader.next_entry()? {
//!     let mut contents = String::new();
//!     std::io::Read::read_to_string(&mut reader.contents(), &mut contents)?;
//!     println!("{:?}: {contents}", entry.path);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Read are v7, ustar, GNU (long names, base-256 numbers, old sparse files) and PAX (all records
//! that matter to a layer, sparse 0.0, 0.1 and 1.0). An archive that two programs could read
//! differently is refused: two names or sizes for one entry, contents of what has none, entries
//! behind a lone block of zeros. Written is ustar, with PAX records only where a value needs them.

mod assemble;
mod entry;
mod error;
mod header;
mod limits;
mod number;
mod pax;
mod reader;
mod sparse;
mod writer;

pub use entry::{Entry, EntryKind, Time};
pub(crate) use error::shown;
pub use error::{Error, Fault, Result};
pub use limits::Limits;
pub use reader::{Contents, Reader};
pub use writer::Writer;

/// Whether these bytes begin an archive that has an entry.
pub(crate) fn begins_archive(start: &[u8]) -> bool {
    start.first_chunk().is_some_and(|block| matches!(header::Header::parse(block), Ok(Some(_))))
}
