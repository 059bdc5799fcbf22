//! Makes a container's writable layer a read-only one on top of its image's.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;

use dhow_model::ports::CommitRequest;
use dhow_model::{Error, ImageId, Result};
use dhow_oci::image::History;

use super::import::Below;
use super::no_such;
use crate::Core;
use crate::error::Context as _;
use crate::layer::{CreateOptions, create};
use crate::stack::{Unpacked, unpack};
use crate::staging::Stage;

impl Core {
    pub(super) fn commit(&self, request: CommitRequest) -> Result<ImageId> {
        let snapshot = self.snapshot(&request.container)?;
        if snapshot.image != request.parent {
            return Err(Error::invalid("a container is committed on top of its own image"));
        }
        let below = self.below(request.parent)?;
        let stage = Stage::new(&self.layout)?;
        let upper = self.layout.container(&request.container).join("rw");
        let layer = pack(&stage, "layer", &upper)?;
        let line = History {
            created: request.config.created.clone(),
            created_by: request.created_by,
            author: request.config.author.clone(),
            comment: request.config.comment.clone(),
            empty_layer: false,
        };
        self.put_on_top(&stage, layer, below, (request.config, line), request.reference)
    }

    fn below(&self, parent: Option<ImageId>) -> Result<Below> {
        let Some(id) = parent else { return Ok(Below::default()) };
        let catalog = self.catalog();
        let image = catalog.image(&id).ok_or_else(|| no_such(&id))?;
        let layers = image.config.rootfs.diff_ids.iter().copied().zip(image.layer_sizes).collect();
        Ok(Below { parent, layers, history: image.config.history.clone() })
    }
}

/// Makes a layer of an upper directory: the tar is written, and unpacked as it comes.
pub(super) fn pack(stage: &Stage, name: &str, upper: &Path) -> Result<Unpacked> {
    let tree = File::open(upper).on("open", upper)?;
    let (reader, mut writer) = std::io::pipe().context(|| "cannot make a pipe")?;
    let (written, unpacked) = std::thread::scope(|scope| {
        let options = CreateOptions { root_entry: true, ..CreateOptions::layer() };
        let writing = scope.spawn(move || create(tree.as_fd(), &options, &mut writer).map(drop));
        let unpacked = unpack(stage, name, reader);
        (writing.join(), unpacked)
    });
    // What could not be read of the tree says more than that the tar ends too early.
    match (written.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), unpacked) {
        (Err(error), Ok(_)) => Err(error.into()),
        (Err(error), Err(_)) if error.fault() == crate::tar::Fault::System => Err(error.into()),
        (_, unpacked) => unpacked,
    }
}
