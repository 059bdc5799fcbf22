//! What a container uses, once or for ever.

use std::sync::Arc;

use bytes::Bytes;
use dhow_engine::containers::stats::{Follower, Measurement};
use dhow_model::{Error, Result};

use crate::server::answer::{self, Answer};
use crate::server::call::Call;
use crate::server::stream;
use crate::server::version::ApiVersion;
use crate::types::stats::Stats;

/// Without `stream` the answer is one sample, and the one before it, a second apart, unless `one-shot`.
pub(super) async fn stats(call: Call, id: String) -> Answer {
    let version = call.version;
    let one_shot = !version.before(41) && call.query.is_set("one-shot");
    if call.query.is_set_or("stream", true) {
        if one_shot {
            // A container that is not there is told first.
            call.run(move |engine| engine.measure_container(&id).map(drop)).await?;
            return Err(Error::invalid("cannot have stream=true and one-shot=true"));
        }
        let follower = call.run(move |engine| engine.follow_container(&id)).await?;
        return Ok(stream::endless("application/json", lines(follower, version), call.end));
    }
    let (measured, follower) = call
        .run(move |engine| {
            let measured = engine.measure_container(&id)?;
            let follows = !one_shot && measured.sample.is_some();
            let follower = follows.then(|| engine.follow_container(&id)).transpose()?;
            Ok((Arc::new(measured), follower))
        })
        .await?;
    let (before, measured) = match follower {
        Some(follower) => pair(follower, measured).await,
        None => (None, measured),
    };
    Ok(answer::ok(&Stats::new(&measured, before.as_deref(), version)))
}

/// The next two measurements; what is known already, when the container is removed meanwhile.
async fn pair(
    mut follower: Follower,
    known: Arc<Measurement>,
) -> (Option<Arc<Measurement>>, Arc<Measurement>) {
    let before = follower.next().await;
    let after = follower.next().await;
    let after = after.or_else(|| before.clone()).unwrap_or(known);
    (before, after)
}

/// A line for each measurement, as long as there are any.
fn lines(follower: Follower, version: ApiVersion) -> impl futures_util::Stream<Item = Bytes> + Send {
    let state = (follower, None::<Arc<Measurement>>);
    futures_util::stream::unfold(state, move |(mut follower, before)| async move {
        let measured = follower.next().await?;
        let line = line(&Stats::new(&measured, before.as_deref(), version));
        Some((line.unwrap_or_default(), (follower, Some(measured))))
    })
}

fn line(stats: &Stats<'_>) -> Result<Bytes, serde_json::Error> {
    let mut bytes = serde_json::to_vec(stats)?;
    bytes.push(b'\n');
    Ok(bytes.into())
}
