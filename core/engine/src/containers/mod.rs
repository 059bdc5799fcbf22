//! Verbs of containers.

pub mod attach;
pub mod commit;
pub mod create;
pub mod files;
pub mod list;
pub mod logs;
pub mod pause;
pub mod remove;
pub mod rename;
pub mod start;
pub mod stats;
pub mod stop;
pub mod top;
pub mod update;
pub mod wait;

use std::sync::Arc;

use dhow_model::container::Refusal;
use dhow_model::{Container, Error, Result};

use crate::{Engine, Entry};

impl Engine {
    /// The container that a client means: by id, by name, or by the beginning of its id.
    ///
    /// # Errors
    /// `No such container: …`, or that the beginning fits several.
    pub fn container(&self, text: &str) -> Result<Arc<Entry>> {
        self.registry.find(text)
    }
}

/// A refusal as an error about this container.
pub(crate) fn refused(container: &Container) -> impl Fn(Refusal) -> Error + '_ {
    move |refusal| refusal.about(container.id.as_str(), &format!("/{}", container.name))
}
