//! The engine itself: ping, version, info, events, disk usage.

use std::time::Duration;

use bytes::Bytes;
use dhow_model::event::EventKind;
use dhow_model::{Error, Event, Result, Timestamp};
use futures_util::StreamExt;
use http::header::{ACCEPT, CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use tokio_stream::wrappers::BroadcastStream;

use super::{Handling, disk, not_found};
use crate::server::answer::{self, Answer, Response};
use crate::server::call::Call;
use crate::server::version::ApiVersion;
use crate::server::{moment, stream};
use crate::types::event::Message;
use crate::types::event_filter::{self, EventFilter};
use crate::types::system as types;

/// The handler of what has no noun.
pub(super) fn route(call: Call, parts: &[&str]) -> Handling {
    match (call.method.as_str(), parts) {
        ("GET" | "HEAD", ["_ping"]) => ready(ping(&call)),
        ("GET", ["version"]) => Box::pin(version(call)),
        ("GET", ["info"]) => Box::pin(info(call)),
        ("GET", ["events"]) => Box::pin(events(call)),
        ("GET", ["system", "df"]) => Box::pin(disk::usage(call)),
        ("POST", ["dhow", "system", "check"]) => Box::pin(check(call)),
        ("POST", ["auth"]) => unserved("logging in to a registry"),
        ("GET", ["distribution", ..]) => unserved("asking a registry"),
        // Nothing is built here, so nothing is cached.
        ("POST", ["build", "prune"]) => {
            ready(answer::ok(&json!({"CachesDeleted": null, "SpaceReclaimed": 0})))
        }
        ("POST", ["build", ..] | ["session"] | ["grpc"]) => unserved("building images"),
        _ => not_found(),
    }
}

/// An answer that is there already.
pub(super) fn ready(response: Response) -> Handling {
    Box::pin(std::future::ready(Ok(response)))
}

/// An operation of Docker that has no engine behind it yet.
pub(super) fn unserved(what: &str) -> Handling {
    Box::pin(std::future::ready(Err(Error::not_implemented(format!("{what} is not supported yet")))))
}

fn ping(call: &Call) -> Response {
    let body = if call.method == "HEAD" { Bytes::new() } else { Bytes::from_static(b"OK") };
    let mut response = answer::typed(StatusCode::OK, "text/plain; charset=utf-8", body);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    // With which of its two interfaces an image would be built: the second, as every Docker of today says.
    headers.insert("builder-version", HeaderValue::from_static("2"));
    headers.insert("swarm", HeaderValue::from_static("inactive"));
    response
}

async fn version(call: Call) -> Answer {
    let engine = &call.engine;
    Ok(answer::ok(&types::version(&engine.settings().version, engine.ports().host.facts())))
}

async fn info(call: Call) -> Answer {
    let version = call.version;
    let info = call.run(move |engine| engine.info().map(|info| types::info(&info, version))).await?;
    Ok(answer::ok(&info))
}

/// Our own: docker has nothing of the kind.
async fn check(call: Call) -> Answer {
    let repair = call.query.is_set("repair");
    let report = call.run(move |engine| engine.check(repair)).await?;
    Ok(answer::ok(&report))
}

/// Kept events since an instant, then those that come, until an instant or for ever.
async fn events(call: Call) -> Answer {
    let filter = EventFilter::new(call.filters(event_filter::KEYS)?);
    let (since, until) = span(&call)?;
    let version = call.version;
    let format = EventFormat::accepted(&call.headers, version);
    let (kept, coming) = call.engine.events().listen();
    let kept = kept.into_iter().filter(move |event| match since {
        Some(since) => event.at >= since,
        None => until.is_some(),
    });
    // A listener that is too slow misses events rather than holding them up for everybody.
    let coming = BroadcastStream::new(coming).filter_map(async |event| event.ok()).take_until(passed(until));
    let shown = futures_util::stream::iter(kept)
        .chain(coming)
        .filter(move |event| {
            let is_in_time = until.is_none_or(|until| event.at <= until);
            std::future::ready(is_in_time && is_known(event, version) && filter.lets(event))
        })
        .map(move |event| format.write(&event, version));
    Ok(stream::endless(format.media_type(), shown, call.end))
}

/// The instants between which events are asked for.
fn span(call: &Call) -> Result<(Option<Timestamp>, Option<Timestamp>)> {
    let instant = |key: &str| {
        let wrong = |error: Error| Error::invalid(format!("invalid value for '{key}': {error}"));
        moment::optional(call.query.text(key)).map_err(wrong)
    };
    let (since, until) = (instant("since")?, instant("until")?);
    if since.zip(until).is_some_and(|(since, until)| until < since) {
        let (since, until) = (call.query.text("since"), call.query.text("until"));
        return Err(Error::invalid(format!("`since` time ({since}) cannot be after `until` time ({until})")));
    }
    Ok((since, until))
}

/// That an image was made is told since 1.46.
fn is_known(event: &Event, version: ApiVersion) -> bool {
    !(version.before(46) && event.kind == EventKind::Image && event.action == "create")
}

/// Ready when the instant has passed; never without one.
async fn passed(until: Option<Timestamp>) {
    let Some(until) = until else { return std::future::pending().await };
    let left = until.unix_nanos() - Timestamp::now().unix_nanos();
    tokio::time::sleep(Duration::from_nanos(u64::try_from(left).unwrap_or_default())).await;
}

/// How events are written one after the other, by what the client accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EventFormat {
    Json,
    Lines,
    JsonLines,
    Sequence,
}

impl EventFormat {
    /// Lines of JSON, which were called JSON before 1.52, unless the client accepts only another form.
    fn accepted(headers: &HeaderMap, version: ApiVersion) -> Self {
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let wanted = accept.split(',').filter_map(|part| part.split(';').next()).map(str::trim);
        let usual = if version.before(52) { Self::Json } else { Self::JsonLines };
        wanted.into_iter().find_map(Self::of).unwrap_or(usual)
    }

    fn of(media_type: &str) -> Option<Self> {
        [Self::Lines, Self::JsonLines, Self::Sequence].into_iter().find(|f| f.media_type() == media_type)
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::JsonLines => "application/jsonl",
            Self::Sequence => "application/json-seq",
        }
    }

    fn write(self, event: &Event, version: ApiVersion) -> Bytes {
        let mut bytes = Vec::new();
        if self == Self::Sequence {
            bytes.push(0x1e);
        }
        if serde_json::to_writer(&mut bytes, &Message::new(event, version)).is_ok() {
            bytes.push(b'\n');
        }
        bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_written_as_the_client_accepts_them() {
        for (accept, format) in [
            ("", EventFormat::JsonLines),
            ("*/*", EventFormat::JsonLines),
            ("application/json", EventFormat::JsonLines),
            ("application/x-ndjson", EventFormat::Lines),
            ("application/json, application/jsonl;q=0.9", EventFormat::JsonLines),
            ("application/json-seq", EventFormat::Sequence),
        ] {
            let headers: HeaderMap = [(ACCEPT, accept.parse().unwrap())].into_iter().collect();
            assert_eq!(EventFormat::accepted(&headers, ApiVersion::NEWEST), format, "{accept}");
        }
        assert_eq!(EventFormat::accepted(&HeaderMap::new(), ApiVersion::of(51)), EventFormat::Json);
    }
}
