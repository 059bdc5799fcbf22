//! Whatever the bytes are, the reader answers or refuses, within its limits; what it accepts is consistent.
#![no_main]

use std::io::Read;

use dhow_store::tar::{EntryKind, Limits, Reader, Writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { file: 1 << 20, ..Limits::default() };
    let mut reader = Reader::new(bytes, limits.clone());
    while let Ok(Some(entry)) = reader.next_entry() {
        assert!(!entry.path.is_empty() && !entry.path.contains(&0) && entry.path.len() <= limits.path);
        assert!(entry.kind == EntryKind::File || entry.size == 0);
        assert!(entry.uid != u32::MAX && entry.gid != u32::MAX && entry.mode <= 0o7777);
        let mut contents = Vec::new();
        if reader.contents().read_to_end(&mut contents).is_err() {
            return;
        }
        assert_eq!(contents.len() as u64, entry.size);
        // What was read is written and read again as it was.
        let mut writer = Writer::new(Vec::new());
        writer.append(&entry, &mut contents.as_slice()).unwrap();
        let written = writer.finish().unwrap();
        let again = Reader::new(written.as_slice(), Limits { extension: 4 << 20, ..limits.clone() }).next_entry();
        assert_eq!(again.unwrap().unwrap(), entry);
    }
});
