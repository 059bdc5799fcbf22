//! Which events a listener wants: values of one key are alternatives, keys must all be met.

use std::collections::BTreeSet;

use dhow_model::Event;
use dhow_model::event::EventKind;

use crate::server::filters::Filters;

/// The keys that are known.
pub(crate) const KEYS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// A filter of events.
#[derive(Debug)]
pub(crate) struct EventFilter(Filters);

impl EventFilter {
    /// Of the filters asked for.
    pub(crate) const fn new(filters: Filters) -> Self {
        Self(filters)
    }

    /// Whether the listener wants this one.
    pub(crate) fn lets(&self, event: &Event) -> bool {
        self.0.0.iter().all(|(key, values)| meets(event, key, values))
    }
}

fn meets(event: &Event, key: &str, values: &BTreeSet<String>) -> bool {
    let any = |test: &dyn Fn(&str) -> bool| values.iter().any(|value| test(value));
    match key {
        "event" => any(&|value| is_action(&event.action, value)),
        "type" => any(&|value| value == word(event.kind)),
        "scope" => any(&|value| value == "local"),
        // Every label asked for, as Docker has it.
        "label" => values.iter().all(|value| has_label(event, value)),
        "image" => any(&|value| is_image(event, value)),
        "container" => event.kind == EventKind::Container && any(&|value| is_thing(event, value)),
        "volume" => event.kind == EventKind::Volume && any(&|value| is_thing(event, value)),
        "network" => event.kind == EventKind::Network && any(&|value| is_thing(event, value)),
        "daemon" => event.kind == EventKind::Daemon && any(&|value| is_thing(event, value)),
        _ => false,
    }
}

const fn word(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Container => "container",
        EventKind::Image => "image",
        EventKind::Volume => "volume",
        EventKind::Network => "network",
        EventKind::Daemon => "daemon",
    }
}

/// `exec_create` stands for `exec_create: sh -c …`.
fn is_action(action: &str, wanted: &str) -> bool {
    action == wanted || action.split_once(':').is_some_and(|(name, _)| name == wanted)
}

/// By id or name, or the beginning of either.
fn is_thing(event: &Event, wanted: &str) -> bool {
    let name = event.attributes.get("name").map_or("", String::as_str);
    event.actor.starts_with(wanted) || name.starts_with(wanted.trim_start_matches('/'))
}

/// An image by name, with or without tag, of an image's event or a container's.
fn is_image(event: &Event, wanted: &str) -> bool {
    let key = if event.kind == EventKind::Image { "name" } else { "image" };
    let name = event.attributes.get(key).map_or("", String::as_str);
    let same = |text: &str| text == wanted || without_tag(text) == wanted;
    same(name) || (event.kind == EventKind::Image && same(&event.actor))
}

fn without_tag(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

fn has_label(event: &Event, wanted: &str) -> bool {
    let (key, value) = wanted.split_once('=').map_or((wanted, None), |(key, value)| (key, Some(value)));
    event.attributes.get(key).is_some_and(|found| value.is_none_or(|value| value == found))
}

#[cfg(test)]
mod tests {
    use dhow_model::Timestamp;

    use super::*;

    #[test]
    fn an_event_is_shown_to_those_who_asked_for_it() {
        let pairs = [("name", "web"), ("image", "busybox:latest"), ("tier", "front")];
        let event = Event {
            kind: EventKind::Container,
            action: "exec_create: sh".into(),
            actor: "0123456789ab".into(),
            attributes: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            at: Timestamp::NEVER,
        };
        for (filter, wanted) in [
            ("{}", true),
            (r#"{"event":["exec_create"]}"#, true),
            (r#"{"event":["start"]}"#, false),
            (r#"{"event":["start","exec_create"],"type":["container"]}"#, true),
            (r#"{"container":["web"]}"#, true),
            (r#"{"container":["/web"]}"#, true),
            (r#"{"container":["0123"]}"#, true),
            (r#"{"container":["we"]}"#, true),
            (r#"{"container":["other"]}"#, false),
            (r#"{"image":["busybox"]}"#, true),
            (r#"{"label":["tier=front"]}"#, true),
            (r#"{"label":["tier=front","zone"]}"#, false),
            (r#"{"volume":["web"]}"#, false),
            (r#"{"node":["x"]}"#, false),
        ] {
            let filter_of = EventFilter::new(Filters::parse(filter).unwrap());
            assert_eq!(filter_of.lets(&event), wanted, "{filter}");
        }
    }
}
