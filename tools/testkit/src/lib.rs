//! What tests and benchmarks share.
//!
//! [`rootfs`] makes real root file systems and images from Debian's busybox; [`http`] is a plain
//! client of one connection, a second opinion beside our own; [`engine`] starts whole engines with
//! their own data directory, socket and cgroup, and ends them; [`coverage`] keeps what was asked of them.

pub mod coverage;
pub mod engine;
pub mod http;
pub mod process;
pub mod rootfs;

pub use engine::Engine;
