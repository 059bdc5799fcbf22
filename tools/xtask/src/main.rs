//! Tasks of developers: check, demo, bench.
fn main() {}
