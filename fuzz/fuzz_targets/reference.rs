//! Names of images: what is read is written as something that reads the same.
#![no_main]

use dhow_oci::Reference;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(reference) = Reference::parse(text) else { return };
    assert_eq!(Reference::parse(&reference.to_string()).as_ref(), Ok(&reference), "{text:?}");
    assert_eq!(Reference::parse(&reference.familiar()).as_ref(), Ok(&reference), "{text:?}");
    assert!(reference.or_latest().to_string().len() < 600);
});
