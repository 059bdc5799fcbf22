//! Indexes made, mounted and compared with the unpacked tar.
// Each test file uses a part; clippy knows only `#[test]` functions as tests.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use dhow_oci::Digest;
use dhow_store::erofs::{Options, Summary, Tar, index_of};
use dhow_store::layer::ExtractOptions;
use dhow_store::tar::{Entry, EntryKind, Error, Limits, Reader};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_string,
    fsmount, fsopen,
};
use tempfile::TempDir;

use crate::common::{describe, extract, fresh, scratch, tar_of};

/// The image of a tar.
pub(crate) fn index(tar: &[u8]) -> Result<(Vec<u8>, Summary), Error> {
    let mut reader = Reader::new(tar, Limits::default());
    let index = index_of(&mut reader, Options::default())?;
    let mut image = Vec::new();
    let size = tar.len() as u64;
    let summary = index.finish(&Tar { digest: Digest::of(tar), size }, &mut image)?;
    assert_eq!(summary.size, image.len() as u64);
    Ok((image, summary))
}

/// An index that is mounted, for nobody but this process: the mount is attached nowhere.
pub(crate) struct Mounted {
    root: OwnedFd,
    pub(crate) summary: Summary,
    files: TempDir,
}

impl Mounted {
    pub(crate) fn root(&self) -> PathBuf {
        path(&self.root)
    }

    /// Asks erofs-utils to read all of it.
    fn fsck(&self) -> io::Result<Output> {
        let device = format!("--device={}", self.files.path().join("layer.tar").display());
        Command::new("fsck.erofs")
            .args([&device, "--extract", "-d3"])
            .arg(self.files.path().join("index.erofs"))
            .output()
    }

    pub(crate) fn assert_clean(&self) {
        let output = self.fsck().unwrap();
        assert!(output.status.success() && text(&output).contains("No errors found"), "{}", text(&output));
    }
}

/// A directory on a disk: of files on a tmpfs the kernel mounts none.
pub(crate) fn on_disk() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Writes a tar and its index, and mounts them.
pub(crate) fn mount(tar: &[u8]) -> Mounted {
    let files = on_disk();
    let (image, summary) = index(tar).unwrap();
    let (index, device) = (files.path().join("index.erofs"), files.path().join("layer.tar"));
    fs::write(&index, &image).unwrap();
    fs::write(&device, tar).unwrap();
    Mounted { root: mount_files(&index, &device).unwrap(), summary, files }
}

pub(crate) fn mount_files(index: &Path, tar: &Path) -> Result<OwnedFd, Errno> {
    let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", index)?;
    fsconfig_set_string(&context, "device", tar)?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// A mount that is attached nowhere, as a path for this process.
pub(crate) fn path(root: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}/.", root.as_raw_fd()).into()
}

/// An overlay to look at, of layers given by their handles, the uppermost first.
pub(crate) fn overlay(layers: &[OwnedFd]) -> Result<OwnedFd, Errno> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for layer in layers {
        fsconfig_set_fd(&context, "lowerdir+", layer)?;
    }
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// Whether this kernel mounts EROFS from plain files (6.12 and later); tells so where it does not.
pub(crate) fn mount_works() -> bool {
    let files = on_disk();
    let (image, _) = index(&[]).unwrap();
    let (index, device) = (files.path().join("index"), files.path().join("tar"));
    fs::write(&index, image).unwrap();
    fs::write(&device, b"").unwrap();
    match mount_files(&index, &device) {
        Err(error @ (Errno::NODEV | Errno::NOTBLK | Errno::NOSYS | Errno::PERM)) => {
            println!("skipped: EROFS cannot be mounted from files: {error}");
            false
        }
        mounted => mounted.map(drop).is_ok() || panic!("an empty index is not mounted"),
    }
}

/// Whether fsck.erofs is here and knows blocks of 512 bytes (erofs-utils 1.7 and later; Debian 12 has 1.5);
/// tells so where not.
pub(crate) fn fsck_works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        // An older one reads no index that is shorter than a page.
        let long = Entry::new("long", EntryKind::Symlink("x".repeat(4_000).into()), 0o777);
        let output = mount(&tar_of(&[(long, b"")])).fsck();
        let works = output.as_ref().is_ok_and(|output| !text(output).contains("blksize 512 isn't supported"));
        if !works {
            let reason = output.map_or_else(|e| e.to_string(), |o| text(&o));
            println!("skipped: fsck.erofs is not here, or too old: {reason}");
        }
        works
    })
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Compares the mounted index of a tar with the tar unpacked.
pub(crate) fn assert_same(tar: &[u8]) -> Summary {
    let unpacked = scratch();
    let tree = fresh(unpacked.path(), "tree");
    extract(tar, &tree, &ExtractOptions::layer()).unwrap();
    let mounted = mount(tar);
    let (mut wanted, mut found) = (describe(&tree), describe(&mounted.root()));
    forget_what_no_tar_says(&mut wanted, &mut found, tar);
    for (path, text) in &wanted {
        let shown = found.remove(path);
        assert_eq!(shown.as_ref(), Some(text), "{}", path.display());
    }
    assert_eq!(found, BTreeMap::new(), "files that the tar does not have");
    if fsck_works() {
        mounted.assert_clean();
    }
    mounted.summary.clone()
}

/// Whiteouts have no time, and a root without an entry none either.
fn forget_what_no_tar_says(
    wanted: &mut BTreeMap<PathBuf, String>,
    found: &mut BTreeMap<PathBuf, String>,
    tar: &[u8],
) {
    let mut reader = Reader::new(tar, Limits::default());
    let mut has_root = false;
    while let Some(entry) = reader.next_entry().unwrap() {
        has_root |= matches!(entry.path.as_slice(), b"." | b"./" | b"/");
    }
    for tree in [wanted, found] {
        if !has_root {
            tree.remove(Path::new(""));
        }
        for text in tree.values_mut().filter(|text| text.starts_with("20000 ") && text.contains(" 0")) {
            *text = "a whiteout".to_owned();
        }
    }
}
