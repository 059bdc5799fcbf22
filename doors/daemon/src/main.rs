//! The one binary `dhow`: command line, engine, runtime.
fn main() {}
