//! Layers that arrive uncompressed: each is written once, where it stays, and hashed and indexed by a
//! thread of its own, while the archive streams on.

use std::collections::VecDeque;
use std::io::Read;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle, available_parallelism};

use dhow_model::Kind;

use crate::error::{Context as _, Result};
use crate::stack::{NewLayer, begin};
use crate::staging::Stage;

const PIECE: usize = 256 * 1024;

/// A member that is a layer, and what became of it.
pub(super) type Arrived = (String, Result<NewLayer>);

/// The layers under way: as many as there are processors. For the next one the oldest is waited for.
#[derive(Debug)]
pub(super) struct Arriving<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    stage: &'env Stage,
    stop: &'env AtomicBool,
    under_way: VecDeque<(String, ScopedJoinHandle<'scope, Result<NewLayer>>)>,
    most: usize,
    arrived: Vec<Arrived>,
}

/// Layers at once, however many processors there are: each has the tree of its files in memory.
const MOST: usize = 4;

impl<'scope, 'env> Arriving<'scope, 'env> {
    /// None yet; when this is dropped `stop` ends those that are under way.
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        stage: &'env Stage,
        stop: &'env AtomicBool,
    ) -> Self {
        let most = available_parallelism().map_or(1, NonZero::get).min(MOST);
        Self { scope, stage, stop, under_way: VecDeque::new(), most, arrived: Vec::new() }
    }

    /// Writes the layer to the directory `place` of the stage.
    ///
    /// # Errors
    /// When the archive cannot be read, or the machine failed us. What is wrong with the layer is told by
    /// [`all`](Self::all).
    pub(super) fn write(&mut self, member: &str, place: &str, mut contents: impl Read) -> Result<()> {
        if self.under_way.len() == self.most {
            self.wait()?;
        }
        let (mut writer, follower) = begin(self.stage, place)?;
        let (stage, stop) = (self.stage, self.stop);
        let thread = self.scope.spawn(move || follower.take_in(stage, stop));
        let mut piece = Vec::with_capacity(PIECE);
        // Of a layer that is known to be wrong no more is written.
        while !thread.is_finished() {
            piece.clear();
            contents
                .by_ref()
                .take(PIECE as u64)
                .read_to_end(&mut piece)
                .context(|| "cannot read the archive")?;
            if piece.is_empty() {
                break;
            }
            writer.write(&piece)?;
        }
        writer.end();
        self.under_way.push_back((member.to_owned(), thread));
        Ok(())
    }

    /// Waits for all of them.
    ///
    /// # Errors
    /// When the machine failed us.
    pub(super) fn all(mut self) -> Result<Vec<Arrived>> {
        while !self.under_way.is_empty() {
            self.wait()?;
        }
        Ok(std::mem::take(&mut self.arrived))
    }

    fn wait(&mut self) -> Result<()> {
        let Some((member, thread)) = self.under_way.pop_front() else { return Ok(()) };
        match thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
            // It would fail the next one too.
            Err(error) if error.kind() == Kind::Internal => Err(error),
            layer => {
                self.arrived.push((member, layer));
                Ok(())
            }
        }
    }
}

impl Drop for Arriving<'_, '_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
