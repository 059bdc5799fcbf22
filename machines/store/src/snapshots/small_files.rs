//! Small files of images, remembered: every container of an image asks for the same `/etc/passwd`.
//!
//! It holds for a container whose writable layer is empty; images do not change.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dhow_model::ImageId;

const FILES: usize = 256;
const SIZE_MAX: usize = 64 * 1024;

/// A file's contents; none when there is no such file.
type Contents = Option<Arc<[u8]>>;

/// What was read of images.
#[derive(Debug, Default)]
pub(crate) struct SmallFiles(Mutex<HashMap<(ImageId, PathBuf), Contents>>);

impl SmallFiles {
    pub(super) fn get(&self, image: ImageId, path: &Path) -> Option<Contents> {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.get(&(image, path.to_path_buf())).cloned()
    }

    pub(super) fn put(&self, image: ImageId, path: &Path, contents: Option<&[u8]>) {
        if contents.is_some_and(|contents| contents.len() > SIZE_MAX) {
            return;
        }
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= FILES {
            files.clear();
        }
        files.insert((image, path.to_path_buf()), contents.map(Arc::from));
    }
}
