//! `dhow events`: what happens, as it happens.

use std::collections::BTreeMap;
use std::io::BufReader;

use dhow_api::client::Request;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::filter::Filters;
use crate::flags::{FILTER, Parsed, STRING, flag, moment};
use crate::format::inspected::Shown;
use crate::format::time;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["system events", "events"],
    usage: "[OPTIONS]",
    about: "Show what happens at the engine, as it happens",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[
        flag("filter", FILTER, "Show only what meets the condition").short('f'),
        flag("format", STRING, super::INSPECT_FORMAT_HELP),
        flag("since", STRING, "Show what happened since a moment or for a time"),
        flag("until", STRING, "End at this moment"),
    ]],
    run,
};

/// What docker reads an event into.
const MESSAGE: &str = "*events.Message";

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let moment = |flag: &str| {
        let given = parsed.text(flag).filter(|value| !value.is_empty());
        given.map(moment::timestamp).transpose()
    };
    let format = parsed.text_or_empty("format");
    let shown = template(format)?;
    let request = Request::get(&["events"])
        .query_some("since", moment("since")?.as_deref())
        .query_some("until", moment("until")?.as_deref())
        .query_some("filters", Filters::of(parsed).to_query().as_deref());
    let body = session.send(request)?.into_body();
    for event in serde_json::Deserializer::from_reader(BufReader::new(body)).into_iter::<Json>() {
        let event = event.map_err(|error| Error::said(format!("reading events: {error}")))?;
        let text = match format {
            "" => line(&event),
            "json" | "{{json .}}" => format!("{event}\n"),
            _ => shown.named(&event, MESSAGE, "")?,
        };
        session.print(&text)?;
    }
    Ok(())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Event {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "Action")]
    action: String,
    #[serde(rename = "Actor")]
    actor: Actor,
    time: i64,
    #[serde(rename = "timeNano")]
    time_nano: i64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(deserialize_with = "super::nullable")]
    attributes: BTreeMap<String, String>,
}

/// Docker tries a template on an event of nothing before it asks for any.
fn template(format: &str) -> Result<Shown> {
    let tried = Shown::by(format).and_then(|shown| shown.named(&json!({}), MESSAGE, "").map(|_| shown));
    tried.map_err(|error| {
        let words = error.to_string();
        let why = words.trim_start_matches("template parsing error: ");
        Error::Status { code: 64, words: format!("Error parsing format: {why}") }
    })
}

fn line(event: &Json) -> String {
    let event: Event = serde_json::from_value(event.clone()).unwrap_or_default();
    let moment = match (event.time_nano, event.time) {
        (0, 0) => String::new(),
        (0, seconds) => time::local_nanoseconds(seconds.saturating_mul(1_000_000_000)) + " ",
        (nanoseconds, _) => time::local_nanoseconds(nanoseconds) + " ",
    };
    let attributes: Vec<String> =
        event.actor.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let attributes = match attributes.is_empty() {
        true => String::new(),
        false => format!(" ({})", attributes.join(", ")),
    };
    format!("{moment}{} {} {}{attributes}\n", event.kind, event.action, event.actor.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = serde_json::json!({"Type": "container", "Action": "start", "timeNano": 1_136_214_245_000_000_500_i64,
            "Actor": {"ID": "ab", "Attributes": {"name": "x", "image": "busybox"}}});
        let shown = line(&event);
        assert!(shown.ends_with(" container start ab (image=busybox, name=x)\n"), "{shown}");
        assert!(shown.contains(".000000500"), "{shown}");
    }
}
