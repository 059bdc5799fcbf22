//! What happens, told to listeners and kept for a while.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use dhow_model::event::EventKind;
use dhow_model::{Container, Event, Timestamp};
use tokio::sync::broadcast;

use crate::Engine;
use crate::registry::lock;

/// Events that are kept for `since`, as Docker does.
const KEPT: usize = 256;
/// Events that a slow listener may be behind.
const BEHIND: usize = 1024;

/// The stream of events.
#[derive(Debug)]
pub struct Events {
    sender: broadcast::Sender<Arc<Event>>,
    kept: Mutex<VecDeque<Arc<Event>>>,
}

impl Default for Events {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(BEHIND), kept: Mutex::default() }
    }
}

impl Events {
    /// What was kept, and everything from now on, without a gap between.
    #[must_use]
    pub fn listen(&self) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let kept = lock(&self.kept);
        (kept.iter().cloned().collect(), self.sender.subscribe())
    }

    /// How many listen.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.sender.receiver_count()
    }

    pub(crate) fn tell(&self, event: Event) {
        let event = Arc::new(event);
        let mut kept = lock(&self.kept);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&event));
        // Nobody listening is no failure.
        let _ = self.sender.send(event);
    }
}

impl Engine {
    /// Tells what was done to a container: its name, image and labels go along.
    pub(crate) fn tell_container(&self, container: &Container, action: &str, more: &[(&str, String)]) {
        let mut attributes: BTreeMap<String, String> = container.config.labels.clone();
        attributes.insert("image".into(), container.image_name.clone());
        attributes.insert("name".into(), container.name.to_string());
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        self.tell(EventKind::Container, action, container.id.as_str(), attributes);
    }

    /// Tells that a container got its volumes, or gave them back.
    pub(crate) fn tell_mounts(&self, container: &Container, mounted: bool) {
        for mount in container.volumes() {
            let mut attributes =
                vec![("driver", mount.driver.clone()), ("container", container.id.to_string())];
            if mounted {
                attributes.extend([
                    ("destination", mount.destination.to_string_lossy().into_owned()),
                    ("read/write", mount.writable.to_string()),
                    ("propagation", mount.propagation.clone()),
                ]);
            }
            let attributes = attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            let action = if mounted { "mount" } else { "unmount" };
            self.tell(EventKind::Volume, action, &mount.name, attributes);
        }
    }

    /// Tells what was done to an image: its labels go along while it is there.
    pub(crate) fn tell_image(&self, action: &str, id: &str, name: &str) {
        let image = self.image(id).ok();
        let labels = image.and_then(|image| image.config.config.labels.clone());
        let mut attributes = labels.unwrap_or_default();
        if !name.is_empty() {
            attributes.insert("name".into(), name.into());
        }
        self.tell(EventKind::Image, action, id, attributes);
    }

    /// Tells what was done to anything.
    pub(crate) fn tell(
        &self,
        kind: EventKind,
        action: &str,
        actor: &str,
        attributes: BTreeMap<String, String>,
    ) {
        let at = Timestamp::now();
        self.counts.event();
        self.events.tell(Event { kind, action: action.into(), actor: actor.into(), attributes, at });
    }
}
