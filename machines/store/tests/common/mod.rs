//! Trees and archives for the tests of layers.
// Each test file uses a part; clippy knows only `#[test]` functions as tests.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use dhow_store::layer::{self, CreateOptions, Created, ExtractOptions, Extracted};
use dhow_store::tar::{Entry, Error, Writer};

/// Whether this process may set owners and make devices; tells so where it may not.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: only root may set owners and make devices");
    }
    root
}

pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn open(path: &Path) -> OwnedFd {
    fs::File::open(path).unwrap().into()
}

/// A directory of its own in `scratch`.
pub(crate) fn fresh(scratch: &Path, name: &str) -> PathBuf {
    let path = scratch.join(name);
    fs::create_dir(&path).unwrap();
    path
}

pub(crate) fn extract(tar: &[u8], into: &Path, options: &ExtractOptions) -> Result<Extracted, Error> {
    layer::extract(tar, open(into).as_fd(), options)
}

pub(crate) fn create(from: &Path, options: &CreateOptions) -> Result<(Vec<u8>, Created), Error> {
    let mut bytes = Vec::new();
    let created = layer::create(open(from).as_fd(), options, &mut bytes)?;
    Ok((bytes, created))
}

/// A tar of entries with contents.
pub(crate) fn tar_of(entries: &[(Entry, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, contents) in entries {
        let entry = Entry { size: contents.len() as u64, ..entry.clone() };
        writer.append(&entry, &mut &contents[..]).unwrap();
    }
    writer.finish().unwrap()
}

/// Runs a program and wants it to succeed.
pub(crate) fn run(program: &str, arguments: &[&str], directory: &Path) -> Vec<u8> {
    let output = Command::new(program).args(arguments).current_dir(directory).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    output.stdout
}

/// Everything that can be said of a tree, path by path: what two equal trees have in common.
pub(crate) fn describe(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut first_names = BTreeMap::new();
    visit(root, root, &mut first_names, &mut found);
    found
}

fn visit(
    root: &Path,
    path: &Path,
    first_names: &mut BTreeMap<u64, PathBuf>,
    found: &mut BTreeMap<PathBuf, String>,
) {
    let short = path.strip_prefix(root).unwrap().to_path_buf();
    let meta = fs::symlink_metadata(path).unwrap();
    let kind = meta.file_type();
    let mut text =
        format!("{:o} {}:{} {}.{:09}", meta.mode(), meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec());
    if kind.is_file() {
        text += &format!(" {} {:?}", meta.len(), dhow_oci::Digest::of(&fs::read(path).unwrap()));
    } else if kind.is_symlink() {
        text += &format!(" -> {:?}", fs::read_link(path).unwrap());
    } else if kind.is_char_device() || kind.is_block_device() {
        text += &format!(" {:x}", meta.rdev());
    }
    if !kind.is_dir() && meta.nlink() > 1 {
        let first = first_names.entry(meta.ino()).or_insert_with(|| short.clone());
        text += &format!(" = {first:?}");
    }
    text += &xattrs(path);
    found.insert(short, text);
    if kind.is_dir() {
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        for name in names {
            visit(root, &name, first_names, found);
        }
    }
}

fn xattrs(path: &Path) -> String {
    let mut list = vec![0; 65536];
    let length = rustix::fs::llistxattr(path, list.as_mut_slice()).unwrap();
    let mut names: Vec<_> = list[..length].split(|b| *b == 0).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    let mut text = String::new();
    for name in names {
        let mut value = vec![0; 65536];
        let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).unwrap();
        text += &format!(" [{}={:?}]", String::from_utf8_lossy(name), &value[..length]);
    }
    text
}

/// A header block with any type, size and fields, right or wrong; the checksum is right.
#[derive(Debug)]
pub(crate) struct Raw {
    block: [u8; 512],
    data: Vec<u8>,
}

impl Raw {
    pub(crate) fn new(flag: u8, name: &str) -> Self {
        let mut raw = Self { block: [0; 512], data: Vec::new() };
        raw.block[156] = flag;
        raw.block[257..265].copy_from_slice(b"ustar\x0000");
        raw.put(0, name.as_bytes()).put(100, b"0000644").put(108, b"0000000").put(116, b"0000000");
        raw.put(136, b"00000000000").size(0)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.block[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Writes bytes at an offset of the block.
    pub(crate) fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.put(at, bytes);
        self
    }

    pub(crate) fn link(self, target: &str) -> Self {
        self.with(157, target.as_bytes())
    }

    /// Makes the dialect GNU's.
    pub(crate) fn gnu(self) -> Self {
        self.with(257, b"ustar  \0")
    }

    /// What the header claims.
    pub(crate) fn size(&mut self, size: u64) -> Self {
        self.put(124, format!("{size:011o}\0").as_bytes());
        Self { block: self.block, data: std::mem::take(&mut self.data) }
    }

    /// Contents, with their true size.
    pub(crate) fn data(mut self, data: &[u8]) -> Self {
        self.data = data.to_vec();
        self.size(data.len() as u64)
    }

    /// A PAX header of these records.
    pub(crate) fn pax(records: &[(&str, &str)]) -> Self {
        let mut data = String::new();
        for (key, value) in records {
            let body = format!(" {key}={value}\n");
            let mut length = body.len() + 1;
            while format!("{length}{body}").len() != length {
                length += 1;
            }
            data += &format!("{length}{body}");
        }
        Self::new(b'x', "PaxHeaders/x").data(data.as_bytes())
    }

    pub(crate) fn bytes(mut self) -> Vec<u8> {
        self.put(148, b"        ");
        let sum: u32 = self.block.iter().map(|byte| u32::from(*byte)).sum();
        self.put(148, format!("{sum:06o}\0 ").as_bytes());
        let mut bytes = self.block.to_vec();
        bytes.extend_from_slice(&self.data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

/// An archive of raw headers, with its end.
pub(crate) fn archive(headers: Vec<Raw>) -> Vec<u8> {
    let mut bytes: Vec<u8> = headers.into_iter().flat_map(Raw::bytes).collect();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}
