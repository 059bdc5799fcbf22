//! Images: in a list, inspected, and their history.

use std::collections::BTreeMap;

use dhow_model::{Image, Timestamp};
use dhow_oci::{Digest, Reference};
use serde::Serialize;
use serde_json::{Value, json};

use super::inspect::GraphDriver;
use crate::server::version::ApiVersion;

/// One line of `docker images`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Summary<'a> {
    id: String,
    parent_id: String,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    created: i64,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    virtual_size: Option<u64>,
    shared_size: i64,
    labels: Option<&'a BTreeMap<String, String>>,
    containers: i64,
}

impl<'a> Summary<'a> {
    /// Of an image; sizes that were not asked for are -1.
    pub(crate) fn new(image: &'a Image, containers: i64, shared_size: i64, version: ApiVersion) -> Self {
        let (mut repo_tags, mut repo_digests) = names(&image.references);
        // Docker's mark of an image without a name, before 1.43.
        if repo_tags.is_empty() && repo_digests.is_empty() && version.before(43) {
            repo_tags.push("<none>:<none>".into());
            repo_digests.push("<none>@<none>".into());
        }
        Self {
            id: image.id.to_string(),
            parent_id: text(image.parent),
            repo_tags,
            repo_digests,
            created: created(image).unix_seconds().max(0),
            size: image.size,
            virtual_size: version.before(44).then_some(image.size),
            shared_size,
            labels: image.config.config.labels.as_ref(),
            containers,
        }
    }
}

/// Names with a tag, and names with a digest.
fn names(references: &[Reference]) -> (Vec<String>, Vec<String>) {
    let tags = references.iter().filter(|reference| reference.tag().is_some());
    let digests = references.iter().filter_map(|reference| {
        let digest = reference.digest()?;
        Some(format!("{}@{digest}", reference.familiar_name()))
    });
    let tag = |r: &Reference| format!("{}:{}", r.familiar_name(), r.tag().unwrap_or_default());
    (tags.map(tag).collect(), digests.collect())
}

fn text(id: Option<Digest>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

/// When an image was made, by its own word.
pub(crate) fn created(image: &Image) -> Timestamp {
    let text = image.config.created.as_deref().unwrap_or_default();
    Timestamp::parse(text).unwrap_or(Timestamp::NEVER)
}

/// An inspected image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Inspection<'a> {
    id: String,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    comment: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'static str>,
    container_config: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    docker_version: Option<&'a str>,
    author: &'a str,
    config: Value,
    architecture: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    variant: &'a str,
    os: &'a str,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    virtual_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    graph_driver: Option<GraphDriver>,
    #[serde(rename = "RootFS")]
    rootfs: RootFs<'a>,
    metadata: Metadata,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs<'a> {
    #[serde(rename = "Type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "<[Digest]>::is_empty")]
    layers: &'a [Digest],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    last_tag_time: Timestamp,
}

impl<'a> Inspection<'a> {
    /// Of an image, for a client of that version.
    pub(crate) fn new(image: &'a Image, version: ApiVersion) -> Self {
        let config = image.config.as_ref();
        let (repo_tags, repo_digests) = names(&image.references);
        let legacy = |minor| version.before(minor);
        Self {
            id: image.id.to_string(),
            repo_tags,
            repo_digests,
            parent: (legacy(52) || image.parent.is_some()).then(|| text(image.parent)),
            comment: &config.comment,
            created: config.created.as_deref(),
            container: legacy(45).then_some(""),
            // Docker leaves it out from 1.45 on; docker-compose 1.29 talks the newest version and reads it.
            container_config: container_defaults(image, ApiVersion::of(44)),
            docker_version: (legacy(52) || !config.docker_version.is_empty())
                .then_some(&config.docker_version),
            author: &config.author,
            config: container_defaults(image, version),
            architecture: &config.architecture,
            variant: &config.variant,
            os: &config.os,
            size: image.size,
            virtual_size: legacy(44).then_some(image.size),
            graph_driver: legacy(52).then(GraphDriver::new),
            rootfs: RootFs { kind: &config.rootfs.kind, layers: &config.rootfs.diff_ids },
            metadata: Metadata { last_tag_time: image.last_tagged },
        }
    }
}

/// `Config`: what the image says, and the empty fields that older clients expect to find.
fn container_defaults(image: &Image, version: ApiVersion) -> Value {
    let mut shown = if version.before(50) {
        json!({
            "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": false,
            "AttachStderr": false, "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": null,
            "Cmd": null, "Image": "", "Volumes": null, "WorkingDir": "", "Entrypoint": null,
            "OnBuild": null, "Labels": null,
        })
    } else if version.before(52) {
        json!({
            "User": "", "Env": null, "Cmd": null, "Volumes": null, "WorkingDir": "", "Entrypoint": null,
            "OnBuild": null, "Labels": null,
        })
    } else {
        json!({})
    };
    if let (Some(shown), Ok(Value::Object(said))) =
        (shown.as_object_mut(), serde_json::to_value(&image.config.config))
    {
        shown.extend(said);
    }
    shown
}

/// One line of `docker history`, newest first.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HistoryLine<'a> {
    id: String,
    created: i64,
    created_by: &'a str,
    tags: Option<Vec<String>>,
    size: u64,
    comment: &'a str,
}

/// The history of an image, newest first.
///
/// Only the topmost line has an id: what is below is no image of this machine (`<missing>`).
pub(crate) fn history(image: &Image) -> Vec<HistoryLine<'_>> {
    let mut sizes = image.layer_sizes.iter().copied();
    let mut lines: Vec<HistoryLine<'_>> = image
        .config
        .history
        .iter()
        .map(|said| HistoryLine {
            id: "<missing>".into(),
            created: Timestamp::parse(said.created.as_deref().unwrap_or_default())
                .unwrap_or(Timestamp::NEVER)
                .unix_seconds(),
            created_by: &said.created_by,
            tags: None,
            size: if said.empty_layer { 0 } else { sizes.next().unwrap_or_default() },
            comment: &said.comment,
        })
        .collect();
    lines.reverse();
    if let Some(top) = lines.first_mut() {
        top.id = image.id.to_string();
        top.tags = Some(names(&image.references).0).filter(|tags| !tags.is_empty());
    }
    lines
}
