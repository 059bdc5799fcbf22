//! A mounted index shows what unpacking the same tar makes: every file, mode, owner, attribute, hard
//! link, device, time and byte. On the real kernel.

#![allow(clippy::unwrap_used)]

mod common;
mod erofs;

use std::path::Path;

use common::{Raw, archive, fresh, is_root, scratch, tar_of};
use dhow_store::layer::ExtractOptions;
use dhow_store::tar::{Entry, EntryKind, Time};
use erofs::{assert_same, index, mount_works};

fn with(mut entry: Entry, change: impl FnOnce(&mut Entry)) -> Entry {
    change(&mut entry);
    entry
}

fn link(path: &str, target: &str) -> Entry {
    Entry::new(path, EntryKind::Symlink(target.into()), 0o777)
}

fn hard_link(path: &str, target: &str) -> Entry {
    Entry::new(path, EntryKind::HardLink(target.into()), 0o644)
}

#[test]
fn files_of_all_kinds_are_shown_as_they_are() {
    if !is_root() || !mount_works() {
        return;
    }
    let time = |seconds, nanos| Time { seconds, nanos };
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let tar = tar_of(&[
        (with(Entry::directory("./"), |root| (root.mode, root.modified) = (0o1777, time(5, 6))), b""),
        (Entry::directory("etc/"), b""),
        (with(Entry::file("etc/passwd", 0), |file| file.mode = 0o4755), b"root:x:0:0"),
        (
            with(Entry::file("etc/old", 0), |file| file.modified = time(-1_000_000, 999_999_999)),
            b"older than time",
        ),
        (with(Entry::file("etc/late", 0), |file| file.modified = time(1 << 33, 1)), b"x"),
        (with(Entry::file("etc/owned", 0), |file| (file.uid, file.gid) = (4_000_000_000, 70_000)), b""),
        (with(Entry::file("etc/short", 0), |file| (file.uid, file.gid) = (65_535, 65_534)), b"1"),
        (link("etc/link", "passwd"), b""),
        (with(link("etc/long-link", &"x".repeat(4_000)), |link| link.uid = 7), b""),
        (link("etc/middle-link", &"y".repeat(448)), b""),
        (link("etc/middle-link-2", &"y".repeat(449)), b""),
        (hard_link("etc/hard", "etc/passwd"), b""),
        (hard_link("hard-link-of-a-link", "etc/link"), b""),
        (Entry::new("dev/null", EntryKind::CharDevice(1, 3), 0o666), b""),
        (Entry::new("dev/big", EntryKind::BlockDevice(4_095, 1_048_575), 0o600), b""),
        (Entry::new("dev/pipe", EntryKind::Fifo, 0o640), b""),
        (
            with(Entry::file("capable", 0), |file| {
                file.xattrs = vec![(b"security.capability".to_vec(), capability.to_vec())]
            }),
            b"elf",
        ),
        (
            with(Entry::file("tagged", 0), |file| {
                file.xattrs = vec![
                    (b"trusted.t".to_vec(), vec![1; 3_000]),
                    (b"user.a".to_vec(), b"".to_vec()),
                    (b"user.b".to_vec(), b"c".to_vec()),
                ];
            }),
            b"t",
        ),
        (
            with(Entry::directory("tagged-too"), |file| {
                file.xattrs = vec![(b"user.b".to_vec(), b"c".to_vec())]
            }),
            b"",
        ),
        (Entry::file("exactly-a-block", 0), &[7; 512]),
        (Entry::file("more-than-a-page", 0), &[8; 5_000]),
        (Entry::file("made/on/the/way", 0), b"w"),
    ]);
    assert_same(&tar);
}

#[test]
fn the_last_entry_of_a_name_counts() {
    if !is_root() || !mount_works() {
        return;
    }
    let tar = tar_of(&[
        (Entry::file("file-then-directory", 0), b"1"),
        (Entry::directory("file-then-directory"), b""),
        (Entry::file("file-then-directory/in", 0), b"2"),
        (Entry::directory("directory-then-file"), b""),
        (Entry::file("directory-then-file/deep/in", 0), b"3"),
        (Entry::file("directory-then-file", 0), b"4"),
        (
            with(Entry::directory("twice"), |entry| entry.xattrs = vec![(b"user.a".to_vec(), b"1".to_vec())]),
            b"",
        ),
        (Entry::file("twice/kept", 0), b"5"),
        (with(Entry::directory("twice"), |entry| (entry.mode, entry.uid) = (0o700, 9)), b""),
        (Entry::file("a", 0), b"6"),
        (hard_link("b", "a"), b""),
        (Entry::file("a", 0), b"7"),
        (hard_link("b", "b"), b""),
        (hard_link("c", "b"), b""),
        (hard_link("c", "a"), b""),
        (link("usr/lib", "../lib"), b""),
        (Entry::file("usr/lib/through-a-link", 0), b"8"),
        (hard_link("usr/lib/again", "lib/through-a-link"), b""),
        (link("absolute", "/usr/lib/new"), b""),
        (Entry::file("absolute/f", 0), b"9"),
        (Entry::file("usr/lib", 0), b"the link is gone"),
    ]);
    assert_same(&tar);
}

#[test]
fn deleted_files_become_marks_of_overlayfs() {
    if !is_root() || !mount_works() {
        return;
    }
    let tar = tar_of(&[
        (Entry::directory("d"), b""),
        (Entry::file("d/.wh.gone", 0), b""),
        (Entry::file("d/.wh..wh..opq", 0), b""),
        (Entry::file("e/.wh..wh..opq", 0), b""),
        (Entry::file("f/kept", 0), b"1"),
        (Entry::file("f/.wh.kept", 0), b""),
        (Entry::file("f/g/kept", 0), b"1"),
        (Entry::file("f/.wh.g", 0), b""),
        (Entry::file("f/.wh.back", 0), b""),
        (Entry::directory("f/back"), b""),
        (Entry::file("f/.wh.file", 0), b""),
        (Entry::file("f/file", 0), b"2"),
        (Entry::file(".wh..wh.plnk/1.2", 0), b"aufs"),
        (Entry::file(".wh..wh.aufs", 0), b""),
    ]);
    assert_same(&tar);
}

#[test]
fn pieces_of_sparse_files_are_found_wherever_they_are() {
    if !is_root() || !mount_works() {
        return;
    }
    let scratch = scratch();
    let tree = fresh(scratch.path(), "tree");
    common::run("sh", &["-ec", "
        truncate -s 100M large; printf middle | dd of=large bs=1 seek=50000000 conv=notrunc status=none
        truncate -s 1M hole
        printf start >tail; truncate -s 70001 tail; printf end >>tail
        for at in 3 9 10 11 30 77; do dd if=/dev/urandom of=many bs=4096 count=1 seek=$at conv=notrunc status=none; done
        truncate -s 1000000 many
        head -c 600 /dev/urandom >blocks; truncate -s 3000 blocks; head -c 100 /dev/urandom >>blocks; truncate -s 9000 blocks"], &tree);
    for format in [
        &["--format=gnu"][..],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ] {
        for detection in ["--hole-detection=seek", "--hole-detection=raw"] {
            let arguments = [&["-c", "-S", detection, "-f", "-"], format, &["."]].concat();
            let tar = common::run("tar", &arguments, &tree);
            let summary = assert_same(&tar);
            assert!(summary.size < 2 << 20, "{} bytes for {format:?}", summary.size);
        }
    }
}

#[test]
fn pieces_that_no_block_begins_with_are_copied() {
    if !is_root() || !mount_works() {
        return;
    }
    let odd = "GNU.sparse.map";
    let sparse = |map: &str, size: &str, data: &[u8]| {
        vec![
            Raw::pax(&[
                ("GNU.sparse.major", "0"),
                ("GNU.sparse.minor", "1"),
                ("GNU.sparse.name", "s"),
                ("GNU.sparse.realsize", size),
                (odd, map),
            ]),
            Raw::new(b'0', "x").data(data),
        ]
    };
    let bytes: Vec<u8> = (0..3_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    for (map, size, data) in [
        ("1,1", "2", &bytes[..1]),
        ("0,1,511,2,1023,700", "5000", &bytes[..703]),
        ("512,512,1024,1,1536,100", "2000", &bytes[..613]),
        ("0,3,3,4,7,2993", "3000", &bytes[..]),
        ("100000,1000,200000,2000", "400001", &bytes[..]),
        ("", "100", &bytes[..0]),
    ] {
        assert_same(&archive(sparse(map, size, data)));
    }
}

/// A tar of some trees of this machine, with what GNU tar can say of them.
fn tar_of_trees(trees: &[&str]) -> Vec<u8> {
    let known = trees.iter().copied().filter(|tree| Path::new("/").join(tree).exists());
    let options = ["-c", "--format=posix", "--xattrs", "--xattrs-include=*", "--sparse", "-f", "-"];
    common::run("tar", &options.into_iter().chain(known).collect::<Vec<_>>(), Path::new("/"))
}

#[test]
fn real_trees_are_shown_as_they_are() {
    if !is_root() || !mount_works() {
        return;
    }
    assert_same(&tar_of_trees(&[
        "bin",
        "usr/bin",
        "usr/share/zoneinfo",
        "usr/share/perl",
        "usr/lib/python3",
    ]));
}

#[test]
fn other_programs_find_no_fault_in_it() {
    if !is_root() || !mount_works() || !erofs::fsck_works() {
        return;
    }
    erofs::mount(&tar_of_trees(&["usr/share/zoneinfo", "usr/share/perl"])).assert_clean();
    let mut entries: Vec<(Entry, &[u8])> = Vec::new();
    entries.extend((0..3_000).map(|number| (Entry::file(format!("many/{number}"), 0), &b"1"[..])));
    entries.push((link("long", &"x".repeat(4_000)), b""));
    entries.push((Entry::new("null", EntryKind::CharDevice(1, 3), 0o666), b""));
    entries.push((
        with(Entry::file("tagged", 0), |file| file.xattrs = vec![(b"user.a".to_vec(), vec![1; 700])]),
        b"1",
    ));
    erofs::mount(&tar_of(&entries)).assert_clean();
}

#[test]
fn both_forms_of_a_layer_hide_the_same_files() {
    if !is_root() || !mount_works() {
        return;
    }
    let scratch = scratch();
    let below = fresh(scratch.path(), "below");
    let script = "mkdir -p keep drop/deep opaque both; \
        for f in keep/a keep/b drop/deep/c opaque/d both/e file; do echo $f >$f; done";
    common::run("sh", &["-ec", script], &below);
    let tar = tar_of(&[
        (Entry::file("keep/.wh.a", 0), b""),
        (Entry::file("keep/new", 0), b"new"),
        (Entry::file(".wh.drop", 0), b""),
        (Entry::file("opaque/.wh..wh..opq", 0), b""),
        (Entry::file("opaque/f", 0), b"f"),
        (Entry::file(".wh.both", 0), b""),
        (Entry::directory("both"), b""),
        (Entry::file("both/g", 0), b"g"),
        (Entry::directory("file"), b""),
        (Entry::file("file/in", 0), b"in"),
    ]);
    let unpacked = fresh(scratch.path(), "unpacked");
    common::extract(&tar, &unpacked, &ExtractOptions::layer()).unwrap();
    let mounted = erofs::mount(&tar);
    let Ok(wanted) = erofs::overlay(&[common::open(&unpacked), common::open(&below)]) else {
        println!("skipped: overlayfs takes no layers by handle here (Linux 6.13)");
        return;
    };
    let found = erofs::overlay(&[common::open(&mounted.root()), common::open(&below)]).unwrap();
    let [mut wanted, mut found] = [wanted, found].map(|overlay| common::describe(&erofs::path(&overlay)));
    wanted.remove(Path::new(""));
    found.remove(Path::new(""));
    assert_eq!(found, wanted);
    let names: Vec<_> = found.keys().map(|path| path.to_str().unwrap()).collect();
    let shown = "both both/g file file/in keep keep/b keep/new opaque opaque/f";
    assert_eq!(names.join(" "), shown);
}

/// Entries and their contents.
type Entries<'a> = Vec<(Entry, &'a [u8])>;

#[test]
fn what_unpacking_refuses_is_refused() {
    let cases: [(Entries<'_>, &str); 8] = [
        (vec![(Entry::file("n".repeat(300), 0), b"")], "at most 255"),
        (vec![(Entry::file("../f", 0), b"")], "leads out of the root"),
        (vec![(link("l", ".."), b""), (Entry::file("l/f", 0), b"")], "leads out of the root"),
        (vec![(Entry::file("f", 0), b""), (Entry::file("f/g", 0), b"")], "cannot be entered"),
        (vec![(link("l", "l"), b""), (Entry::file("l/f", 0), b"")], "too many symbolic links"),
        (vec![(hard_link("h", "none"), b"")], "invalid hardlink"),
        (vec![(Entry::directory("d"), b""), (hard_link("h", "d"), b"")], "the target is a directory"),
        (vec![(Entry::new("c", EntryKind::CharDevice(0, 0), 0), b"")], "overlayfs' own mark"),
    ];
    for (entries, wanted) in cases {
        let error = index(&tar_of(&entries)).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
        assert!(error.starts_with("entry "), "it names the entry: {error}");
    }
}

#[test]
fn the_same_tar_gives_the_same_bytes() {
    let tar =
        common::run("tar", &["-c", "--sort=name", "-f", "-", "src"], Path::new(env!("CARGO_MANIFEST_DIR")));
    assert_eq!(index(&tar).unwrap().0, index(&tar).unwrap().0);
}
