//! What flows between the user's terminal and the engine.

pub(crate) mod archive;
pub(crate) mod attach;
pub(crate) mod base64;
pub(crate) mod detach;
pub(crate) mod outfile;
pub(crate) mod progress;
pub(crate) mod prompt;
pub(crate) mod signals;
pub(crate) mod terminal;
