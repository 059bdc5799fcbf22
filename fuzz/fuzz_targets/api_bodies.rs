//! Bodies of requests: whatever comes is read or refused in words, which are not much longer than the body.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for words in dhow_api::fuzzing::bodies(bytes) {
        assert!(!words.is_empty() && words.len() <= 16 * bytes.len() + 1000, "{words}");
    }
});
