//! Whatever a profile says, it is refused with a sentence or comes to a program that the kernel takes.
#![no_main]

use dhow_oci::capabilities;
use dhow_oci::profile::Profile;
use dhow_runtime::seccomp::{Filter, circumstances};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &str| {
    let Ok(profile) = Profile::parse(json) else { return };
    let Ok(Some(seccomp)) = profile.resolve(circumstances(capabilities::DEFAULT)) else { return };
    if let Ok(filter) = Filter::compile(&seccomp) {
        assert!((1..=4096).contains(&filter.length()));
    }
});
