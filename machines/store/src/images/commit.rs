//! Makes a container's writable layer a read-only one on top of its image's.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;

use dhow_model::ports::CommitRequest;
use dhow_model::{Error, ImageId, Result};
use dhow_oci::image::History;

use super::import::Below;
use super::missing;
use crate::Core;
use crate::error::Context as _;
use crate::layer::{CreateOptions, create};
use crate::stack::{LayerFormat, NewLayer, receive};
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
        let layer = pack(&stage, "layer", self.formats.new, &upper)?;
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
        let image = catalog.image(&id).ok_or_else(|| missing(&catalog, &id))?;
        image.config.rootfs.diff_ids.iter().try_for_each(|layer| self.refuse_damaged(layer))?;
        let layers = image.config.rootfs.diff_ids.iter().copied().zip(image.layer_sizes).collect();
        Ok(Below { parent, layers, history: image.config.history.clone() })
    }
}

/// Makes a layer of an upper directory: the tar is written, and taken in as it comes.
pub(super) fn pack(stage: &Stage, name: &str, format: LayerFormat, upper: &Path) -> Result<NewLayer> {
    let tree = File::open(upper).on("open", upper)?;
    let (reader, mut writer) = std::io::pipe().context(|| "cannot make a pipe")?;
    let (written, received) = std::thread::scope(|scope| {
        let options = CreateOptions { root_entry: true, hashed: false, ..CreateOptions::layer() };
        let writing = scope.spawn(move || create(tree.as_fd(), &options, &mut writer).map(drop));
        let received = receive(stage, name, format, reader);
        (writing.join(), received)
    });
    match (written.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), received) {
        (Ok(()), received) => received,
        // The reader gave up first, and knows why.
        (Err(error), Err(cause)) if is_broken_pipe(&error) => Err(cause),
        (Err(error), _) => Err(error.into()),
    }
}

fn is_broken_pipe(error: &crate::tar::Error) -> bool {
    use std::error::Error as _;
    let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|source| source.kind() == std::io::ErrorKind::BrokenPipe)
}
