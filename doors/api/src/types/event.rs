//! Events on the wire: one shape, and older fields beside it before 1.52.

use std::collections::BTreeMap;

use dhow_model::Event;
use dhow_model::event::EventKind;
use serde::Serialize;

use crate::server::version::ApiVersion;

/// One event.
#[derive(Debug, Serialize)]
pub(crate) struct Message<'a> {
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    legacy: Option<Legacy<'a>>,
    #[serde(rename = "Type")]
    kind: EventKind,
    #[serde(rename = "Action")]
    action: &'a str,
    #[serde(rename = "Actor")]
    actor: Actor<'a>,
    scope: &'static str,
    time: i64,
    #[serde(rename = "timeNano")]
    time_nano: i128,
}

/// What `docker events` printed before types and actions were.
#[derive(Debug, Serialize)]
struct Legacy<'a> {
    status: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Actor<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "Attributes")]
    attributes: &'a BTreeMap<String, String>,
}

impl<'a> Message<'a> {
    /// The event for a client of that version.
    pub(crate) fn new(event: &'a Event, version: ApiVersion) -> Self {
        let legacy = version.before(52) && matches!(event.kind, EventKind::Container | EventKind::Image);
        Self {
            legacy: legacy.then(|| Legacy {
                status: &event.action,
                id: &event.actor,
                // Docker has it of every container, and of no image.
                from: (event.kind == EventKind::Container)
                    .then(|| event.attributes.get("image").map_or("", String::as_str)),
            }),
            kind: event.kind,
            action: &event.action,
            actor: Actor { id: &event.actor, attributes: &event.attributes },
            scope: "local",
            time: event.at.unix_seconds(),
            time_nano: event.at.unix_nanos(),
        }
    }
}

#[cfg(test)]
mod tests {
    use dhow_model::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn old_clients_get_the_old_fields_too() {
        let event = Event {
            kind: EventKind::Container,
            action: "start".into(),
            actor: "abc".into(),
            attributes: [("image".to_owned(), "busybox".to_owned())].into(),
            at: Timestamp::from_nanos(1_500_000_000),
        };
        let new = json!({
            "Type": "container", "Action": "start", "scope": "local", "time": 1, "timeNano": 1_500_000_000_i64,
            "Actor": {"ID": "abc", "Attributes": {"image": "busybox"}},
        });
        assert_eq!(serde_json::to_value(Message::new(&event, ApiVersion::NEWEST)).unwrap(), new);
        let old = serde_json::to_value(Message::new(&event, ApiVersion::of(51))).unwrap();
        assert_eq!(
            (&old["status"], &old["id"], &old["from"]),
            (&json!("start"), &json!("abc"), &json!("busybox"))
        );
    }
}
