//! Archives that are unpacked to a directory of a container's tree, with links on the way: those of the
//! container mean what they mean to its programs, those of the archive lead nowhere but below that directory,
//! and none leads out of the tree.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use common::{describe, fresh, is_root, open, scratch, tar_of};
use dhow_store::layer::{ExtractOptions, extract_in_container};
use dhow_store::tar::{Entry, EntryKind, Error, Time};

/// Unpacks to `place`, a directory of the tree.
fn unpack(tree: &Path, place: &str, entries: &[(Entry, &[u8])]) -> Result<(), Error> {
    let (tree, tar) = (open(tree), tar_of(entries));
    let place = (tree.as_fd(), place.as_bytes());
    extract_in_container(&tar[..], place, &ExtractOptions::copy_in()).map(drop)
}

fn link(name: &str, target: &str) -> (Entry, &'static [u8]) {
    (Entry::new(name, EntryKind::Symlink(target.into()), 0o777), b"")
}

/// Debian has `/var/run -> /run`; archives for `/var` name what is below it.
#[test]
fn a_link_of_the_container_leads_where_its_programs_would_get() {
    if !is_root() {
        return;
    }
    for (target, found) in [
        ("/run", "run/x"),
        ("../run", "run/x"),
        ("../../../../run", "run/x"),
        ("/var/lib", "var/lib/x"),
        ("lib", "var/lib/x"),
        ("../var/./lib/../lib", "var/lib/x"),
        ("/", "x"),
        ("/other", "home/x"),
        ("/not/there/yet", "not/there/yet/x"),
    ] {
        let scratch = scratch();
        let tree = fresh(scratch.path(), "tree");
        for directory in ["run", "home", "var/lib"] {
            fs::create_dir_all(tree.join(directory)).unwrap();
        }
        symlink("home", tree.join("other")).unwrap();
        symlink(target, tree.join("var/l")).unwrap();
        let outside = describe(scratch.path()).len();
        let made = [
            (Entry::file("l/x", 0), &b"first"[..]),
            (Entry { modified: Time { seconds: 77, nanos: 0 }, ..Entry::directory("l/d") }, b""),
            (Entry::file("l/d/y", 0), b"second"),
            (Entry::new("l/h", EntryKind::HardLink(b"l/x".to_vec()), 0o644), b""),
            (Entry::file("straight", 0), b"third"),
        ];
        unpack(&tree, "/var", &made).unwrap();
        let found = tree.join(found);
        assert_eq!(fs::read(&found).unwrap(), b"first", "{target}");
        assert_eq!(fs::metadata(found.with_file_name("h")).unwrap().nlink(), 2);
        assert_eq!(fs::read(found.with_file_name("d").join("y")).unwrap(), b"second");
        assert_eq!(fs::metadata(found.with_file_name("d")).unwrap().mtime(), 77, "{target}");
        assert_eq!(fs::read(tree.join("var/straight")).unwrap(), b"third");
        assert!(tree.join("var/l").is_symlink());
        let missing = if target.starts_with("/not") { 3 } else { 0 };
        assert_eq!(describe(scratch.path()).len(), outside + 5 + missing, "{target}");
    }
}

/// Who unpacks a stranger's archive to `/data` expects it there.
#[test]
fn a_link_of_the_archive_leads_nowhere_else() {
    if !is_root() {
        return;
    }
    for target in ["../etc", "../../../etc", "out/../../etc", "sub/../../etc"] {
        let scratch = scratch();
        let tree = fresh(scratch.path(), "tree");
        for directory in ["etc", "data/sub"] {
            fs::create_dir_all(tree.join(directory)).unwrap();
        }
        symlink("/etc", tree.join("data/out")).unwrap();
        let before = describe(&tree.join("etc"));
        let made = [link("s", target), (Entry::file("s/passwd", 0), &b"owned"[..])];
        let error = unpack(&tree, "data", &made).unwrap_err().to_string();
        assert!(error.contains("leads out of the root"), "{target}: {error}");
        // The same by a second name of the link.
        let second = Entry::new("t", EntryKind::HardLink(b"s".to_vec()), 0o777);
        let made = [link("s", target), (second, &b""[..]), (Entry::file("t/passwd", 0), b"owned")];
        assert!(unpack(&tree, "data", &made).is_err(), "{target}");
        assert_eq!(describe(&tree.join("etc")), before);
    }
    let scratch = scratch();
    let tree = fresh(scratch.path(), "tree");
    fs::create_dir_all(tree.join("data")).unwrap();
    unpack(&tree, "data", &[link("s", "/etc"), (Entry::file("s/passwd", 0), b"below")]).unwrap();
    assert_eq!(fs::read(tree.join("data/etc/passwd")).unwrap(), b"below");
}

#[test]
fn a_directory_that_is_not_there_or_is_a_link_is_refused() {
    if !is_root() {
        return;
    }
    let scratch = scratch();
    let tree = fresh(scratch.path(), "tree");
    symlink("..", tree.join("link")).unwrap();
    let before = describe(scratch.path());
    for place in ["none", "link", "link/tree"] {
        unpack(&tree, place, &[(Entry::file("x", 0), b"")]).unwrap_err();
    }
    assert_eq!(describe(scratch.path()), before);
}

/// A connection that breaks leaves what came so far, and it can be read.
#[test]
fn a_file_that_is_cut_off_has_its_mode() {
    if !is_root() {
        return;
    }
    let scratch = scratch();
    let tree = fresh(scratch.path(), "tree");
    let tar = tar_of(&[(Entry { mode: 0o4644, ..Entry::file("x", 0) }, &[7; 5000])]);
    let place = open(&tree);
    extract_in_container(&tar[..2000], (place.as_fd(), b""), &ExtractOptions::copy_in()).unwrap_err();
    assert_eq!(fs::metadata(tree.join("x")).unwrap().mode() & 0o7777, 0o644);
}
