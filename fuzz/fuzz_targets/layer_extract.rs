//! Whatever is unpacked, as a layer and as a copy into a container, nothing beside the directory changes.
#![no_main]

use std::fs::{self, File};
use std::os::fd::AsFd;

use dhow_store::layer::{CreateOptions, ExtractOptions, create, extract, remove};
use dhow_store::tar::Limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("canary"), "alive").unwrap();
    let limits = Limits { total: 4 << 20, ratio_free: 4 << 20, file: 1 << 30, window: 8 << 20, ..Limits::default() };
    for options in [ExtractOptions::layer(), ExtractOptions::flat(), ExtractOptions::copy_in()] {
        let into = scratch.path().join("into");
        fs::create_dir(&into).unwrap();
        fs::create_dir(into.join("d")).unwrap();
        std::os::unix::fs::symlink("../..", into.join("d/up")).unwrap();
        let into = File::open(into).unwrap();
        if extract(bytes, into.as_fd(), &ExtractOptions { limits: limits.clone(), ..options }).is_ok() {
            let mut out = std::io::sink();
            let small = fs::read_dir(scratch.path().join("into")).unwrap().flatten();
            // A sparse file may claim much: writing its holes out is not what is tested here.
            if small.map(|entry| entry.metadata().map_or(0, |meta| meta.len())).sum::<u64>() < 1 << 24 {
                drop(create(into.as_fd(), &CreateOptions::plain(), &mut out));
            }
        }
        remove(File::open(scratch.path()).unwrap().as_fd(), b"into").unwrap();
        let names: Vec<_> = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["canary"]);
        assert_eq!(fs::read(scratch.path().join("canary")).unwrap(), b"alive");
    }
});
