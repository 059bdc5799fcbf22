//! Templates of `--format`: whatever is asked for is shown or refused in words, the same each time, and ends.
#![no_main]

libfuzzer_sys::fuzz_target!(|source: &str| {
    let shown = dhow_cli::fuzzing::template(source);
    assert!(shown.1.as_ref().is_none_or(|words| !words.is_empty()));
    assert_eq!(shown, dhow_cli::fuzzing::template(source));
});
