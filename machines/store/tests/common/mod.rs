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
