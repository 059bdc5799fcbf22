//! `GET /system/df`: what takes how much.

use std::collections::BTreeSet;

use dhow_engine::Engine;
use dhow_model::image::size_of_layers;
use dhow_model::{Error, Image, Result};
use serde_json::{Value, json};

use super::images::SharedSizes;
use super::volumes::Shown;
use crate::server::answer::{self, Answer};
use crate::server::call::Call;
use crate::server::version::ApiVersion;
use crate::types::container;
use crate::types::image::Summary;

/// Things of one kind: how many, how many in use, and their bytes.
#[derive(Debug, Default)]
struct Usage {
    items: Vec<Value>,
    active: usize,
    size: u64,
    reclaimable: u64,
}

pub(super) async fn usage(call: Call) -> Answer {
    let wanted: BTreeSet<String> = call.query.all("type").map(str::to_owned).collect();
    if let Some(kind) =
        wanted.iter().find(|kind| !["container", "image", "volume", "build-cache"].contains(&kind.as_str()))
    {
        return Err(Error::invalid(format!("unknown object type: {kind}")));
    }
    let version = call.version;
    let shown = call
        .run(move |engine| {
            let wants = |kind: &str| wanted.is_empty() || wanted.contains(kind);
            let images = wants("image").then(|| images(engine, version)).transpose()?;
            let containers = wants("container").then(|| containers(engine, version)).transpose()?;
            let volumes = wants("volume").then(|| volumes(engine)).transpose()?;
            Ok(shown([images, containers, volumes], version))
        })
        .await?;
    Ok(answer::ok(&shown))
}

/// Both forms: the older one beside the one that came with 1.52.
fn shown([images, containers, volumes]: [Option<Usage>; 3], version: ApiVersion) -> Value {
    let items = |usage: &Option<Usage>| usage.as_ref().map(|usage| usage.items.clone());
    let mut answer = json!({
        "LayersSize": images.as_ref().map_or(0, |images| images.size),
        "Images": items(&images),
        "Containers": items(&containers),
        "Volumes": items(&volumes),
        "BuildCache": [],
    });
    if version.before(42) {
        answer["BuilderSize"] = 0.into();
    }
    if !version.before(52) {
        let kinds = [("ImageUsage", images), ("ContainerUsage", containers), ("VolumeUsage", volumes)];
        for (name, usage) in kinds.into_iter().filter_map(|(name, usage)| Some((name, usage?))) {
            answer[name] = summed(usage);
        }
        answer["BuildCacheUsage"] = summed(Usage::default());
    }
    answer
}

fn summed(usage: Usage) -> Value {
    json!({
        "ActiveCount": usage.active, "TotalCount": usage.items.len(), "TotalSize": usage.size,
        "Reclaimable": usage.reclaimable, "Items": usage.items,
    })
}

fn images(engine: &Engine, version: ApiVersion) -> Result<Usage> {
    let images = engine.images()?;
    let users: Vec<_> = engine.containers().iter().filter_map(|container| container.image).collect();
    let shared = SharedSizes::of(&images);
    let size = size_of_layers(&images);
    let used: Vec<&Image> = images.iter().filter(|image| users.contains(&image.id)).collect();
    let kept = size_of_layers(used.iter().copied());
    let count = |image: &Image| users.iter().filter(|id| **id == image.id).count();
    let item = |image: &Image| {
        let containers = i64::try_from(count(image)).unwrap_or(i64::MAX);
        json!(Summary::new(image, containers, shared.shared(image), version))
    };
    Ok(Usage {
        items: images.iter().map(item).collect(),
        active: used.len(),
        size,
        reclaimable: size.saturating_sub(kept),
    })
}

fn containers(engine: &Engine, version: ApiVersion) -> Result<Usage> {
    let mut usage = Usage::default();
    for container in engine.containers() {
        let taken = engine.container_usage(&container)?;
        let active = container.state.is_active();
        usage.active += usize::from(active);
        usage.size += taken.writable;
        usage.reclaimable += if active { 0 } else { taken.writable };
        let image = container.image_name.clone();
        usage.items.push(json!(container::Summary::new(&container, image, Some(taken), version)));
    }
    Ok(usage)
}

fn volumes(engine: &Engine) -> Result<Usage> {
    let mut usage = Usage::default();
    for volume in engine.volumes()? {
        let size = engine.ports().volumes.usage(&volume.name)?;
        let users = engine.volume_users(&volume.name).len();
        usage.active += usize::from(users > 0);
        usage.size += size;
        usage.reclaimable += if users > 0 { 0 } else { size };
        let mut item = json!(Shown::from(volume));
        item["UsageData"] = json!({"Size": size, "RefCount": users});
        usage.items.push(item);
    }
    Ok(usage)
}
