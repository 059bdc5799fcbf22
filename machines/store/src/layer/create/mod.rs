//! Makes a tar of a directory: the same tree gives the same bytes.
//!
//! Names are in byte order, a directory stands before what is in it, numbers are decimal ids without
//! names, and nothing depends on where the tree lies, how its files are laid out or when it is read.
//! One thread walks and reads, the calling one hashes and writes.

mod describe;
mod walk;

use std::io::Write;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::thread;

use dhow_model::container::UserMap;
use dhow_oci::Digest;

pub(super) use self::describe::{Xattrs, describe};
use self::walk::Walk;
pub(super) use self::walk::next_data;
use super::pipeline::{Hashing, PipeReader, PipeWriter, pipe};
use crate::tar::{Error, Limits, Result, Writer};

/// How a tree becomes a tar.
#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    /// What overlayfs' marks mean.
    pub form: Form,
    /// Write an entry `./` for the directory itself.
    pub root_entry: bool,
    /// Hash what is written.
    pub hashed: bool,
    /// How deep the tree may be.
    pub limits: Limits,
    /// The tree is that of a container in a user namespace, seen from the host; the tar is what it sees.
    pub users: Option<Arc<UserMap>>,
}

/// What is to be described.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// The upper directory of an overlay: its marks of what was deleted become `.wh.` names.
    #[default]
    Overlay,
    /// A tree as it is.
    Plain,
}

impl CreateOptions {
    /// A layer from the upper directory of an overlay (`commit`).
    #[must_use]
    pub fn layer() -> Self {
        Self { hashed: true, ..Self::default() }
    }

    /// A whole tree (`export`, `cp`).
    #[must_use]
    pub fn plain() -> Self {
        Self { form: Form::Plain, ..Self::default() }
    }

    /// The same of a container in a user namespace, seen from the host.
    #[must_use]
    pub fn seen_from_host(users: Option<Arc<UserMap>>) -> Self {
        Self { users, ..Self::plain() }
    }
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// Digest of the tar, when asked for: for a layer its diff id.
    pub digest: Option<Digest>,
    /// Bytes of the tar.
    pub size: u64,
}

/// Writes all that is in a directory.
///
/// # Errors
/// When something cannot be read, changes while it is read, or has no place in a tar.
pub fn create(directory: BorrowedFd<'_>, options: &CreateOptions, out: &mut dyn Write) -> Result<Created> {
    run(options, out, |writer| Walk::new(options, writer).tree(directory))
}

/// Writes one file or directory, `name` below `parent`, under the name `rename` (`docker cp`).
///
/// # Errors
/// Those of [`create`], and when there is no such file.
pub fn create_path(
    (parent, name): (BorrowedFd<'_>, &[u8]),
    rename: &[u8],
    options: &CreateOptions,
    out: &mut dyn Write,
) -> Result<Created> {
    run(options, out, |writer| Walk::new(options, writer).path(parent, name, rename))
}

fn run(
    options: &CreateOptions,
    out: &mut dyn Write,
    walk: impl FnOnce(Writer<PipeWriter>) -> Result<Writer<PipeWriter>> + Send,
) -> Result<Created> {
    let (writer, reader) = pipe(if options.hashed { Hashing::WhenRead } else { Hashing::Never });
    let (walked, written) = thread::scope(|scope| {
        let walking = scope.spawn(|| -> Result<()> {
            let end = walk(Writer::new(writer))?.finish()?.end();
            end.map(drop).map_err(|error| Error::stream("the archive cannot be written", error))
        });
        let written = write(reader, out);
        (walking.join(), written)
    });
    let walked = walked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    match (written, walked) {
        // When walking failed the writer saw a stream cut off; when writing failed the walker saw a broken pipe.
        (Err(error), _) if error.fault() == crate::tar::Fault::System => Err(error),
        (_, Err(error)) | (Err(error), _) => Err(error),
        (Ok(created), Ok(())) => Ok(created),
    }
}

fn write(mut reader: PipeReader, out: &mut dyn Write) -> Result<Created> {
    use std::io::BufRead as _;
    loop {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        out.write_all(piece).map_err(|error| Error::system("the archive cannot be written", error))?;
        let length = piece.len();
        reader.consume(length);
    }
    out.flush().map_err(|error| Error::system("the archive cannot be written", error))?;
    let (digest, size) = reader.drain()?;
    Ok(Created { digest, size })
}
