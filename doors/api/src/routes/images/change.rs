//! Images named, made of containers, and removed.

use dhow_engine::containers::commit::Commit;
use dhow_engine::images::named;
use dhow_engine::images::remove::ImageRemoval;
use dhow_model::image::Removed;
use dhow_model::{Error, Image, Result};
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::server::answer::{self, Answer};
use crate::server::call::{Call, read_platform};
use crate::types::prune::PruneFilter;
use crate::types::{create, image};

pub(super) async fn tag(call: Call, name: String) -> Answer {
    let (repository, tag) = (call.query.text("repo").to_owned(), call.query.text("tag").to_owned());
    call.run(move |engine| engine.tag_image(&name, &repository, &tag)).await?;
    Ok(answer::empty(StatusCode::CREATED))
}

/// `POST /commit`.
pub(in crate::routes) async fn commit(mut call: Call) -> Answer {
    let body: Option<Map<String, Value>> = call.json("container.Config").await?;
    let query = &call.query;
    let container =
        query.given("container").ok_or_else(|| Error::invalid("no container to commit was named"))?;
    let request = Commit {
        container: container.to_owned(),
        reference: named(query.text("repo"), query.text("tag"))?,
        comment: query.text("comment").to_owned(),
        author: query.text("author").to_owned(),
        pause: query.is_set_or("pause", true),
        changes: query.all("changes").flat_map(|lines| lines.split('\n')).map(str::to_owned).collect(),
        config: body
            .filter(|members| !members.is_empty())
            .map(|members| create::config(members, "container.Config"))
            .transpose()?,
    };
    let id = call.run(move |engine| engine.commit_container(request)).await?;
    Ok(answer::created(&json!({"Id": id})))
}

pub(super) async fn remove(call: Call, name: String) -> Answer {
    let removal =
        ImageRemoval { force: call.query.is_set("force"), keep_parents: call.query.is_set("noprune") };
    // An image is of one platform here: it goes when it is one of those that are to go.
    let platforms = call.query.all("platforms").filter(|_| !call.version.before(50));
    let platforms = platforms.map(read_platform).collect::<Result<Vec<_>>>()?;
    let verb = move |engine: &std::sync::Arc<dhow_engine::Engine>| {
        platforms.iter().try_for_each(|platform| engine.image_on(&name, Some(platform)).map(drop))?;
        engine.remove_image(&name, removal)
    };
    let removed = call.run(verb).await?;
    Ok(answer::ok(&removed.iter().map(shown).collect::<Vec<_>>()))
}

fn shown(removed: &Removed) -> Value {
    match removed {
        Removed::Untagged(name) => json!({"Untagged": name}),
        Removed::Deleted(digest) => json!({"Deleted": digest}),
    }
}

pub(super) async fn prune(call: Call) -> Answer {
    let mut filters = call.filters(&["dangling", "label", "label!", "until"])?;
    let unnamed_only = filters.take_truth("dangling")?.unwrap_or(true);
    let is_filtered = !filters.0.is_empty();
    let filter = PruneFilter::new(filters)?;
    let wanted = move |one: &Image| {
        let labels = one.config.config.labels.clone().unwrap_or_default();
        filter.lets(image::created(one), &labels)
    };
    let pruned =
        call.run(move |engine| engine.prune_images(unnamed_only, is_filtered.then_some(&wanted))).await?;
    let removed: Vec<Value> = pruned.removed.iter().map(shown).collect();
    let removed = Some(removed).filter(|removed| !removed.is_empty());
    Ok(answer::ok(&json!({"ImagesDeleted": removed, "SpaceReclaimed": pruned.reclaimed})))
}
