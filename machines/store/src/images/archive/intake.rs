//! Takes in the layers of an image that are still files of the archive, side by side.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use dhow_model::ports::LoadProgress;
use dhow_oci::image::DiffId;

use super::load::Progress;
use crate::error::Result;
use crate::stack::{LayerFormat, NewLayer, receive};
use crate::staging::Stage;

/// How often a layer's progress is told: every so many bytes of the file.
const STEP: u64 = 4 << 20;

/// A layer to take in.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) diff_id: DiffId,
    /// Its directory's name on the stage.
    pub(super) name: String,
    pub(super) file: File,
    pub(super) size: u64,
}

/// Takes them in, as many at once as there are processors; in the order given comes what became of each.
pub(super) fn take_in(
    stage: &Stage,
    format: LayerFormat,
    incoming: &[Incoming],
    progress: Progress<'_>,
) -> Vec<Result<NewLayer>> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(incoming.len());
    let next = AtomicUsize::new(0);
    let (tell, told) = channel();
    let work = |tell: Sender<LoadProgress>| {
        let mut done = Vec::new();
        while let Some((number, layer)) = take(incoming, &next) {
            let source = Counted { layer, current: 0, told: 0, tell: tell.clone() };
            done.push((number, receive(stage, &layer.name, format, source)));
        }
        done
    };
    let mut done: Vec<(usize, Result<NewLayer>)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers)
            .map(|_| {
                let tell = tell.clone();
                scope.spawn(|| work(tell))
            })
            .collect();
        drop(tell);
        told.iter().for_each(progress);
        workers.into_iter().flat_map(join).collect()
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, layer)| layer).collect()
}

fn take<'a>(incoming: &'a [Incoming], next: &AtomicUsize) -> Option<(usize, &'a Incoming)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    incoming.get(number).map(|layer| (number, layer))
}

fn join<T>(worker: thread::ScopedJoinHandle<'_, T>) -> T {
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Tells how far the reading of a layer is, every few megabytes.
struct Counted<'a> {
    layer: &'a Incoming,
    current: u64,
    told: u64,
    tell: Sender<LoadProgress>,
}

impl Read for Counted<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Incoming { file, size, diff_id, .. } = self.layer;
        let length = { file }.read(out)?;
        self.current += length as u64;
        if self.current - self.told >= STEP || (length == 0 && self.told < *size) {
            self.told = self.current;
            // Who has stopped listening need not be told.
            let _ = self.tell.send(layer_progress(diff_id, self.current, *size));
        }
        Ok(length)
    }
}

pub(super) fn layer_progress(diff_id: &DiffId, current: u64, total: u64) -> LoadProgress {
    LoadProgress::Layer { id: diff_id.short(), current, total: Some(total) }
}
