//! Headers that lie, contradict one another or ask for too much: each is refused for what it is.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Raw, archive};
use dhow_store::tar::{Error, Fault, Limits, Reader};

fn file() -> Raw {
    Raw::new(b'0', "file")
}

/// A file with PAX records.
fn x(records: &[(&str, &str)]) -> Vec<Raw> {
    vec![Raw::pax(records), file()]
}

/// A file with PAX records of a sparse map.
fn sparse(records: &[(&str, &str)], data: &[u8]) -> Vec<Raw> {
    vec![Raw::pax(records), file().data(data)]
}

/// Reads all entries and all contents.
fn read(bytes: &[u8], limits: Limits) -> Result<u64, Error> {
    let mut reader = Reader::new(bytes, limits);
    let mut entries = 0;
    while reader.next_entry()?.is_some() {
        while reader.next_chunk()?.is_some() {}
        entries += 1;
    }
    Ok(entries)
}

fn refused(table: Vec<(&str, Vec<Raw>)>) {
    for (wanted, headers) in table {
        let error = read(&archive(headers), Limits::default()).unwrap_err();
        assert!(error.to_string().contains(wanted), "wanted {wanted:?}, got {error}");
        assert!(matches!(error.fault(), Fault::Format | Fault::Limit | Fault::Refused), "{error}");
    }
}

#[test]
fn numbers_are_numbers_and_in_range() {
    refused(vec![
        ("size -", vec![file().with(124, &[0xff; 12])]),
        ("size does not fit", vec![file().with(124, &[0xbf; 12])]),
        ("size is no octal number", vec![file().with(124, b"-0000000001\0")]),
        ("size is no octal number", vec![file().with(124, b"0x000000010\0")]),
        ("mode is no octal number", vec![file().with(100, b"rwxr-xr-")]),
        ("owner -", vec![file().with(108, &[0xff; 8])]),
        ("is out of range", vec![file().with(108, &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])]),
        ("is out of range", x(&[("uid", "4294967295")])),
        ("is out of range", x(&[("gid", "99999999999")])),
        ("owner is no number", x(&[("uid", "-1")])),
        ("size is no number", x(&[("size", "-5")])),
        ("size is no number", x(&[("size", "99999999999999999999999")])),
        ("time \"1.x\" is no number", x(&[("mtime", "1.x")])),
        ("time is no number", x(&[("mtime", "now")])),
    ]);
}

#[test]
fn names_targets_and_kinds_are_what_a_file_can_have() {
    refused(vec![
        ("an entry has no name", vec![Raw::new(b'0', "")]),
        ("only a regular file has contents", vec![Raw::new(b'5', "d/").data(b"x")]),
        ("only a regular file has contents", vec![Raw::new(b'2', "l").link("t").data(b"x")]),
        ("only a regular file has contents", vec![Raw::new(b'1', "l").link("t").data(b"x")]),
        ("only a regular file has contents", vec![Raw::new(b'6', "p").data(b"x")]),
        ("only a regular file has contents", vec![Raw::new(b'0', "old-directory/").data(b"x")]),
        ("link has no target", vec![Raw::new(b'2', "l")]),
        ("link has no target", vec![Raw::new(b'1', "l")]),
        ("unhandled tar header type 77", vec![Raw::new(b'M', "multivolume")]),
        ("unhandled tar header type 86", vec![Raw::new(b'V', "label")]),
        ("unhandled tar header type 90", vec![Raw::new(b'Z', "what")]),
        ("has a NUL byte", x(&[("path", "a\0b")])),
        ("has a NUL byte", x(&[("linkpath", "a\0b")])),
        ("name is longer than 4096 bytes", x(&[("path", &"n".repeat(5000))])),
        (
            "link target is longer than 4096 bytes",
            vec![Raw::pax(&[("linkpath", &"n".repeat(5000))]), Raw::new(b'2', "l")],
        ),
    ]);
}

#[test]
fn two_headers_never_say_different_things() {
    refused(vec![
        ("header says 0 bytes, extended header 512", vec![Raw::pax(&[("size", "512")]), file(), file()]),
        (
            "header says 512 bytes, extended header 0",
            vec![Raw::pax(&[("size", "0")]), file().data(&[b'x'; 512])],
        ),
        ("extended header says path twice", x(&[("path", "a"), ("path", "b")])),
        ("extended header says linkpath twice", x(&[("linkpath", "a"), ("linkpath", "b")])),
        ("extended header says size twice", x(&[("size", "0"), ("size", "0")])),
        ("two extended headers of one kind", vec![Raw::pax(&[]), Raw::pax(&[("path", "b")]), file()]),
        (
            "two extended headers of one kind",
            vec![Raw::new(b'L', "l").data(b"a"), Raw::new(b'L', "l").data(b"b"), file()],
        ),
        (
            "two extended headers of one kind",
            vec![Raw::new(b'K', "l").data(b"a"), Raw::new(b'K', "l").data(b"b"), file()],
        ),
        (
            "two headers give it another name",
            vec![Raw::new(b'L', "l").data(b"a"), Raw::pax(&[("path", "b")]), file()],
        ),
        (
            "two headers give it another link target",
            vec![Raw::new(b'K', "l").data(b"a"), Raw::pax(&[("linkpath", "b")]), Raw::new(b'2', "s")],
        ),
        ("long name", vec![Raw::new(b'L', "l").data(b"a\0b\0"), file()]),
        ("archive ends after an extended header", vec![Raw::pax(&[("path", "a")])]),
        ("archive ends after an extended header", vec![Raw::new(b'L', "l").data(b"a")]),
        (
            "global extended header between",
            vec![Raw::pax(&[("path", "a")]), Raw::new(b'g', "g").data(b"12 comment=\n"), file()],
        ),
        ("global extended header sets", vec![Raw::new(b'g', "g").data(b"10 path=a\n"), file()]),
        ("global extended header sets", vec![Raw::new(b'g', "g").data(b"10 size=5\n"), file()]),
    ]);
}

#[test]
fn records_are_well_formed() {
    refused(vec![
        ("extended header is malformed", vec![Raw::new(b'x', "x").data(b"9999 path=a\n"), file()]),
        ("extended header is malformed", vec![Raw::new(b'x', "x").data(b"11 path=abc"), file()]),
        ("extended header is malformed", vec![Raw::new(b'x', "x").data(b"-5 path=a\n"), file()]),
        ("extended header is malformed", vec![Raw::new(b'x', "x").data(b"0 path=a\n"), file()]),
        ("extended header is malformed", vec![Raw::new(b'x', "x").data(b"8 pathx\n"), file()]),
        ("extended header is malformed", vec![Raw::new(b'x', "x").data(b"5 =x\n"), file()]),
        (
            "extended header is malformed",
            vec![Raw::new(b'x', "x").data(b"99999999999999999999999 path=a\n"), file()],
        ),
        ("extended attribute has no name", x(&[("SCHILY.xattr.", "v")])),
        ("is not encoded as it should be", x(&[("LIBARCHIVE.xattr.user.a", "!!!!")])),
        ("is not encoded as it should be", x(&[("LIBARCHIVE.xattr.user.%zz", "YQ")])),
    ]);
}

#[test]
fn a_sparse_map_fits_its_file() {
    refused(vec![
        (
            "sparse map has an odd number",
            sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,1,2")], b"x"),
        ),
        (
            "sparse map is not in order",
            sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "5,1,0,1")], b"xx"),
        ),
        (
            "sparse map is not in order",
            sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,2,1,2")], b"xxxx"),
        ),
        ("sparse map goes beyond", sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "8,2")], b"xx")),
        (
            "sparse map goes beyond",
            sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "18446744073709551615,2")], b"xx"),
        ),
        (
            "sparse map tells of 1 bytes, 5 are stored",
            sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,1")], b"xxxxx"),
        ),
        (
            "sparse map tells of 5 bytes, 1 are stored",
            sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,5")], b"x"),
        ),
        ("sparse file without its size", sparse(&[("GNU.sparse.map", "0,1")], b"x")),
        (
            "another number of pieces",
            sparse(
                &[("GNU.sparse.size", "9"), ("GNU.sparse.numblocks", "3"), ("GNU.sparse.map", "0,1")],
                b"x",
            ),
        ),
        ("offset without a length", sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.offset", "0")], b"")),
        ("length without an offset", sparse(&[("GNU.sparse.size", "9"), ("GNU.sparse.numbytes", "0")], b"")),
        ("unknown sparse record", sparse(&[("GNU.sparse.what", "9")], b"")),
        (
            "sparse format 2.0 is not known",
            sparse(&[("GNU.sparse.major", "2"), ("GNU.sparse.realsize", "9")], b""),
        ),
        (
            "file of 18446744073709551615 bytes",
            sparse(&[("GNU.sparse.size", "18446744073709551615"), ("GNU.sparse.map", "0,1")], b"x"),
        ),
    ]);
}

#[test]
fn a_sparse_map_beside_the_data_ends_and_fits() {
    refused(vec![
        (
            "sparse map does not end",
            sparse(&[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9")], b"9\n"),
        ),
        (
            "sparse map does not end",
            sparse(&[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9")], &[b'1'; 512]),
        ),
        (
            "too many pieces",
            sparse(
                &[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9")],
                &[&b"99999999\n"[..], &[b'0'; 503]].concat(),
            ),
        ),
        (
            "sparse count is no number",
            sparse(&[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9")], &[b'\n'; 512]),
        ),
        (
            "only a regular file can be sparse",
            vec![Raw::pax(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "")]), Raw::new(b'5', "d/")],
        ),
        (
            "two sparse maps",
            vec![Raw::pax(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "")]), Raw::new(b'S', "s").gnu()],
        ),
        (
            "sparse map goes beyond",
            vec![Raw::new(b'S', "s").gnu().with(386, b"00000000000\x0000000000777\0").data(&[0; 511])],
        ),
    ]);
}

#[test]
fn entries_behind_a_lone_block_of_zeros_are_refused() {
    let file = || Raw::new(b'0', "file").bytes();
    let tar = [file(), vec![0; 512], file(), vec![0; 1024]].concat();
    let error = read(&tar, Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "archive goes on behind a lone block of zeros");
}

#[test]
fn archives_that_were_cut_off_or_altered_are_refused() {
    let whole = archive(vec![
        Raw::pax(&[("path", "a"), ("mtime", "1.5")]),
        Raw::new(b'0', "a").data(&[b'x'; 1500]),
        Raw::new(b'S', "s")
            .gnu()
            .with(386, b"00000000000\x0000000000001\0")
            .with(483, b"00000000010\0")
            .data(b"x"),
    ]);
    for length in 0..whole.len() - 1024 {
        match read(&whole[..length], Limits::default()) {
            // Between two entries, or where only padding is missing: other programs take it for the end as well.
            Ok(_) => assert!(matches!(length, 0 | 3036..=3072 | 3585..), "{length}"),
            Err(error) => assert!(error.to_string().contains("archive ends"), "{length}: {error}"),
        }
    }
    for at in (0..512).chain(1024..1536) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        let error = read(&bytes, Limits::default()).unwrap_err();
        assert!(error.to_string().contains("checksum"), "{at}: {error}");
    }
}

#[test]
fn limits_are_kept() {
    let files = |count: usize| archive((0..count).map(|i| Raw::new(b'0', &format!("f{i}"))).collect());
    let few = Limits { entries: 10, ..Limits::default() };
    assert_eq!(read(&files(10), few.clone()).unwrap(), 10);
    assert_eq!(read(&files(11), few).unwrap_err().to_string(), "archive has more than 10 entries");
    let long = archive(x(&[("comment", &"c".repeat(1000))]));
    let error = read(&long, Limits { extension: 1000, ..Limits::default() }).unwrap_err();
    assert!(error.to_string().contains("extended header of 1014 bytes; at most 1000 are allowed"), "{error}");
}
