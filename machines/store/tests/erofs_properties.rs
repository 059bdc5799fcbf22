//! What holds for every tar: its index is refused when unpacking refuses it, and shows the same files
//! when it does not. The names are few, so that entries meet: replaced, linked, deleted, in the way.
#![allow(clippy::unwrap_used)]

mod common;
mod erofs;

use common::{Raw, archive, extract, fresh, is_root, scratch, tar_of};
use dhow_store::layer::ExtractOptions;
use dhow_store::tar::{Entry, EntryKind, Time};
use erofs::{assert_same, index, mount_works};
use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

fn name() -> impl Strategy<Value = String> {
    let whiteouts =
        prop_oneof![Just(".wh.a"), Just(".wh.b"), Just(".wh..wh..opq"), Just(".wh..wh.x"), Just(".wh.")];
    let special = prop_oneof![Just("."), Just(".."), Just("!"), Just("")];
    prop_oneof![
        20 => "[abc]".boxed(),
        1 => special.prop_map(str::to_owned),
        2 => whiteouts.prop_map(str::to_owned),
        1 => (250..256_usize).prop_map(|length| "n".repeat(length)),
    ]
}

fn path() -> impl Strategy<Value = String> {
    vec(name(), 1..5).prop_map(|names| names.join("/")).prop_filter("it has a name", |path| !path.is_empty())
}

fn target() -> impl Strategy<Value = Vec<u8>> {
    let long = (400..600_usize).prop_map(|length| "l".repeat(length).into_bytes());
    prop_oneof![
        9 => (prop_oneof![Just(""), Just("/"), Just("../")], path()).prop_map(|(front, path)| (front.to_owned() + &path).into_bytes()),
        1 => long,
    ]
}

fn kind() -> impl Strategy<Value = EntryKind> {
    prop_oneof![
        6 => Just(EntryKind::File),
        4 => Just(EntryKind::Directory),
        3 => target().prop_map(EntryKind::HardLink),
        3 => target().prop_map(EntryKind::Symlink),
        1 => (0..3_u32, 0..0x10_0010_u32).prop_map(|(major, minor)| EntryKind::CharDevice(major, minor)),
        1 => (0..4096_u32, 0..3_u32).prop_map(|(major, minor)| EntryKind::BlockDevice(major, minor)),
        1 => Just(EntryKind::Fifo),
    ]
}

/// A list of an owner, named users, a group, a mask and others.
fn access_list() -> impl Strategy<Value = Vec<u8>> {
    let entry = |tag: u16| (0..8_u16).prop_map(move |permissions| (tag, permissions, u32::MAX));
    let users = vec((0..8_u16, 0..9_u32).prop_map(|(permissions, id)| (2_u16, permissions, id)), 0..3);
    let mask = prop_oneof![entry(0x10).prop_map(|mask| vec![mask]), Just(vec![])];
    (entry(1), users, entry(4), mask, entry(0x20)).prop_map(|(owner, users, group, mask, others)| {
        let entries = [vec![owner], users, vec![group], mask, vec![others]].concat();
        let bytes = entries.iter().flat_map(|(tag, permissions, id)| {
            [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
        });
        [2, 0, 0, 0].into_iter().chain(bytes).collect()
    })
}

fn xattrs() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let plain = "(user|trusted|security|user.overlay|trusted.overlay|other)\\.[ab]{1,2}";
    let sets = btree_map(plain, vec(any::<u8>(), 0..40), 0..3);
    (sets, proptest::option::weighted(0.1, access_list())).prop_map(|(plain, access)| {
        let mut xattrs: Vec<_> = plain.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
        xattrs.extend(access.map(|list| (b"system.posix_acl_access".to_vec(), list)));
        xattrs
    })
}

fn entry() -> impl Strategy<Value = (Entry, Vec<u8>)> {
    let id = || prop_oneof![Just(0_u32), 65_530..65_540_u32, 0..u32::MAX];
    let time = (
        prop_oneof![Just(0), -2_000_000_000..10_000_000_000_i64],
        prop_oneof![Just(0), 0..1_000_000_000_u32],
    );
    let contents = prop_oneof![vec(any::<u8>(), 0..2), vec(any::<u8>(), 0..1_600)];
    (path(), kind(), (0..0o10000_u32, id(), id()), time, xattrs(), contents).prop_map(
        |(path, kind, (mode, uid, gid), (seconds, nanos), xattrs, contents)| {
            let contents =
                if kind == EntryKind::File && !path.ends_with('/') { contents } else { Vec::new() };
            let modified = Time { seconds, nanos };
            let size = contents.len() as u64;
            (
                Entry { path: path.into(), kind, mode, uid, gid, size, modified, accessed: None, xattrs },
                contents,
            )
        },
    )
}

fn unpacks(tar: &[u8]) -> bool {
    let unpacked = scratch();
    extract(tar, &fresh(unpacked.path(), "tree"), &ExtractOptions::layer()).is_ok()
}

/// The entries that can be one tar; each that cannot is refused by unpacking too.
fn possible(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut taken: Vec<(Entry, &[u8])> = Vec::new();
    for (entry, contents) in entries {
        taken.push((entry.clone(), contents));
        if let Err(error) = index(&tar_of(&taken)) {
            assert!(!unpacks(&tar_of(&taken)), "only the index refuses it: {error}");
            taken.pop();
        }
    }
    tar_of(&taken)
}

#[test]
fn an_index_shows_what_unpacking_makes() {
    if !is_root() || !mount_works() {
        return;
    }
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let entries = vec(entry(), 0..25);
    runner
        .run(&entries, |entries| {
            assert_same(&possible(&entries));
            Ok(())
        })
        .unwrap();
}

#[test]
fn any_map_of_a_sparse_file_is_shown_as_unpacking_makes_it() {
    if !is_root() || !mount_works() {
        return;
    }
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let length = || prop_oneof![0..20_u64, Just(512), Just(4096), 0..9_000_u64];
    let pieces = vec((length(), length()), 0..12);
    runner
        .run(&(pieces, length()), |(pieces, end)| {
            let (mut at, mut stored, mut map) = (0, 0, Vec::new());
            for (hole, data) in pieces {
                map.push(format!("{},{data}", at + hole));
                (at, stored) = (at + hole + data, stored + data);
            }
            let bytes: Vec<u8> = (0..stored).map(|number| (number % 251).to_le_bytes()[0]).collect();
            let records = [
                ("GNU.sparse.major", "0"),
                ("GNU.sparse.minor", "1"),
                ("GNU.sparse.name", "s"),
                ("GNU.sparse.realsize", &(at + end).to_string()),
                ("GNU.sparse.map", &map.join(",")),
            ];
            let tar = archive(vec![Raw::pax(&records), Raw::new(b'0', "x").data(&bytes)]);
            if unpacks(&tar) {
                assert_same(&tar);
            } else {
                assert!(index(&tar).is_err(), "only unpacking refuses it");
            }
            Ok(())
        })
        .unwrap();
}
