//! Whatever a log file holds, it is read to its end, and entries that we write behind it are read too.
#![no_main]

use std::io::Cursor;

use dhow_model::Timestamp;
use dhow_model::ports::LogStream;
use dhow_runtime::logs::Form;
use dhow_runtime::logs::entry::Entry;
use dhow_runtime::logs::records::Records;
use libfuzzer_sys::fuzz_target;

/// As much as a damaged length may swallow.
const PADDING: usize = 300 * 1024;

fuzz_target!(|bytes: &[u8]| {
    for form in [Form::Json, Form::Binary] {
        let mut file = bytes.to_vec();
        file.resize(bytes.len() + PADDING, b' ');
        file.push(b'\n');
        let at = Timestamp::from_nanos(7);
        form.encode(&mut file, &Entry { stream: LogStream::Stderr, at, bytes: b"last\n", part: None }, &[]);
        let length = file.len();
        let mut records = Records::new(Box::new(Cursor::new(file)), form, false, 0);
        let mut last = None;
        let mut count = 0;
        while let Some(entry) = records.next_entry().expect("memory can be read") {
            last = Some(entry);
            count += 1;
            assert!(count <= length, "entries come out of nothing");
        }
        assert_eq!(last.expect("what we wrote is read").bytes, b"last\n");
        assert_eq!(records.position(), length as u64);
    }
});
