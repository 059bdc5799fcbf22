//! The files of an archive, staged as they stream past.
//!
//! Layers may come before the document that names them, so what looks like a layer is taken in at
//! once where that is one pass ([`LayerFormat::Tar`], [`Arriving`]); all else is written to the stage, and looked at
//! when a document asks for it. The disk bounds that, not memory. A member that is a link (old
//! archives share layers so) leads to another member, never to a file of this machine.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::thread;

use dhow_oci::Digest;

use super::arriving::{Arrived, Arriving};
use super::invalid;
use crate::Core;
use crate::blobs::JSON_MAX;
use crate::error::{Context as _, Result};
use crate::layer::Decoder;
use crate::layout::make_directory;
use crate::stack::{LayerFormat, NewLayer, Pin};
use crate::staging::Stage;
use crate::tar::{EntryKind, Limits, Reader, begins_archive, shown};

/// An archive of images has a few files a layer; a million is something else.
const ENTRIES: u64 = 100_000;
const LINKS: usize = 8;
/// What is looked at to tell what a member is.
const START: usize = 512;

/// The members of one archive by their clean names.
#[derive(Debug)]
pub(super) struct Members<'a> {
    directory: PathBuf,
    members: HashMap<String, Member<'a>>,
}

#[derive(Debug)]
enum Member<'a> {
    File {
        number: usize,
        size: u64,
    },
    /// A layer that was taken in, or why not; nothing until it has arrived.
    Layer {
        size: u64,
        layer: Mutex<Option<Result<NewLayer>>>,
    },
    /// A layer that is here already and stays.
    Known {
        size: u64,
        _pin: Pin<'a>,
    },
    Link(String),
}

/// The contents of a member that is a layer.
#[derive(Debug)]
pub(super) enum Contents {
    /// Still to be taken in.
    File(File, u64),
    /// Taken in on the way.
    Layer(NewLayer),
}

impl<'a> Members<'a> {
    /// Reads the whole archive.
    pub(super) fn stage(core: &'a Core, stage: &Stage, archive: &mut dyn Read) -> Result<Self> {
        let directory = stage.path().join("members");
        make_directory(&directory, 0o700)?;
        let limits = Limits { entries: ENTRIES, ..Limits::default() };
        let decoder = Decoder::new(archive, false, &limits).map_err(invalid_tar)?;
        let mut reader = Reader::new(BufReader::with_capacity(256 * 1024, decoder), limits);
        let mut members = Self { directory, members: HashMap::new() };
        let stop = AtomicBool::new(false);
        let arrived = thread::scope(|scope| {
            let mut arriving = Arriving::new(scope, stage, &stop);
            members.read(core, &mut reader, &mut arriving)?;
            // The rest of the stream is read too: a client that is still writing must not see it closed.
            std::io::copy(&mut reader.into_inner(), &mut std::io::sink())
                .context(|| "cannot read the archive")?;
            arriving.all()
        })?;
        members.have_arrived(arrived);
        Ok(members)
    }

    fn read<R: BufRead>(
        &mut self,
        core: &'a Core,
        reader: &mut Reader<R>,
        arriving: &mut Arriving<'_, '_>,
    ) -> Result<()> {
        while let Some(entry) = reader.next_entry().map_err(invalid_tar)? {
            let Some(name) = clean(&entry.path) else { continue };
            let member = match &entry.kind {
                EntryKind::File if reader.stored() != entry.size => {
                    return Err(invalid(format!("{name:?} is a sparse file")));
                }
                EntryKind::File => self.file(core, reader, (&name, entry.size), arriving)?,
                EntryKind::HardLink(target) => link(&name, target, false)?,
                EntryKind::Symlink(target) => link(&name, target, true)?,
                _ => continue,
            };
            if self.members.insert(name, member).is_some() {
                // Which of the two another program would take is anybody's guess.
                return Err(invalid(format!("two members are named {}", shown(&entry.path))));
            }
        }
        Ok(())
    }

    fn have_arrived(&mut self, arrived: Vec<Arrived>) {
        for (name, received) in arrived {
            if let Some(Member::Layer { layer, .. }) = self.members.get_mut(&name) {
                *layer.get_mut().unwrap_or_else(PoisonError::into_inner) = Some(received);
            }
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The bytes of a member.
    pub(super) fn size(&self, name: &str) -> Result<u64> {
        match self.get(name)? {
            Member::File { size, .. } | Member::Layer { size, .. } | Member::Known { size, .. } => Ok(*size),
            Member::Link(_) => Err(absent(name)),
        }
    }

    /// The contents of a member that a document calls a layer; those that were taken in on the way are
    /// given once.
    pub(super) fn layer(&self, name: &str) -> Result<Contents> {
        match self.get(name)? {
            Member::File { number, size } => Ok(Contents::File(self.open(*number)?, *size)),
            Member::Layer { layer, .. } => {
                let layer = layer.lock().unwrap_or_else(PoisonError::into_inner).take();
                layer.ok_or_else(|| invalid(format!("{name} is two layers")))?.map(Contents::Layer)
            }
            // It is what its name says, and the document says something else.
            Member::Known { .. } => Err(invalid(format!("{name} is not the image's layer"))),
            Member::Link(_) => Err(absent(name)),
        }
    }

    /// Reads a member that is a document.
    pub(super) fn document(&self, name: &str) -> Result<Vec<u8>> {
        let (number, size) = match self.get(name)? {
            Member::File { number, size } => (*number, *size),
            _ => return Err(invalid(format!("{name} is a layer and no document"))),
        };
        if size > JSON_MAX {
            return Err(invalid(format!("{name} has {size} bytes; at most {JSON_MAX} are allowed")));
        }
        let mut bytes = Vec::new();
        self.open(number)?
            .take(JSON_MAX)
            .read_to_end(&mut bytes)
            .context(|| format!("cannot read {name}"))?;
        Ok(bytes)
    }

    fn get(&self, name: &str) -> Result<&Member<'a>> {
        self.find(name).ok_or_else(|| absent(name))
    }

    fn find(&self, name: &str) -> Option<&Member<'a>> {
        let mut name = clean(name.as_bytes())?;
        for _ in 0..LINKS {
            match self.members.get(&name)? {
                Member::Link(target) => name.clone_from(target),
                member => return Some(member),
            }
        }
        None
    }

    fn open(&self, number: usize) -> Result<File> {
        let path = self.directory.join(number.to_string());
        File::open(&path).on("open", &path)
    }

    fn file<R: BufRead>(
        &self,
        core: &'a Core,
        reader: &mut Reader<R>,
        (name, size): (&str, u64),
        arriving: &mut Arriving<'_, '_>,
    ) -> Result<Member<'a>> {
        if let Some(pin) = known_layer(core, name) {
            return Ok(Member::Known { size, _pin: pin });
        }
        let mut contents = reader.contents();
        let mut start = Vec::with_capacity(START);
        (&mut contents).take(START as u64).read_to_end(&mut start).context(|| "cannot read the archive")?;
        let number = self.members.len();
        if core.formats.new == LayerFormat::Tar && begins_archive(&start) {
            arriving.write(name, &format!("member-{number}"), start.chain(contents))?;
            return Ok(Member::Layer { size, layer: Mutex::default() });
        }
        self.write(number, start.chain(contents), (name, size))
    }

    fn write(&self, number: usize, mut contents: impl Read, (name, size): (&str, u64)) -> Result<Member<'a>> {
        let told = || format!("cannot stage {name:?}");
        let mut file = File::create_new(self.directory.join(number.to_string())).context(told)?;
        let mut buffer = vec![0; usize::try_from(size).unwrap_or(usize::MAX).clamp(1, 256 * 1024)];
        loop {
            let length = contents.read(&mut buffer).context(|| "cannot read the archive")?;
            if length == 0 {
                return Ok(Member::File { number, size });
            }
            file.write_all(&buffer[..length]).context(told)?;
        }
    }
}

/// Archives name uncompressed layers by their diff id: one that is here need not come again. It stays
/// while the pin is held.
fn known_layer<'a>(core: &'a Core, name: &str) -> Option<Pin<'a>> {
    let diff_id = Digest::from_hex(name.strip_prefix("blobs/sha256/")?).ok()?;
    let pin = core.pins.pin(diff_id);
    core.layer_size(&diff_id).map(|_| pin)
}

fn absent(name: &str) -> crate::Error {
    invalid(format!("open {name}: no such file or directory"))
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
fn link(name: &str, target: &[u8], symbolic: bool) -> Result<Member<'static>> {
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
