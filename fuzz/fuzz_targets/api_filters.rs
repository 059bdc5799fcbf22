//! Filters of lists: whatever comes is read or refused in words.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    for words in dhow_api::fuzzing::filters(text) {
        assert!(!words.is_empty() && words.len() <= 16 * text.len() + 1000, "{words}");
    }
});
