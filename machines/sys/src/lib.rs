//! System calls; the only crate with unsafe code.

pub mod fork;
