//! Containers listed and looked at.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use dhow_engine::Engine;
use dhow_model::container::State;
use dhow_model::ports::Change;
use dhow_model::{Container, ImageId, Kind, Result, Timestamp};
use serde_json::json;

use crate::server::answer::{self, Answer};
use crate::server::call::Call;
use crate::types::container::Summary;
use crate::types::container_filter::{self, ContainerFilter, Lookup};
use crate::types::inspect::{Inspection, Surroundings};

pub(super) async fn list(call: Call) -> Answer {
    let (all, size, version) = (call.query.is_set("all"), call.query.is_set("size"), call.version);
    let limit = call.query.number::<i64>("limit")?.filter(|limit| *limit > 0);
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let filters = call.filters(container_filter::KEYS)?;
    // Written where it is made: thousands of containers are megabytes.
    call.run(move |engine| {
        let filter = ContainerFilter::new(filters, &Known(engine))?;
        let containers = container_filter::select(engine.containers(), &filter, all, limit);
        let mut images = ShownImages { engine, meant: HashMap::new() };
        let links = engine.link_names();
        let mut shown = Vec::with_capacity(containers.len());
        for container in &containers {
            let usage = size.then(|| engine.container_usage(container)).transpose()?;
            shown.push(Summary::new(container, &links, images.of(container), usage, version));
        }
        Ok(answer::ok(&shown))
    })
    .await
}

/// The images of a list of containers; each name is looked up once.
struct ShownImages<'a> {
    engine: &'a Engine,
    meant: HashMap<String, Option<ImageId>>,
}

impl ShownImages<'_> {
    /// The image as the user named it, while that name still means it; else its id.
    fn of(&mut self, container: &Container) -> String {
        let name = &container.image_name;
        let Some(id) = container.image else { return name.clone() };
        if !self.meant.contains_key(name) {
            let meant = self.engine.image(name).ok().map(|image| image.id);
            self.meant.insert(name.clone(), meant);
        }
        if self.meant.get(name) == Some(&Some(id)) { name.clone() } else { id.to_string() }
    }
}

/// What filters need of the engine.
struct Known<'a>(&'a Engine);

impl Lookup for Known<'_> {
    fn created(&self, container: &str) -> Result<Timestamp> {
        Ok(self.0.container(container)?.record().created)
    }

    fn with_descendants(&self, image: &str) -> Result<BTreeSet<ImageId>> {
        let root = match self.0.image(image) {
            Ok(image) => image,
            Err(error) if error.kind() == Kind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(error),
        };
        let layers = &root.config.rootfs.diff_ids;
        let images = self.0.images()?.into_iter();
        // An image is made of another when it has all its layers below its own.
        let made_of =
            images.filter(|one| one.config.rootfs.diff_ids.starts_with(layers) && !layers.is_empty());
        Ok(made_of.map(|one| one.id).chain([root.id]).collect())
    }
}

pub(super) async fn inspect(call: Call, id: String) -> Answer {
    let (size, version) = (call.query.is_set("size"), call.version);
    let shown = call
        .run(move |engine| {
            let mut container = engine.container(&id)?.record();
            if container.host_config.links.is_some() {
                let links = engine.shown_links(&container);
                let shown = Arc::make_mut(&mut container);
                Arc::make_mut(&mut shown.host_config).links = Some(links);
            }
            let around = surroundings(engine, &container, size)?;
            Ok(json!(Inspection::new(&container, around, version)))
        })
        .await?;
    Ok(answer::ok(&shown))
}

/// Where its files are on the host, and what is going on in it.
fn surroundings(engine: &Engine, container: &Container, size: bool) -> Result<Surroundings> {
    let directory = engine.ports().snapshots.directory(&container.id);
    let file = |name: &str| directory.join(name).to_string_lossy().into_owned();
    // It is there from the first start on.
    let started = !matches!(container.state, State::Created { .. });
    let has_log = started && container.host_config.log_config.kind == "json-file";
    Ok(Surroundings {
        resolv_conf: file("resolv.conf"),
        hostname: file("hostname"),
        hosts: file("hosts"),
        log: if has_log { file(&format!("{}-json.log", container.id)) } else { String::new() },
        execs: engine.execs_of(&container.id),
        size: size.then(|| engine.container_usage(container)).transpose()?,
    })
}

pub(super) async fn top(call: Call, id: String) -> Answer {
    let arguments = call.query.text("ps_args").to_owned();
    let table = call.run(move |engine| engine.container_processes(&id, &arguments)).await?;
    Ok(answer::ok(&json!({"Titles": table.titles, "Processes": table.rows})))
}

pub(super) async fn changes(call: Call, id: String) -> Answer {
    let changes = call.run(move |engine| engine.container_changes(&id)).await?;
    let line = |change: &Change| json!({"Path": change.path.to_string_lossy(), "Kind": change.kind as u8});
    Ok(answer::ok(&changes.iter().map(line).collect::<Vec<_>>()))
}
