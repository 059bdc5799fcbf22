//! The documents of image archives: `manifest.json`, `index.json`, manifests, configurations.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Nothing may panic, and nothing may be read as two things at once.
    drop(dhow_store::read_any_document(bytes));
});
