//! Images listed and looked at.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dhow_engine::Engine;
use dhow_model::{Error, Image, ImageId, Kind, Result};
use dhow_oci::Digest;
use serde_json::{Value, json};

use crate::server::answer::{self, Answer};
use crate::server::call::Call;
use crate::server::version::ApiVersion;
use crate::types::image::{self, Inspection, Summary};
use crate::types::image_filter::{self, ImageFilter};
use crate::types::manifest::Manifest;

pub(super) async fn list(call: Call) -> Answer {
    let (all, shared, version) = (call.query.is_set("all"), call.query.is_set("shared-size"), call.version);
    // Who signed, pulled or built an image is known of none here: of an identity there is nothing to tell.
    let identity = call.query.is_set("identity") && !version.before(54);
    let manifests = identity || (call.query.is_set("manifests") && !version.before(47));
    let filters = call.filters(image_filter::KEYS)?;
    let shown = call
        .run(move |engine| {
            let filter =
                ImageFilter::new(filters, |name| engine.image(name).map(|one| image::created(&one)))?;
            let images = engine.images()?;
            let sizes = shared.then(|| SharedSizes::of(&images));
            let parents: BTreeSet<ImageId> = images.iter().filter_map(|one| one.parent).collect();
            let users = Users::of(engine);
            let summary = |one: Image| {
                let containers = counted(users.count(&one.id), version);
                let shown = json!(Summary::new(
                    &one,
                    containers,
                    sizes.as_ref().map_or(-1, |sizes| sizes.shared(&one)),
                    version
                ));
                if manifests { with_manifests(engine, &one, shown) } else { Ok(shown) }
            };
            let shown = images.into_iter().filter_map(|one| filter.show(one, all, &parents));
            shown.map(summary).collect::<Result<Vec<Value>>>()
        })
        .await?;
    Ok(answer::ok(&shown))
}

/// An image of ours has one manifest, or none where it was made here.
fn with_manifests(engine: &Engine, image: &Image, mut shown: Value) -> Result<Value> {
    match engine.image_manifest(image) {
        Ok(Some(manifest)) => shown["Manifests"] = json!([Manifest::new(image, manifest)]),
        // It is being removed.
        Err(error) if error.kind() != Kind::NotFound => return Err(error),
        _ => {}
    }
    Ok(shown)
}

/// Docker did not count containers in a list before 1.51.
fn counted(containers: usize, version: ApiVersion) -> i64 {
    if version.before(51) { -1 } else { i64::try_from(containers).unwrap_or(i64::MAX) }
}

/// How many containers each image has: counted once, for there may be thousands of both.
pub(in crate::routes) struct Users(HashMap<ImageId, usize>);

impl Users {
    /// Of all containers.
    pub(in crate::routes) fn of(engine: &Engine) -> Self {
        let mut users = HashMap::new();
        for image in engine.containers().iter().filter_map(|container| container.image) {
            *users.entry(image).or_default() += 1;
        }
        Self(users)
    }

    /// Those of one image.
    pub(in crate::routes) fn count(&self, image: &ImageId) -> usize {
        self.0.get(image).copied().unwrap_or_default()
    }
}

/// Which layers are in more images than one.
pub(in crate::routes) struct SharedSizes(BTreeMap<Digest, usize>);

impl SharedSizes {
    /// Of all images.
    pub(in crate::routes) fn of(images: &[Image]) -> Self {
        let mut uses = BTreeMap::new();
        for layer in images.iter().flat_map(|one| &one.config.rootfs.diff_ids) {
            *uses.entry(*layer).or_default() += 1;
        }
        Self(uses)
    }

    /// Bytes of the layers that an image shares with others.
    pub(in crate::routes) fn shared(&self, image: &Image) -> i64 {
        let layers = image.config.rootfs.diff_ids.iter().zip(&image.layer_sizes);
        let shared = layers.filter(|(layer, _)| self.0.get(layer).is_some_and(|uses| *uses > 1));
        i64::try_from(shared.map(|(_, size)| *size).sum::<u64>()).unwrap_or(i64::MAX)
    }
}

pub(super) async fn inspect(call: Call, name: String) -> Answer {
    let version = call.version;
    let platform = call.platform_since(49)?;
    if platform.is_some() && call.query.is_set("manifests") {
        return Err(Error::invalid("conflicting options: manifests and platform options cannot both be set"));
    }
    let manifests = call.query.is_set("manifests") && !version.before(48);
    let shown = call
        .run(move |engine| {
            let image = engine.image_on(&name, platform.as_ref())?;
            let shown = json!(Inspection::new(&image, version));
            if manifests { with_manifests(engine, &image, shown) } else { Ok(shown) }
        })
        .await?;
    Ok(answer::ok(&shown))
}

pub(super) async fn history(call: Call, name: String) -> Answer {
    let platform = call.platform_since(48)?;
    let image = call.run(move |engine| engine.image_on(&name, platform.as_ref())).await?;
    Ok(answer::ok(&image::history(&image)))
}
