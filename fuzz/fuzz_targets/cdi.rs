//! Whatever a vendor's file says, it is refused with a sentence or has devices with names.
#![no_main]

use dhow_oci::cdi::Specification;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, &[u8])| {
    let (yaml, bytes) = input;
    if let Ok(read) = Specification::parse(bytes, yaml) {
        assert!(read.devices.iter().all(|device| !device.name.is_empty()));
    }
});
