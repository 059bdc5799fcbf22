//! `wait`: until a container has ended, will end next, or is gone.

use std::sync::Arc;

use dhow_model::container::Exit;
use dhow_model::{Error, Result};

use crate::{Engine, Entry};

/// What is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// That it does not run: at once when it does not.
    #[default]
    NotRunning,
    /// The next end, also of a container that is not started yet.
    NextExit,
    /// That it is gone.
    Removed,
}

impl WaitCondition {
    /// Reads the word of the API; empty is the default.
    ///
    /// # Errors
    /// Invalid argument, in Docker's words.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "" | "not-running" => Ok(Self::NotRunning),
            "next-exit" => Ok(Self::NextExit),
            "removed" => Ok(Self::Removed),
            other => Err(Error::invalid(format!("invalid condition: {other:?}"))),
        }
    }
}

/// A wait that has begun: what happens from here on counts.
#[derive(Debug)]
pub struct Wait {
    entry: Arc<Entry>,
    condition: WaitCondition,
    changes: tokio::sync::watch::Receiver<u64>,
    /// How it had ended when the wait began: another end is the next one. That it was seen to run is
    /// no sign to rely on, for a short run may begin and end between two looks.
    before: Option<Exit>,
}

impl Engine {
    /// Begins to wait for a container.
    ///
    /// # Errors
    /// `No such container: …`
    pub fn wait_container(&self, text: &str, condition: WaitCondition) -> Result<Wait> {
        let entry = self.container(text)?;
        let changes = entry.watch();
        let before = entry.last_exit();
        Ok(Wait { entry, condition, changes, before })
    }

    /// Waits to the end: how the container ended.
    pub async fn waited(&self, mut wait: Wait) -> Exit {
        loop {
            let record = wait.entry.record();
            let gone = !self.registry.has(&record.id);
            // Not the record's state: a container that is removed when it ends is gone between two looks.
            let last = wait.entry.last_exit();
            let another = last != wait.before;
            let done = match wait.condition {
                _ if gone => true,
                // An end that its restart policy answers is one too.
                WaitCondition::NotRunning => another || !record.state.is_active(),
                // A start that failed is no end: whoever started it was told, and docker's client would
                // say it twice.
                WaitCondition::NextExit => another && last.as_ref().is_some_and(|exit| exit.error.is_empty()),
                WaitCondition::Removed => false,
            };
            if done {
                return last.unwrap_or_default();
            }
            if wait.changes.changed().await.is_err() {
                return last.unwrap_or_default();
            }
        }
    }
}
