//! What goes over the wire beyond the model's own nouns, shaped by the version asked for.

pub(crate) mod container;
pub(crate) mod container_filter;
pub(crate) mod create;
mod create_mac;
mod create_versions;
pub(crate) mod defaults;
pub(crate) mod event;
pub(crate) mod event_filter;
pub(crate) mod human;
pub(crate) mod image;
pub(crate) mod image_filter;
pub(crate) mod inspect;
pub(crate) mod manifest;
pub(crate) mod metrics;
pub(crate) mod network;
pub(crate) mod prune;
pub(crate) mod spelling;
pub(crate) mod stats;
pub(crate) mod system;
pub(crate) mod update;
