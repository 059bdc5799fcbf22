//! Go's side of `--format`: docker reads a document into typed structs before a template sees it, and
//! what Go prints, iterates and misses depends on these types. They are listed in [`shapes`], joined
//! with a document in [`values`].
//!
//! A template is taken apart by [`lex`], read by [`grammar`] (with [`literals`]) into [`nodes`], and by [`tree`] made one that asks for
//! fields, prints and fails by those types; [`signatures`] says what its functions take, [`functions`] and [`builtins`] are
//! what they do, and [`printing`] is how values are written.

mod builtins;
pub(crate) mod functions;
mod grammar;
mod lex;
mod literals;
mod nodes;
mod printing;
pub(crate) mod shapes;
mod signatures;
pub(crate) mod tree;
pub(crate) mod values;
