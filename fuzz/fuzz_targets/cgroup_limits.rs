//! Whatever limits say, what is written goes to files of the cgroup itself, one line at a time.
#![no_main]

use dhow_oci::runtime::Resources;
use dhow_runtime::cgroups::devices::{Policy, program};
use dhow_runtime::cgroups::plan::{v1, v2};
use dhow_runtime::cgroups::{CgroupPath, layout};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(path) = CgroupPath::parse(text) {
        assert!(path.to_string().split('/').all(|part| part != ".."));
    }
    let _ = layout::parse(text, text);
    let Ok(resources) = serde_json::from_str::<Resources>(text) else { return };
    for plan in [v1::plan(&resources), v2::plan(&resources)].into_iter().flatten() {
        for (file, value) in plan.writes.iter().flat_map(|write| &write.choices) {
            assert!(!file.contains('/') && file.contains('.'), "{file}");
            assert!(!value.contains('\n'), "{value}");
        }
    }
    if let Ok(policy) = Policy::of_container(&resources.devices) {
        let _ = program::compile(&policy);
    }
});
