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

    /// Tells what was done to anything.
    pub(crate) fn tell(
        &self,
        kind: EventKind,
        action: &str,
        actor: &str,
        attributes: BTreeMap<String, String>,
    ) {
        let at = Timestamp::now();
        self.events.tell(Event { kind, action: action.into(), actor: actor.into(), attributes, at });
    }
}
