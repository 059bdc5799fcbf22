//! `context export`, `context import`: a context as a tar archive, for another machine or user.
//!
//! ```text
//!   meta.json   tls/docker/ca.pem   tls/docker/cert.pem   tls/docker/key.pem
//! ```

use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;

use tar::{Archive, Builder, EntryType, Header};

use super::endpoint;
use crate::commands::{Arity, Command, open};
use crate::contexts::{Context, DEFAULT, PEM_FILES, check_name};
use crate::error::{Error, Result};
use crate::flags::Parsed;
use crate::session::Session;

/// A block, and the two empty ones of an end.
const PADDING: u64 = 3 * 512;
/// An archive has no more than this, and nothing in it is longer.
const LARGEST: u64 = 10 << 20;

pub(crate) const EXPORT: Command = Command {
    paths: &["context export"],
    usage: "[OPTIONS] CONTEXT [FILE|-]",
    about: "Write a context to a tar archive, or to standard output",
    arity: Arity::Between(1, 2),
    arguments_end_flags: false,
    flags: &[],
    run: export,
};

pub(crate) const IMPORT: Command = Command {
    paths: &["context import"],
    usage: "CONTEXT FILE|-",
    about: "Read a context from a tar archive",
    arity: Arity::Exactly(2),
    arguments_end_flags: false,
    flags: &[],
    run: import,
};

fn export(session: &Session, parsed: &Parsed) -> Result<()> {
    let name = parsed.argument(0);
    if name != DEFAULT {
        check_name(name)?;
    }
    let store = session.contexts();
    let archive = pack(&store.read(name)?, &endpoint::files(&store.pem_files(name))?);
    let archive = archive.map_err(Error::io("pack the context"))?;
    match parsed.arguments.get(1).map(String::as_str) {
        Some("-") if io::stdout().is_terminal() => {
            Err(Error::said("cowardly refusing to export to a terminal, specify a file path"))
        }
        Some("-") => {
            let mut out = io::stdout().lock();
            out.write_all(&archive).and_then(|()| out.flush()).map_err(Error::io("write standard output"))
        }
        file => {
            let file = file.map_or_else(|| format!("{name}.dockercontext"), str::to_owned);
            let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
            let failed = |error: io::Error| Error::said(format!("open {file}: {}", crate::go_words(&error)));
            opened.and_then(|mut opened| opened.write_all(&archive)).map_err(failed)?;
            eprintln!("Written file \"{file}\"");
            Ok(())
        }
    }
}

fn pack(context: &Context, files: &[(String, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    let mut append = |name: &str, kind: EntryType, mode: u32, bytes: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, bytes)
    };
    append("meta.json", EntryType::Regular, 0o644, &serde_json::to_vec(context)?)?;
    append("tls", EntryType::Directory, 0o700, &[])?;
    if !files.is_empty() {
        append("tls/docker", EntryType::Directory, 0o700, &[])?;
    }
    for (name, bytes) in files {
        append(&format!("tls/docker/{name}"), EntryType::Regular, 0o600, bytes)?;
    }
    builder.into_inner()
}

fn import(session: &Session, parsed: &Parsed) -> Result<()> {
    let (name, file) = (parsed.argument(0), parsed.argument(1));
    check_name(name)?;
    let store = session.contexts();
    if store.exists(name) {
        return Err(Error::said(format!("context \"{name}\" already exists")));
    }
    let source: Box<dyn Read> =
        if file == "-" { Box::new(io::stdin().lock()) } else { Box::new(open(file)?) };
    let (mut context, files) = unpack(source.take(LARGEST))?;
    context.name = name.to_owned();
    store.write_tls(name, &files)?;
    store.write(&context)?;
    session.print_line(name)?;
    eprintln!("Successfully imported context \"{name}\"");
    Ok(())
}

type Unpacked = (Context, Vec<(String, Vec<u8>)>);

/// Only what a context has is taken, and only by its name: no path of the archive is ever joined.
fn unpack(source: impl Read) -> Result<Unpacked> {
    let (mut context, mut files) = (None, Vec::new());
    let broken = || Error::io("read the archive of a context");
    // Docker's archives end with their last byte: neither is it padded, nor does an end follow.
    let padded = source.chain(io::repeat(0).take(PADDING));
    for entry in Archive::new(padded).entries().map_err(broken())? {
        let mut entry = entry.map_err(broken())?;
        let path = entry.path_bytes().into_owned();
        let path = String::from_utf8_lossy(&path).into_owned();
        if entry.header().entry_type() == EntryType::Directory {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(broken())?;
        if path == "meta.json" {
            let read = serde_json::from_slice::<Context>(&bytes);
            context = Some(read.map_err(|error| Error::said(format!("meta.json: {error}")))?);
            continue;
        }
        let named = PEM_FILES.iter().find(|(_, file)| path == format!("tls/docker/{file}"));
        let (_, file) = named
            .ok_or_else(|| Error::said(format!("unexpected file in the archive of a context: {path:?}")))?;
        files.push(((*file).to_owned(), bytes));
    }
    let context = context.ok_or_else(|| Error::said("invalid context: no metadata found"))?;
    Ok((context, files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_comes_back_from_its_archive() {
        let mut context = Context { name: "there".into(), ..Context::default() };
        context.describe("over there");
        context.endpoints.docker.host = "tcp://there:2376".into();
        let files = vec![("ca.pem".to_owned(), b"authority".to_vec())];
        let archive = pack(&context, &files).unwrap();
        assert_eq!(unpack(archive.as_slice()).unwrap(), (context, files));
    }

    #[test]
    fn what_no_context_has_is_refused() {
        let mut builder = Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_size(0);
        builder.append_data(&mut header, "tls/docker/other.pem", io::empty()).unwrap();
        let archive = builder.into_inner().unwrap();
        let cut = pack(&Context::default(), &[]).unwrap();
        assert!(unpack(&cut[..600]).is_ok(), "an archive without its end is whole");
        let words = unpack(archive.as_slice()).unwrap_err().to_string();
        assert!(words.contains("unexpected file"), "{words}");
        assert!(unpack(&[0u8; 1024][..]).unwrap_err().to_string().contains("no metadata"));
    }
}
