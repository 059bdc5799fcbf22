//! What holds for every archive: nothing panics, what is written is read as it was, and no other
//! reader sees other entries in an archive that ours accepts.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use common::{Raw, archive};
use dhow_store::tar::{Entry, EntryKind, Error, Limits, Reader, Time, Writer};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::proptest;
use proptest::test_runner::Config;

fn name() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![8 => 1_u8..=255, 2 => Just(b'/')], 1..300)
}

fn kind() -> impl Strategy<Value = EntryKind> {
    prop_oneof![
        4 => Just(EntryKind::File),
        1 => name().prop_map(EntryKind::HardLink),
        1 => name().prop_map(EntryKind::Symlink),
        1 => (0..4096_u32, 0..1_048_576_u32).prop_map(|(major, minor)| EntryKind::CharDevice(major, minor)),
        1 => (0..4096_u32, 0..1_048_576_u32).prop_map(|(major, minor)| EntryKind::BlockDevice(major, minor)),
        1 => Just(EntryKind::Fifo),
    ]
}

fn time() -> impl Strategy<Value = Time> {
    let seconds = prop_oneof![-5_000_000_000..50_000_000_000_i64, Just(0), Just(i64::from(u32::MAX))];
    (seconds, prop_oneof![Just(0_u32), 0..1_000_000_000_u32])
        .prop_map(|(seconds, nanos)| Time { seconds, nanos })
}

/// An entry and its contents. A file's name does not end with a slash: that makes it a directory.
fn entry() -> impl Strategy<Value = (Entry, Vec<u8>)> {
    let numbers = (0..0o10000_u32, 0..u32::MAX, 0..u32::MAX);
    let xattrs = proptest::collection::btree_map("user\\.[a-z]{1,9}", vec(any::<u8>(), 0..40), 0..3);
    let times = (time(), proptest::option::of(time()));
    (name(), kind(), numbers, times, xattrs, vec(any::<u8>(), 0..2000)).prop_map(
        |(mut path, kind, (mode, uid, gid), (modified, accessed), xattrs, contents)| {
            path.push(b'n');
            let contents = if kind == EntryKind::File { contents } else { Vec::new() };
            let xattrs = xattrs.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
            let size = contents.len() as u64;
            (Entry { path, kind, mode, uid, gid, size, modified, accessed, xattrs }, contents)
        },
    )
}

/// A header that may be anything, with extended headers that may contradict it.
fn header() -> impl Strategy<Value = Vec<Raw>> {
    let flag = prop_oneof![6 => Just(b'0'), 1 => Just(b'5'), 1 => Just(b'2'), 1 => Just(b'1'), 1 => Just(0), 1 => Just(b'7')];
    let short = "[a-z]{1,3}(/[a-z]{1,3}){0,2}/?";
    let records = vec(
        prop_oneof![
            short.prop_map(|path| ("path", path)),
            (0..2000_u32).prop_map(|size| ("size", size.to_string())),
            short.prop_map(|path| ("linkpath", path)),
            short.prop_map(|path| ("GNU.sparse.name", path)),
            (0..2000_u32).prop_map(|size| ("GNU.sparse.size", size.to_string())),
            Just(("GNU.sparse.map", "0,5".to_owned())),
            Just(("comment", "c".to_owned())),
        ],
        0..3,
    );
    let contents = vec(prop_oneof![Just(0_u8), Just(b'a')], 0..1100);
    let claimed = proptest::option::weighted(0.1, 0..3000_u64);
    (
        flag,
        short,
        short,
        proptest::option::of(records),
        proptest::option::of(short),
        contents,
        claimed,
        any::<bool>(),
    )
        .prop_map(|(flag, name, link, records, long, contents, claimed, gnu)| {
            let mut headers = Vec::new();
            if let Some(records) = records {
                let records: Vec<_> = records.iter().map(|(key, value)| (*key, value.as_str())).collect();
                headers.push(Raw::pax(&records));
            }
            if let Some(long) = long {
                headers.push(Raw::new(b'L', "././@LongLink").gnu().data(format!("{long}\0").as_bytes()));
            }
            let mut header = Raw::new(flag, &name);
            if matches!(flag, b'1' | b'2') {
                header = header.link(&link);
            }
            if gnu {
                header = header.gnu();
            }
            // A file in a file: whoever loses the count reads these as headers.
            let inner = Raw::new(b'0', "smuggled").bytes();
            let contents = if contents.len() > 1000 { inner } else { contents };
            if matches!(flag, b'0' | b'7' | 0) {
                header = header.data(&contents);
            }
            if let Some(claimed) = claimed {
                header = header.size(claimed);
            }
            headers.push(header);
            headers
        })
}

/// Paths and contents.
type Members = Vec<(Vec<u8>, Vec<u8>)>;

/// What our reader sees, with holes filled.
fn ours(bytes: &[u8]) -> Result<Members, Error> {
    let mut reader = Reader::new(bytes, Limits { file: 1 << 20, ..Limits::default() });
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut contents = Vec::new();
        reader.contents().read_to_end(&mut contents)?;
        found.push((entry.path, contents));
    }
    Ok(found)
}

/// What the `tar` crate sees, without knowing PAX sparse files; none when it refuses the archive.
fn theirs(bytes: &[u8]) -> Option<Members> {
    let mut found = Vec::new();
    for entry in tar::Archive::new(bytes).entries().ok()? {
        let mut entry = entry.ok()?;
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).ok()?;
        found.push((entry.path_bytes().into_owned(), contents));
    }
    Some(found)
}

/// The `tar` crate takes a newline in a PAX record's value for the record's end.
fn has_newline(entry: &Entry) -> bool {
    let link = match &entry.kind {
        EntryKind::HardLink(target) | EntryKind::Symlink(target) => target.as_slice(),
        _ => &[],
    };
    entry.path.contains(&b'\n')
        || link.contains(&b'\n')
        || entry.xattrs.iter().any(|(_, value)| value.contains(&b'\n'))
}

/// The names that GNU tar lists; none when it refuses the archive.
fn gnu(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut child = Command::new("tar")
        .args(["--quoting-style=literal", "-tf", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It may stop reading at the end of the archive.
    drop(child.stdin.take().unwrap().write_all(bytes));
    let output = child.wait_with_output().unwrap();
    let names =
        output.stdout.split(|byte| *byte == b'\n').filter(|name| !name.is_empty()).map(<[u8]>::to_vec);
    output.status.success().then(|| names.collect())
}

fn trimmed(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

proptest! {
    #![proptest_config(Config { cases: 400, failure_persistence: None, ..Config::default() })]

    #[test]
    fn what_is_written_is_read_as_it_was(entries in vec(entry(), 0..6)) {
        let mut writer = Writer::new(Vec::new());
        for (entry, contents) in &entries {
            writer.append(entry, &mut contents.as_slice()).unwrap();
        }
        let bytes = writer.finish().unwrap();
        let mut reader = Reader::new(bytes.as_slice(), Limits::default());
        for (entry, contents) in &entries {
            assert_eq!(&reader.next_entry().unwrap().unwrap(), entry);
            let mut read = Vec::new();
            reader.contents().read_to_end(&mut read).unwrap();
            assert_eq!(&read, contents);
        }
        assert_eq!(reader.next_entry().unwrap(), None);
    }

    #[test]
    fn the_tar_crate_reads_what_we_write(mut entries in vec(entry(), 0..4)) {
        entries.retain(|(entry, _)| !has_newline(entry));
        let mut writer = Writer::new(Vec::new());
        for (entry, contents) in &entries {
            writer.append(entry, &mut contents.as_slice()).unwrap();
        }
        let bytes = writer.finish().unwrap();
        let wanted: Vec<_> = entries.into_iter().map(|(entry, contents)| (entry.path, contents)).collect();
        assert_eq!(theirs(&bytes).unwrap(), wanted);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in vec(any::<u8>(), 0..4096)) {
        drop(ours(&bytes));
    }

    #[test]
    fn no_altered_archive_makes_the_reader_panic(
        headers in vec(header(), 1..4),
        changes in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = archive(headers.into_iter().flatten().collect());
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        drop(ours(&bytes));
    }
}

proptest! {
    #![proptest_config(Config { cases: 3_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_tar_crate_sees_no_other_entries_in_what_we_accept(headers in vec(header(), 1..4)) {
        let bytes = archive(headers.into_iter().flatten().collect());
        let text = String::from_utf8_lossy(&bytes);
        if text.contains("GNU.sparse") {
            return Ok(());
        }
        if let (Ok(ours), Some(theirs)) = (ours(&bytes), theirs(&bytes)) {
            assert_eq!(ours, theirs);
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 300, failure_persistence: None, ..Config::default() })]

    #[test]
    fn gnu_tar_lists_no_other_entries_in_what_we_accept(headers in vec(header(), 1..4)) {
        let bytes = archive(headers.into_iter().flatten().collect());
        if let (Ok(ours), Some(gnu)) = (ours(&bytes), gnu(&bytes)) {
            let ours: Vec<_> = ours.iter().map(|(path, _)| trimmed(path)).collect();
            let gnu: Vec<_> = gnu.iter().map(|path| trimmed(path)).collect();
            assert_eq!(ours, gnu);
        }
    }
}
