//! Go's side of `--format`: docker reads a document into typed structs before a template sees it, and
//! what Go prints, iterates and misses depends on these types. They are listed in [`shapes`], joined
//! with a document in [`values`]; [`tree`] makes a parsed template ask for fields and print by them.

pub(crate) mod functions;
pub(crate) mod shapes;
pub(crate) mod structure;
pub(crate) mod tree;
pub(crate) mod values;
