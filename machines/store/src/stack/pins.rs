//! Pins: layers that a load or a commit under way counts on, before a record names them; and, apart from
//! these, layers that somebody reads.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dhow_oci::image::DiffId;

/// How often each layer is pinned.
#[derive(Debug, Default)]
pub(crate) struct Pins(Mutex<HashMap<DiffId, u32>>);

/// Holds one layer; lets it go when dropped.
#[derive(Debug)]
pub(crate) struct Pin<'a> {
    pins: &'a Pins,
    diff_id: DiffId,
}

impl Pins {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<DiffId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pin(&self, diff_id: DiffId) -> Pin<'_> {
        *self.lock().entry(diff_id).or_insert(0) += 1;
        Pin { pins: self, diff_id }
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        let mut pins = self.pins.lock();
        if let Some(count) = pins.get_mut(&self.diff_id) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.diff_id);
            }
        }
    }
}
