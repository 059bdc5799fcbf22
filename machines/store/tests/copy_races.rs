//! Copies into and out of a tree in which a program swaps directories for links all the while
//! (CVE-2018-15664, CVE-2026-41568): what is beside the tree is neither written nor read.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use common::{describe, fresh, is_root, open, scratch, tar_of};
use dhow_store::layer::{CreateOptions, ExtractOptions, create, create_path, extract, extract_in_container};
use dhow_store::tar::{Entry, EntryKind};
use rustix::fs::{RenameFlags, renameat_with};

const ROUNDS: u64 = 1_000;

/// Exchanges two names until told to stop; answers how often.
fn flip(directory: &Path, one: &str, other: &str, stop: &AtomicBool) -> u64 {
    let directory = open(directory);
    let mut flips = 0;
    while !stop.load(Ordering::Relaxed) {
        renameat_with(&directory, one, &directory, other, RenameFlags::EXCHANGE).unwrap();
        flips += 1;
    }
    flips
}

/// Runs `work` again and again while the names are flipped.
fn while_flipping(directory: &Path, one: &str, other: &str, mut work: impl FnMut(u64)) {
    let stop = AtomicBool::new(false);
    let flips = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| flips.store(flip(directory, one, other, &stop), Ordering::Relaxed));
        let guard = StopOnDrop(&stop);
        (0..ROUNDS).for_each(&mut work);
        drop(guard);
    });
    assert!(flips.into_inner() > 100, "nothing was flipped");
}

/// A failed assertion must end the other thread too.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn copying_in_never_writes_beside_the_tree() {
    if !is_root() {
        return;
    }
    for target in ["../../outside", "/proc/self/root", "../../../../../../../.."] {
        let scratch = scratch();
        let outside = fresh(scratch.path(), "outside");
        fs::create_dir(outside.join("sub")).unwrap();
        fs::write(outside.join("sub/canary"), "alive").unwrap();
        let before = describe(&outside);
        let tree = fresh(scratch.path(), "tree");
        fs::create_dir_all(tree.join("a/swap/sub")).unwrap();
        std::os::unix::fs::symlink(target, tree.join("a/link")).unwrap();
        let tar = tar_of(&[
            (Entry { mode: 0o4777, ..Entry::file("a/swap/sub/canary", 0) }, b"owned"),
            (Entry { mode: 0o777, ..Entry::directory("a/swap/sub/") }, b""),
            (Entry::new("a/swap/sub/l", EntryKind::Symlink(b"x".to_vec()), 0o777), b""),
            (Entry::new("a/swap/sub/h", EntryKind::HardLink(b"a/swap/sub/canary".to_vec()), 0o777), b""),
            (Entry::new("a/swap/sub/p", EntryKind::Fifo, 0o777), b""),
        ]);
        let directory = open(&tree);
        let mut done = 0;
        while_flipping(&tree.join("a"), "swap", "link", |_| {
            done += u64::from(extract(&tar[..], directory.as_fd(), &ExtractOptions::copy_in()).is_ok());
        });
        assert_eq!(describe(&outside), before);
        println!("{done} of {ROUNDS} copies went well");
    }
}

/// Links of the container may lead out of the directory that is copied to, never out of its tree.
#[test]
fn copying_into_a_directory_of_the_tree_never_writes_beside_the_tree() {
    if !is_root() {
        return;
    }
    for target in ["../../../outside", "../aside", "/aside", "/proc/self/root", "../../../../../../.."] {
        let scratch = scratch();
        let outside = fresh(scratch.path(), "outside");
        fs::create_dir(outside.join("sub")).unwrap();
        fs::write(outside.join("sub/canary"), "alive").unwrap();
        let before = describe(&outside);
        let tree = fresh(scratch.path(), "tree");
        fs::create_dir_all(tree.join("a/swap/sub")).unwrap();
        fs::create_dir_all(tree.join("aside/sub")).unwrap();
        std::os::unix::fs::symlink(target, tree.join("a/link")).unwrap();
        let tar = tar_of(&[
            (Entry { mode: 0o4777, ..Entry::file("swap/sub/canary", 0) }, b"owned"),
            (Entry { mode: 0o777, ..Entry::directory("swap/sub/") }, b""),
            (Entry::new("swap/sub/h", EntryKind::HardLink(b"swap/sub/canary".to_vec()), 0o777), b""),
        ]);
        let directory = open(&tree);
        let mut done = 0;
        while_flipping(&tree.join("a"), "swap", "link", |_| {
            let copied =
                extract_in_container(&tar[..], (directory.as_fd(), b"a"), &ExtractOptions::copy_in());
            done += u64::from(copied.is_ok());
        });
        assert_eq!(describe(&outside), before);
        println!("{done} of {ROUNDS} copies went well");
    }
}

#[test]
fn copying_out_never_reads_beside_the_tree() {
    if !is_root() {
        return;
    }
    let scratch = scratch();
    let outside = fresh(scratch.path(), "outside");
    fs::create_dir(outside.join("sub")).unwrap();
    fs::write(outside.join("sub/file"), "the host's secret").unwrap();
    let tree = fresh(scratch.path(), "tree");
    fs::create_dir_all(tree.join("swap/sub")).unwrap();
    fs::write(tree.join("swap/sub/file"), "the container's own").unwrap();
    std::os::unix::fs::symlink("../outside", tree.join("link")).unwrap();
    let directory = open(&tree);
    let secret = |tar: &[u8]| tar.windows(17).any(|window| window == b"the host's secret");
    while_flipping(&tree, "swap", "link", |_| {
        let mut tar = Vec::new();
        drop(create(directory.as_fd(), &CreateOptions::plain(), &mut tar));
        assert!(!secret(&tar));
        let mut tar = Vec::new();
        drop(create_path((directory.as_fd(), b"swap"), b"swap", &CreateOptions::plain(), &mut tar));
        assert!(!secret(&tar));
    });
}
