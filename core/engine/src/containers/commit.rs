//! `commit`: the writable layer becomes a read-only layer on the image's stack.

use dhow_model::container::State;
use dhow_model::ports::CommitRequest;
use dhow_model::{Container, Error, ImageId, Kind, Result, Timestamp};
use dhow_oci::image::ContainerDefaults;
use dhow_oci::{ImageConfig, Platform, Reference};

use crate::Engine;
use crate::images::import::apply_changes;
use crate::plan::merge;

/// What a client asks for.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The container.
    pub container: String,
    /// The name to give; nothing leaves it unnamed.
    pub reference: Option<Reference>,
    /// A comment.
    pub comment: String,
    /// Who.
    pub author: String,
    /// The container is frozen meanwhile.
    pub pause: bool,
    /// Lines of a Dockerfile: `ENV A=b`, `CMD …`.
    pub changes: Vec<String>,
    /// Defaults that replace the container's own.
    pub config: Option<dhow_model::container::Config>,
}

impl Engine {
    /// Makes an image of a container.
    ///
    /// # Errors
    /// In Docker's words: no such container, a change that is none.
    pub fn commit_container(&self, request: Commit) -> Result<ImageId> {
        let _timer = self.counts.time("commit");
        let entry = self.container(&request.container)?;
        let _turn = entry.turn();
        let record = entry.record();
        let parent = record.image.map(|id| self.ports.images.by_id(&id)).transpose()?.flatten();
        let defaults = self.defaults(&record, &request)?;
        let platform = record.platform.clone().unwrap_or_else(Platform::host);
        let mut config = parent.map_or_else(ImageConfig::default, |image| (*image.config).clone());
        config.config = defaults;
        config.architecture = platform.architecture;
        config.os = platform.os;
        config.variant = platform.variant;
        config.created = Some(Timestamp::now().to_string());
        config.author.clone_from(&request.author);
        config.comment.clone_from(&request.comment);
        let words: Vec<&str> = merge::command(&record.config).map(String::as_str).collect();
        let commit = CommitRequest {
            container: record.id.clone(),
            parent: record.image,
            config,
            created_by: words.join(" "),
            reference: request.reference.clone(),
        };
        let id = self.frozen(&record, request.pause, || self.ports.images.commit(commit))?;
        self.tell_image("create", &id.to_string(), &id.to_string());
        if let Some(reference) = &request.reference {
            self.tell_image("tag", &id.to_string(), &reference.familiar());
        }
        let named = request.reference.map_or_else(String::new, |reference| reference.familiar());
        self.tell_container(
            &record,
            "commit",
            &[("comment", request.comment), ("imageID", id.to_string()), ("imageRef", named)],
        );
        Ok(id)
    }

    fn defaults(&self, record: &Container, request: &Commit) -> Result<ContainerDefaults> {
        let mut defaults = merge::to_defaults(request.config.as_ref().unwrap_or(&record.config));
        if request.config.is_some() {
            // Docker completes what a client gives with what the container has.
            defaults = merge::completed(defaults, &merge::to_defaults(&record.config));
        }
        apply_changes(&mut defaults, &request.changes)?;
        Ok(defaults)
    }

    /// Does something while nothing in the container can move.
    pub(crate) fn frozen<T>(
        &self,
        record: &Container,
        pause: bool,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if !pause || !matches!(record.state, State::Running(_)) {
            return work();
        }
        if let Err(error) = self.ports.runtime.pause(&record.id) {
            return if has_ended(&error) { work() } else { Err(error) };
        }
        self.tell_container(record, "pause", &[]);
        let done = work();
        let thawed = self.ports.runtime.resume(&record.id);
        self.tell_container(record, "unpause", &[]);
        let thawed = thawed.or_else(|error| if has_ended(&error) { Ok(()) } else { Err(error) });
        match (done, thawed) {
            (Ok(done), Ok(())) => Ok(done),
            (Err(error), Ok(())) | (Ok(_), Err(error)) => Err(error),
            (Err(error), Err(other)) => Err(Error::new(
                error.kind(),
                format!("{}; and thaw the container: {}", error.report(), other.report()),
            )),
        }
    }
}

/// The container has ended meanwhile: nothing in it moves any more.
fn has_ended(error: &Error) -> bool {
    error.kind() == Kind::Conflict
}
