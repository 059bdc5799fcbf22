//! Indexes at the edges: terabytes, a hundred thousand names, nothing at all, a tar that is cut off.

#![allow(clippy::unwrap_used)]

mod common;
mod erofs;

use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use common::{is_root, scratch, tar_of};
use dhow_oci::Digest;
use dhow_store::erofs::{Extent, Index, Options, Tar};
use dhow_store::tar::{Entry, EntryKind, Fault};
use erofs::{assert_same, index, mount_works};

fn with(mut entry: Entry, change: impl FnOnce(&mut Entry)) -> Entry {
    change(&mut entry);
    entry
}

fn hard_link(path: &str, target: &str) -> Entry {
    Entry::new(path, EntryKind::HardLink(target.into()), 0o644)
}

#[test]
fn a_directory_of_100_000_names_is_searched_and_listed() {
    if !is_root() || !mount_works() {
        return;
    }
    let mut entries = vec![(Entry::directory("many"), &b""[..])];
    entries.extend(
        (0..100_000).map(|number| (Entry::file(format!("many/{}", number * 7919 % 100_003), 0), &b""[..])),
    );
    entries.push((Entry::file("many/zzz", 0), b"last"));
    for name in ["!", "-", "..a", ".a"] {
        entries.push((Entry::file(format!("many/{name}"), 0), b"odd"));
    }
    let tar = tar_of(&entries);
    let mounted = erofs::mount(&tar);
    let many = mounted.root().join("many");
    assert_eq!(std::fs::read_dir(&many).unwrap().count(), 100_005);
    for number in 0..100_000 {
        assert!(
            std::fs::symlink_metadata(many.join((number * 7919 % 100_003).to_string())).is_ok(),
            "{number}"
        );
    }
    for name in ["zzz", "!", "-", "..a", ".a"] {
        assert!(many.join(name).exists(), "{name}");
    }
    for name in ["0x", "100003", "~", " ", "5 "] {
        assert!(!many.join(name).exists(), "{name}");
    }
    assert_eq!(
        std::fs::metadata(many.join("..")).unwrap().ino(),
        std::fs::metadata(mounted.root()).unwrap().ino()
    );
}

#[test]
fn names_at_the_edges_are_shown() {
    if !is_root() || !mount_works() {
        return;
    }
    let mut entries: Vec<(Entry, &[u8])> = Vec::new();
    for length in [1, 2, 100, 240, 254, 255] {
        for last in ["a", "b", "ä", "\u{1}"] {
            let name = "n".repeat(length - last.len().min(length - 1)) + last;
            entries.push((Entry::file(&name[name.len().saturating_sub(255)..], 0), b"1"));
        }
    }
    let deep: String = (0..500).map(|number| format!("{number}/")).collect();
    entries.push((Entry::directory(deep), b""));
    for number in 0..2_000 {
        entries.push((hard_link(&format!("links/{number}"), "nnna"), b""));
    }
    entries.insert(0, (Entry::file("nnna", 0), b"many names"));
    assert_same(&tar_of(&entries));
}

#[test]
fn an_empty_layer_is_an_empty_directory() {
    if !is_root() || !mount_works() {
        return;
    }
    for tar in [&[][..], &[0; 1024], &tar_of(&[])] {
        let mounted = erofs::mount(tar);
        assert_eq!(std::fs::read_dir(mounted.root()).unwrap().count(), 0);
        assert_eq!(std::fs::metadata(mounted.root()).unwrap().mode(), 0o40_755);
    }
}

#[test]
fn contents_that_end_without_padding_are_told() {
    let tar = tar_of(&[(Entry::file("first", 0), b"1"), (Entry::file("last", 0), &[5; 700])]);
    // Header, block, header, 700 bytes, and nothing behind them: as umoci's `insert` writes it.
    let error = index(&tar[..512 * 3 + 700]).unwrap_err();
    assert_eq!(error.fault(), Fault::Limit, "{error}");
}

#[test]
fn a_file_of_ten_gigabytes_of_holes_costs_little() {
    if !is_root() || !mount_works() {
        return;
    }
    let scratch = scratch();
    let script = "truncate -s 10G huge; printf middle | dd of=huge bs=1 seek=5000000000 conv=notrunc status=none; \
        printf end | dd of=huge bs=1 seek=10737418237 conv=notrunc status=none; tar -cSf - huge";
    let tar = common::run("sh", &["-ec", script], scratch.path());
    let mounted = erofs::mount(&tar);
    assert!(mounted.summary.size < 1 << 20, "{} bytes", mounted.summary.size);
    let huge = std::fs::File::open(mounted.root().join("huge")).unwrap();
    assert_eq!(huge.metadata().unwrap().len(), 10 << 30);
    let wanted = std::fs::File::open(scratch.path().join("huge")).unwrap();
    for at in (0..10 << 30).step_by(100 << 20).chain([4_999_990_000, 4_999_995_904, (10 << 30) - 20_000]) {
        let (mut one, mut other) = (vec![0; 20_000], vec![0; 20_000]);
        huge.read_exact_at(&mut one, at).unwrap();
        wanted.read_exact_at(&mut other, at).unwrap();
        assert_eq!(one, other, "at {at}");
    }
}

/// Zeros that are nowhere, with marks in between: a tar of terabytes that takes no room.
#[test]
fn contents_of_terabytes_are_found() {
    if !is_root() || !mount_works() {
        return;
    }
    let files = erofs::on_disk();
    let (image, tar) = (files.path().join("index"), files.path().join("tar"));
    let (tebi, sizes) = (1_u64 << 40, [10 << 30, (3 << 39) + 700]);
    let mut index = Index::new(Options::default());
    let device = std::fs::File::create(&tar).unwrap();
    let mut source = 512;
    for (name, size) in ["ten-gigabytes", "more-than-a-chunk"].into_iter().zip(sizes) {
        index.add(&Entry::file(name, size), &[Extent { offset: 0, source, length: size }]).unwrap();
        for mark in [0, size / 2, tebi - 1, tebi, size - 1].into_iter().filter(|mark| *mark < size) {
            device.write_all_at(&[mark.to_le_bytes()[4] | 1], source + mark).unwrap();
        }
        source += size.next_multiple_of(512) + 512;
    }
    device.set_len(source).unwrap();
    let tar_of_zeros = Tar { digest: Digest::of(b"terabytes"), size: source };
    let summary = index.finish(&tar_of_zeros, &mut std::fs::File::create(&image).unwrap()).unwrap();
    assert!(summary.size < 4_096);
    let root = erofs::mount_files(&image, &tar).unwrap();
    for (name, size) in ["ten-gigabytes", "more-than-a-chunk"].into_iter().zip(sizes) {
        let file = std::fs::File::open(erofs::path(&root).join(name)).unwrap();
        assert_eq!(file.metadata().unwrap().len(), size);
        for mark in [0, size / 2, tebi - 1, tebi, size - 1].into_iter().filter(|mark| *mark < size) {
            let mut byte = [0];
            file.read_exact_at(&mut byte, mark).unwrap();
            assert_eq!(byte[0], mark.to_le_bytes()[4] | 1, "{name} at {mark}");
        }
    }
}

#[test]
fn more_than_another_file_system_holds_is_shown() {
    if !is_root() || !mount_works() {
        return;
    }
    let attributes =
        |count: u32| (0..count).map(|number| (format!("user.{number}").into_bytes(), vec![1; 9])).collect();
    let large = |file: &mut Entry| file.xattrs = vec![(b"user.v".to_vec(), vec![7; 65_535])];
    let shown = erofs::mount(&tar_of(&[
        (with(Entry::file("large-value", 0), large), b"1"),
        (with(Entry::file("many-values", 0), |file| file.xattrs = attributes(300)), b"2"),
        (with(Entry::directory("many-values-too"), |file| file.xattrs = attributes(301)), b""),
    ]));
    let shown = common::describe(&shown.root());
    assert!(shown[Path::new("large-value")].contains(&format!("[user.v={:?}]", vec![7; 65_535])));
    for (name, count) in [("many-values", 300), ("many-values-too", 301)] {
        assert_eq!(shown[Path::new(name)].matches("=[1, 1, 1, 1, 1, 1, 1, 1, 1]").count(), count, "{name}");
    }
    let mut entries = vec![(Entry::file("linked", 0), &b"3"[..])];
    entries.extend((0..70_000).map(|number| (hard_link(&format!("links/{number}"), "linked"), &b""[..])));
    let mounted = erofs::mount(&tar_of(&entries));
    let linked =
        ["linked", "links/0", "links/69999"].map(|name| mounted.root().join(name).metadata().unwrap());
    assert!(linked.iter().all(|meta| meta.nlink() == 70_001 && meta.ino() == linked[0].ino()));
}

#[test]
fn a_tar_that_ends_with_its_contents_is_read_to_its_end() {
    if !is_root() || !mount_works() {
        return;
    }
    let tar = tar_of(&[(Entry::file("first", 0), b"1"), (Entry::file("last", 0), &[5; 700])]);
    assert_same(&tar[..tar.len() - 1024]);
}
