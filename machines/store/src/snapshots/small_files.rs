//! Small files of images, remembered: every container of an image asks for the same `/etc/passwd`, and begins in the
//! same directory.
//!
//! It holds for a container whose writable layer is empty; images do not change.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dhow_model::ImageId;

const FILES: usize = 256;
const SIZE_MAX: usize = 64 * 1024;

/// A file's contents; none when there is no such file.
type Contents = Option<Arc<[u8]>>;

/// What was read of images.
#[derive(Debug, Default)]
pub(crate) struct SmallFiles {
    files: Mutex<HashMap<(ImageId, PathBuf), Contents>>,
    directories: Mutex<HashSet<(ImageId, PathBuf)>>,
}

impl SmallFiles {
    pub(super) fn get(&self, image: ImageId, path: &Path) -> Option<Contents> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.get(&(image, path.to_path_buf())).cloned()
    }

    pub(super) fn put(&self, image: ImageId, path: &Path, contents: Option<&[u8]>) {
        if contents.is_some_and(|contents| contents.len() > SIZE_MAX) {
            return;
        }
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= FILES {
            files.clear();
        }
        files.insert((image, path.to_path_buf()), contents.map(Arc::from));
    }

    pub(super) fn has_directory(&self, image: ImageId, path: &Path) -> bool {
        let directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        directories.contains(&(image, path.to_path_buf()))
    }

    pub(super) fn put_directory(&self, image: ImageId, path: &Path) {
        let mut directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        if directories.len() >= FILES {
            directories.clear();
        }
        directories.insert((image, path.to_path_buf()));
    }
}
