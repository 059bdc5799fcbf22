//! What the linker leaves out of a release.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=release.ld");
    println!("cargo:rustc-check-cfg=cfg(without_backtraces)");
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        let here = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{here}/release.ld");
        println!("cargo:rustc-cfg=without_backtraces");
    }
}
