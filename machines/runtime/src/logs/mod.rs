//! The log of a container: what its processes wrote, in files that are rotated, and to services.
//!
//! In reading order: [`split`] cuts a stream into [`entry`]s. A monitor writes them to its [`sink`]: to a
//! file ([`writer`]), in one of two [`form`]s ([`json`], [`binary`]), and [`rotate`]s it; and to a
//! [`service`] over a [`link`], as messages of [`syslog`] or of the [`journal`]. The engine finds the
//! [`files`] again, their last entries ([`tail`]), and reads their [`records`] back and follows
//! ([`reader`]).
//!
//! ```text
//! <container's directory>/
//!   <id>-json.log             {"log":"hello\n","stream":"stdout","time":"2026-01-02T03:04:05.678Z"}
//!   <id>-json.log.1           what it was before, rotated when it had reached max-size
//!   <id>-json.log.2.gz        older: higher numbers; compressed by option
//!   <id>-json.log.1.part      being compressed
//!   local-logs/container.log  the same in binary form, by option
//!   container-cached.log      the same, beside a service that cannot be read back
//! ```
//! Names, forms, the splitting at 16 KiB and the order of rotation are those of Docker's `json-file` and
//! `local` drivers, since programs that collect logs read these files beside the engine.

pub mod binary;
pub mod encrypted;
pub mod entry;
pub mod files;
pub mod form;
pub mod journal;
pub mod json;
pub mod link;
pub mod reader;
pub mod records;
pub mod rotate;
pub mod service;
pub mod sink;
pub mod split;
pub mod syslog;
pub mod tail;
pub mod writer;

pub use form::{Form, path};
pub use reader::LogReader;
pub use sink::Sink;
pub use writer::LogWriter;
