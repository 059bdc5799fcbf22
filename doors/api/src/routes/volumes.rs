//! `/volumes/…`.

use std::collections::{BTreeMap, BTreeSet};

use dhow_engine::Engine;
use dhow_model::ports::{VolumeCopy, VolumeRequest};
use dhow_model::{Error, Kind, Result, Volume};
use regex_lite::Regex;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Handling, not_found};
use crate::server::answer::{self, Answer};
use crate::server::call::Call;
use crate::server::filters::Filters;
use crate::server::{stream, threads};
use crate::types::container_filter::{has_label, truth};
use crate::types::prune::PruneFilter;

/// The handler of `/volumes/{rest}`.
pub(super) fn route(call: Call, rest: &[&str]) -> Handling {
    match (call.method.as_str(), rest) {
        ("GET", []) => Box::pin(list(call)),
        ("POST", ["create"]) => Box::pin(create(call)),
        ("POST", ["prune"]) => Box::pin(prune(call)),
        ("GET", [name]) => Box::pin(inspect(call, (*name).into())),
        ("PUT", [_]) => Box::pin(std::future::ready(Err(no_cluster()))),
        ("DELETE", [name]) => Box::pin(remove(call, (*name).into())),
        _ => not_found(),
    }
}

/// The handler of `/dhow/volumes/{name}/{verb}`: what Docker has not.
pub(super) fn whole(call: Call, name: String, verb: &str) -> Handling {
    match (call.method.as_str(), verb) {
        ("POST", "rename") => Box::pin(rename(call, name)),
        ("POST", "clone") => Box::pin(copy(call, name, VolumeCopy::Clone)),
        ("POST", "snapshot") => Box::pin(copy(call, name, VolumeCopy::Snapshot)),
        ("GET", "export") => Box::pin(export(call, name)),
        ("POST", "import") => Box::pin(import(call, name)),
        _ => not_found(),
    }
}

async fn rename(call: Call, name: String) -> Answer {
    let to = call.query.text("name").to_owned();
    let volume = call.run(move |engine| engine.rename_volume(&name, &to)).await?;
    Ok(answer::ok(&Shown::from(volume)))
}

async fn copy(call: Call, name: String, kind: VolumeCopy) -> Answer {
    let (to, pause) = (call.query.text("name").to_owned(), call.query.is_set_or("pause", true));
    let volume = call.run(move |engine| engine.copy_volume(&name, &to, kind, pause)).await?;
    Ok(answer::created(&Shown::from(volume)))
}

async fn export(call: Call, name: String) -> Answer {
    let (engine, pause) = (call.engine.clone(), call.query.is_set("pause"));
    stream::written("application/x-tar", move |out| engine.export_volume(&name, pause, out)).await
}

async fn import(call: Call, name: String) -> Answer {
    let engine = call.engine.clone();
    let mut tar = call.into_reader();
    let volume = threads::run(move || engine.import_volume(&name, &mut tar)).await?;
    Ok(answer::ok(&Shown::from(volume)))
}

/// Only volumes of a swarm can be changed.
fn no_cluster() -> Error {
    let words = "volume update only valid for cluster volumes, but swarm is unavailable";
    Error::new(Kind::Unavailable, words)
}

/// A volume on the wire.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Shown {
    created_at: String,
    driver: String,
    labels: Option<BTreeMap<String, String>>,
    mountpoint: String,
    name: String,
    options: Option<BTreeMap<String, String>>,
    scope: &'static str,
    /// What Docker's volumes have not.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<BTreeMap<&'static str, serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_data: Option<UsageData>,
}

/// What it takes, and how many containers have it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct UsageData {
    ref_count: usize,
    size: u64,
}

impl From<Volume> for Shown {
    fn from(volume: Volume) -> Self {
        let status = (!volume.origin.is_empty())
            .then(|| [("Origin", json!(volume.origin)), ("ReadOnly", json!(volume.read_only))].into());
        let some = |map: BTreeMap<String, String>| Some(map).filter(|map| !map.is_empty());
        Self {
            // Docker shows volumes to the second.
            created_at: jiff::Timestamp::from_second(volume.created.unix_seconds())
                .map(|t| t.to_string())
                .unwrap_or_default(),
            driver: volume.driver,
            labels: some(volume.labels),
            mountpoint: volume.mountpoint.to_string_lossy().into_owned(),
            name: volume.name,
            options: some(volume.options),
            scope: "local",
            status,
            usage_data: None,
        }
    }
}

/// The body of a create.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct CreateBody {
    name: Option<String>,
    driver: Option<String>,
    driver_opts: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
    cluster_volume_spec: Option<serde_json::Value>,
}

async fn create(mut call: Call) -> Answer {
    let body: CreateBody = call.json("volume.CreateRequest").await?.unwrap_or_default();
    if body.cluster_volume_spec.is_some() {
        return Err(Error::invalid("ClusterVolumeSpec is not supported yet"));
    }
    let request = VolumeRequest {
        name: body.name.unwrap_or_default(),
        driver: body.driver.unwrap_or_default(),
        labels: body.labels.unwrap_or_default(),
        options: body.driver_opts.unwrap_or_default(),
        anonymous: false,
        size: 0,
        made_for: None,
    };
    let volume = call.run(move |engine| engine.create_volume(request)).await?;
    Ok(answer::created(&Shown::from(volume)))
}

async fn list(call: Call) -> Answer {
    let filters = call.filters(&["dangling", "driver", "label", "name"])?;
    let shown = call
        .run(move |engine| {
            let filter = VolumeFilter::new(filters)?;
            let used = used_volumes(engine);
            let volumes = engine.volumes()?.into_iter().filter(|volume| filter.lets(volume, &used));
            Ok(volumes.map(Shown::from).collect::<Vec<_>>())
        })
        .await?;
    Ok(answer::ok(&json!({"Volumes": shown, "Warnings": null})))
}

fn used_volumes(engine: &Engine) -> BTreeSet<String> {
    let containers = engine.containers();
    containers.iter().flat_map(|container| container.volumes().map(|mount| mount.name.clone())).collect()
}

async fn inspect(call: Call, name: String) -> Answer {
    let wants_usage = call.query.is_set("size");
    let shown = call.run(move |engine| {
        let mut shown = Shown::from(engine.volume(&name)?);
        if let Some(limit) = engine.ports().volumes.limit(&name)? {
            // What the file system keeps, as it counts it.
            let status = shown.status.get_or_insert_default();
            status.insert("Limit", json!(limit.size));
            status.insert("Used", json!(limit.used));
            status.insert("Project", json!(limit.project));
        }
        if wants_usage {
            let ref_count = engine.volume_users(&name).len();
            shown.usage_data = Some(UsageData { ref_count, size: engine.ports().volumes.usage(&name)? });
        }
        Ok(shown)
    });
    Ok(answer::ok(&shown.await?))
}

async fn remove(call: Call, name: String) -> Answer {
    let force = call.query.is_set("force");
    call.run(move |engine| engine.remove_volume(&name, force)).await?;
    Ok(answer::no_content())
}

/// Since 1.42 only anonymous volumes go, unless `all` is asked for.
async fn prune(call: Call) -> Answer {
    let mut filters = call.filters(&["label", "label!", "all"])?;
    let all = every(&mut filters)?.unwrap_or(call.version.before(42));
    let filter = PruneFilter::new(filters)?;
    let pruned = call
        .run(move |engine| {
            engine.prune_volumes(|one| (all || one.anonymous) && filter.lets(one.created, &one.labels))
        })
        .await?;
    Ok(answer::ok(&json!({"VolumesDeleted": pruned.names, "SpaceReclaimed": pruned.reclaimed})))
}

/// Whether named volumes go too, where it was said.
fn every(filters: &mut Filters) -> Result<Option<bool>> {
    let values: Vec<String> = filters.0.remove("all").unwrap_or_default().into_iter().collect();
    match values.as_slice() {
        [] => Ok(None),
        [value] => truth("all", value).map(Some),
        _ => Err(Error::invalid(format!(
            "invalid filter 'all=[{}]': only one value is expected",
            values.join(" ")
        ))),
    }
}

/// Which volumes a list shows.
struct VolumeFilter {
    names: BTreeSet<String>,
    patterns: Vec<Regex>,
    drivers: BTreeSet<String>,
    labels: BTreeSet<String>,
    dangling: Option<bool>,
}

impl VolumeFilter {
    fn new(mut filters: Filters) -> Result<Self> {
        let dangling = filters.take_truth("dangling")?;
        let mut take = |key: &str| filters.0.remove(key).unwrap_or_default();
        let names = take("name");
        // What is no pattern matches itself only, as Docker has it.
        let patterns = names.iter().filter_map(|name| Regex::new(name).ok()).collect();
        Ok(Self { names, patterns, drivers: take("driver"), labels: take("label"), dangling })
    }

    fn lets(&self, volume: &Volume, used: &BTreeSet<String>) -> bool {
        let is_named = self.names.is_empty()
            || self.names.contains(&volume.name)
            || self.patterns.iter().any(|pattern| pattern.is_match(&volume.name));
        is_named
            && (self.drivers.is_empty() || self.drivers.contains(&volume.driver))
            && self.labels.iter().all(|label| has_label(&volume.labels, label))
            && self.dangling.is_none_or(|dangling| dangling != used.contains(&volume.name))
    }
}
