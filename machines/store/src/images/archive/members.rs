//! The files of an archive, staged as they stream past.
//!
//! Layers may come before the document that names them, so all are written to the stage first; the
//! disk bounds that, not memory. A member that is a link (old archives share layers so) leads to
//! another member, never to a file of this machine.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Write as _};
use std::path::PathBuf;

use super::invalid;
use crate::blobs::JSON_MAX;
use crate::error::{Context as _, Result};
use crate::layer::Decoder;
use crate::layout::make_directory;
use crate::staging::Stage;
use crate::tar::{EntryKind, Limits, Reader, shown};

/// An archive of images has a few files a layer; a million is something else.
const ENTRIES: u64 = 100_000;
const LINKS: usize = 8;

/// The members of one archive by their clean names.
#[derive(Debug)]
pub(super) struct Members {
    directory: PathBuf,
    members: HashMap<String, Member>,
}

#[derive(Debug)]
enum Member {
    File { number: usize, size: u64 },
    Link(String),
}

impl Members {
    /// Reads the whole archive.
    pub(super) fn stage(stage: &Stage, archive: &mut dyn Read) -> Result<Self> {
        let directory = stage.path().join("members");
        make_directory(&directory, 0o700)?;
        let limits = Limits { entries: ENTRIES, ..Limits::default() };
        let decoder = Decoder::new(archive, false, &limits).map_err(invalid_tar)?;
        let mut reader = Reader::new(BufReader::with_capacity(256 * 1024, decoder), limits);
        let mut members = Self { directory, members: HashMap::new() };
        while let Some(entry) = reader.next_entry().map_err(invalid_tar)? {
            let Some(name) = clean(&entry.path) else { continue };
            let member = match &entry.kind {
                EntryKind::File => members.write(&mut reader, &name, entry.size)?,
                EntryKind::HardLink(target) => link(&name, target, false)?,
                EntryKind::Symlink(target) => link(&name, target, true)?,
                _ => continue,
            };
            if members.members.insert(name, member).is_some() {
                // Which of the two another program would take is anybody's guess.
                return Err(invalid(format!("two members are named {}", shown(&entry.path))));
            }
        }
        // The rest of the stream is read too: a client that is still writing must not see it closed.
        std::io::copy(&mut reader.into_inner(), &mut std::io::sink())
            .context(|| "cannot read the archive")?;
        Ok(members)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Opens a member; the size is that of its contents.
    pub(super) fn open(&self, name: &str) -> Result<(File, u64)> {
        let Some((number, size)) = self.find(name) else {
            return Err(invalid(format!("open {name}: no such file or directory")));
        };
        let path = self.directory.join(number.to_string());
        Ok((File::open(&path).on("open", &path)?, size))
    }

    /// Reads a member that is a document.
    pub(super) fn document(&self, name: &str) -> Result<Vec<u8>> {
        let (file, size) = self.open(name)?;
        if size > JSON_MAX {
            return Err(invalid(format!("{name} has {size} bytes; at most {JSON_MAX} are allowed")));
        }
        let mut bytes = Vec::new();
        file.take(JSON_MAX).read_to_end(&mut bytes).context(|| format!("cannot read {name}"))?;
        Ok(bytes)
    }

    fn find(&self, name: &str) -> Option<(usize, u64)> {
        let mut name = clean(name.as_bytes())?;
        for _ in 0..LINKS {
            match self.members.get(&name)? {
                Member::File { number, size } => return Some((*number, *size)),
                Member::Link(target) => name.clone_from(target),
            }
        }
        None
    }

    fn write<R: std::io::BufRead>(&self, reader: &mut Reader<R>, name: &str, size: u64) -> Result<Member> {
        let number = self.members.len();
        let path = self.directory.join(number.to_string());
        let told = || format!("cannot stage {name:?}");
        let mut file = File::create_new(&path).context(told)?;
        let mut end = 0;
        while let Some((offset, piece)) = reader.next_chunk().map_err(invalid_tar)? {
            if offset != end {
                return Err(invalid(format!("{name:?} is a sparse file")));
            }
            file.write_all(piece).context(told)?;
            end += piece.len() as u64;
        }
        if end != size {
            return Err(invalid(format!("{name:?} is a sparse file")));
        }
        Ok(Member::File { number, size })
    }
}

/// A name without `.` and `..`; nothing for one that leads out, is no text, or is the root.
fn clean(path: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    for part in std::str::from_utf8(path).ok()?.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// A hard link names its target from the root, a symbolic one from its own directory.
fn link(name: &str, target: &[u8], symbolic: bool) -> Result<Member> {
    let from = match name.rsplit_once('/') {
        Some((directory, _)) if symbolic && !target.starts_with(b"/") => format!("{directory}/"),
        _ => String::new(),
    };
    let full = [from.as_bytes(), target].concat();
    match clean(&full) {
        Some(target) => Ok(Member::Link(target)),
        None => Err(invalid(format!("{name:?} is a link that leads out of the archive"))),
    }
}

/// The tar's own error names the entry.
fn invalid_tar(error: crate::tar::Error) -> crate::Error {
    use crate::tar::Fault;
    match error.fault() {
        Fault::Format | Fault::Limit | Fault::Refused => invalid(&error),
        Fault::Stream | Fault::System => error.into(),
    }
}
