//! `GET /system/df`: what takes how much.

use std::collections::BTreeSet;

use dhow_engine::Engine;
use dhow_model::image::size_of_layers;
use dhow_model::{Error, Image, Result};
use serde_json::{Value, json};

use super::images::{SharedSizes, Users};
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
    let version = call.version;
    let wanted = Wanted::of(&call)?;
    let shown = call
        .run(move |engine| {
            let images = wanted.has("image").then(|| images(engine, version)).transpose()?;
            let containers = wanted.has("container").then(|| containers(engine, version)).transpose()?;
            let volumes = wanted.has("volume").then(|| volumes(engine)).transpose()?;
            // Nothing is built here, so nothing is cached.
            let cache = wanted.has("build-cache").then(Usage::default);
            Ok(wanted.shown(Parts { images, containers, volumes, cache }))
        })
        .await?;
    Ok(answer::ok(&shown))
}

/// What a client asked for.
struct Wanted {
    kinds: BTreeSet<String>,
    /// In the form that came with 1.52.
    new: bool,
    /// In the form before it. Both are given to a client that does not say which of them it knows.
    old: bool,
    version: ApiVersion,
}

/// What was found, of the kinds that were asked for.
struct Parts {
    images: Option<Usage>,
    containers: Option<Usage>,
    volumes: Option<Usage>,
    cache: Option<Usage>,
}

impl Wanted {
    fn of(call: &Call) -> Result<Self> {
        let version = call.version;
        // Older versions know no kinds.
        let asked = call.query.all("type").filter(|_| !version.before(42));
        let kinds: BTreeSet<String> = asked.map(str::to_owned).collect();
        let known = ["container", "image", "volume", "build-cache"];
        if let Some(kind) = kinds.iter().find(|kind| !known.contains(&kind.as_str())) {
            return Err(Error::invalid(format!("unknown object type: {kind}")));
        }
        let new = !version.before(52);
        Ok(Self { kinds, new, old: !(new && call.query.is_set("verbose")), version })
    }

    fn has(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.contains(kind)
    }

    fn shown(&self, parts: Parts) -> Value {
        let mut answer = serde_json::Map::new();
        if self.old {
            let size = parts.images.as_ref().map(|images| images.size.into());
            let builder = (self.version.before(42)).then(|| 0.into());
            let items = |usage: &Option<Usage>| usage.as_ref().map(|usage| usage.items.clone().into());
            let members = [
                ("LayersSize", size),
                ("Images", items(&parts.images)),
                ("Containers", items(&parts.containers)),
                ("Volumes", items(&parts.volumes)),
                ("BuildCache", items(&parts.cache)),
                ("BuilderSize", builder),
            ];
            answer.extend(members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        }
        if self.new {
            let members = [
                ("ImageUsage", parts.images),
                ("ContainerUsage", parts.containers),
                ("VolumeUsage", parts.volumes),
                ("BuildCacheUsage", parts.cache),
            ];
            answer.extend(
                members.into_iter().filter_map(|(key, usage)| Some((key.to_owned(), summed(usage?)))),
            );
        }
        answer.into()
    }
}

fn summed(usage: Usage) -> Value {
    let mut summed = json!({
        "ActiveCount": usage.active, "TotalCount": usage.items.len(), "TotalSize": usage.size,
        "Reclaimable": usage.reclaimable,
    });
    if !usage.items.is_empty() {
        summed["Items"] = usage.items.into();
    }
    summed
}

fn images(engine: &Engine, version: ApiVersion) -> Result<Usage> {
    let images = engine.images()?;
    let users = Users::of(engine);
    let shared = SharedSizes::of(&images);
    let size = engine.layers_usage()?.total();
    let used: Vec<&Image> = images.iter().filter(|image| users.count(&image.id) > 0).collect();
    let kept = size_of_layers(used.iter().copied());
    let item = |image: &Image| {
        let containers = i64::try_from(users.count(&image.id)).unwrap_or(i64::MAX);
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
    let links = engine.link_names();
    for container in engine.containers() {
        let taken = engine.container_usage(&container)?;
        let active = container.state.is_active();
        usage.active += usize::from(active);
        usage.size += taken.writable;
        usage.reclaimable += if active { 0 } else { taken.writable };
        let image = container.image_name.clone();
        usage.items.push(json!(container::Summary::new(&container, &links, image, Some(taken), version)));
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
