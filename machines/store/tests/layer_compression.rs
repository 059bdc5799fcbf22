//! Compressed layers, whole, in pieces, cut off, altered and blown up.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{extract, fresh, run, scratch, tar_of};
use dhow_oci::Digest;
use dhow_store::layer::{Compression, Decoder, ExtractOptions};
use dhow_store::tar::{Entry, Error, Limits};

const CODECS: [(&str, &[&str], Compression); 5] = [
    ("cat", &[], Compression::None),
    ("gzip", &["-9c"], Compression::Gzip),
    ("zstd", &["-qc"], Compression::Zstd),
    ("bzip2", &["-c"], Compression::Bzip2),
    ("xz", &["-c"], Compression::Xz),
];

/// Runs a compressor; `None`, and a line that says so, where it is not installed.
fn compressed(program: &str, arguments: &[&str], bytes: &[u8]) -> Option<Vec<u8>> {
    let scratch = scratch();
    fs::write(scratch.path().join("plain"), bytes).unwrap();
    let input = fs::File::open(scratch.path().join("plain")).unwrap();
    let child = Command::new(program).args(arguments).stdin(input).stdout(Stdio::piped()).spawn();
    let Ok(child) = child else {
        println!("skipped: there is no {program}");
        return None;
    };
    Some(child.wait_with_output().unwrap().stdout)
}

/// Text that compresses about as well as programs do.
fn sample() -> Vec<u8> {
    let text: String =
        (0..60_000_u64).map(|i| format!("{:x} ", i.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    tar_of(&[(Entry::file("text", 0), text.as_bytes())])
}

fn decoded(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    let mut decoder = Decoder::new(bytes, false, limits)?;
    decoder.read_to_end(&mut out)?;
    Ok(out)
}

#[test]
fn each_codec_is_told_by_its_first_bytes_and_both_sides_are_hashed() {
    let tar = sample();
    for (program, arguments, codec) in CODECS {
        let Some(bytes) = compressed(program, arguments, &tar) else { continue };
        let scratch = scratch();
        let into = fresh(scratch.path(), "into");
        let extracted = extract(&bytes, &into, &ExtractOptions::layer()).unwrap();
        assert_eq!(extracted.blob.compression, codec);
        assert_eq!(extracted.diff_id, Digest::of(&tar), "{program}");
        assert_eq!(extracted.blob.digest, Some(Digest::of(&bytes)), "{program}");
        assert_eq!((extracted.size, extracted.blob.size), (tar.len() as u64, bytes.len() as u64));
    }
}

#[test]
fn streams_of_many_members_are_one_stream() {
    let tar = sample();
    let (first, second) = tar.split_at(tar.len() / 3);
    for (program, arguments, _) in CODECS {
        let Some(mut bytes) = compressed(program, arguments, first) else { continue };
        bytes.extend(compressed(program, arguments, second).unwrap());
        assert!(decoded(&bytes, &Limits::default()).unwrap() == tar, "{program}");
    }
    // zstd:chunked and seekable files begin or end with frames that are to be skipped.
    if let Some(bytes) = compressed("zstd", &["-qc"], &tar) {
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3], bytes.as_slice()].concat();
        assert!(decoded(&skipped, &Limits::default()).unwrap() == tar);
    }
}

#[test]
fn a_stream_that_was_cut_off_is_an_error() {
    let tar = sample();
    for (program, arguments, _) in &CODECS[1..] {
        let Some(bytes) = compressed(program, arguments, &tar) else { continue };
        for length in [7, bytes.len() / 2, bytes.len() - 9, bytes.len() - 1] {
            let scratch = scratch();
            let into = fresh(scratch.path(), "into");
            let error = extract(&bytes[..length], &into, &ExtractOptions::layer()).unwrap_err();
            assert_eq!(error.to_string(), "the archive cannot be read", "{program} {length}");
        }
    }
}

#[test]
fn a_stream_that_was_altered_is_an_error() {
    let tar = sample();
    for (program, arguments, _) in &CODECS[1..] {
        let arguments = if *program == "zstd" { &["-qc", "--check"][..] } else { arguments };
        let Some(mut bytes) = compressed(program, arguments, &tar) else { continue };
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        assert!(decoded(&bytes, &Limits::default()).is_err(), "{program}");
    }
}

#[test]
fn a_bomb_stops_at_the_ratio() {
    let zeros = vec![0; 64 << 20];
    let limits = Limits { ratio: 100, ratio_free: 1 << 20, ..Limits::default() };
    for (program, arguments, _) in &CODECS[1..] {
        let Some(bytes) = compressed(program, arguments, &zeros) else { continue };
        let error = decoded(&bytes, &limits).unwrap_err().to_string();
        assert!(error.contains("more than 100 to one"), "{program}: {error}");
        assert!(decoded(&bytes, &Limits::default()).is_ok(), "{program}");
    }
    let small = Limits { total: 1 << 20, ..Limits::default() };
    let error = decoded(&zeros, &small).unwrap_err().to_string();
    assert_eq!(error, "archive is larger than 1048576 bytes when decompressed");
}

#[test]
fn a_window_larger_than_the_limit_is_refused() {
    let bytes: Vec<u8> = (0..(9_u32 << 20)).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let limits = Limits { window: 1 << 20, ..Limits::default() };
    for (program, arguments) in [("zstd", &["-qc", "--long=27"][..]), ("xz", &["-c", "--lzma2=dict=64MiB"])] {
        let Some(packed) = compressed(program, arguments, &bytes) else { continue };
        assert!(decoded(&packed, &limits).is_err(), "{program}");
        assert!(decoded(&packed, &Limits::default()).is_ok(), "{program}");
    }
}

#[test]
fn the_rest_of_the_stream_is_hashed_too() {
    let mut tar = sample();
    tar.extend_from_slice(&[7; 3000]);
    let scratch = scratch();
    let into = fresh(scratch.path(), "into");
    let extracted = extract(&tar, &into, &ExtractOptions::layer()).unwrap();
    assert_eq!(extracted.diff_id, Digest::of(&tar));
}

#[test]
fn a_source_that_fails_is_told_and_not_what_came_of_it() {
    struct Failing(Cursor<Vec<u8>>);
    impl Read for Failing {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let length = self.0.read(out)?;
            if length == 0 { Err(std::io::Error::other("the client went away")) } else { Ok(length) }
        }
    }
    let mut tar = sample();
    tar.truncate(tar.len() / 2);
    let scratch = scratch();
    let into = fresh(scratch.path(), "into");
    let directory = common::open(&into);
    let source = Failing(Cursor::new(tar));
    let error =
        dhow_store::layer::extract(source, std::os::fd::AsFd::as_fd(&directory), &ExtractOptions::layer());
    let error = dhow_model::Error::from(error.unwrap_err());
    assert_eq!(error.report(), "the archive cannot be read: the client went away");
}

#[test]
fn an_output_that_fails_ends_the_walk() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let scratch = scratch();
    let tree = fresh(scratch.path(), "tree");
    run(
        "sh",
        &["-c", "for i in 1 2 3 4 5 6 7 8; do head -c 1000000 /dev/urandom > $i; done"],
        Path::new(&tree),
    );
    let directory = common::open(&tree);
    let options = dhow_store::layer::CreateOptions::plain();
    let error =
        dhow_store::layer::create(std::os::fd::AsFd::as_fd(&directory), &options, &mut Full(3_000_000));
    let error = dhow_model::Error::from(error.unwrap_err());
    assert!(error.report().starts_with("the archive cannot be written: "), "{}", error.report());
}
