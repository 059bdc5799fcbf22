//! `dhow system df`: how much of the disk images, containers and volumes take.

use std::collections::BTreeMap;

use dhow_api::client::Request;
use serde::Deserialize;
use serde_json::Value as Json;

use super::images::Image;
use super::ps::{Container, ContainerRow};
use super::volume::Volume;
use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::{Parsed, STRING, SWITCH, flag};
use crate::format::go::values;
use crate::format::{Listing, Row, template, units};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["system df"],
    usage: "[OPTIONS]",
    about: "Show how much of the disk is used",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[
        flag("format", STRING, super::FORMAT_HELP),
        flag("verbose", SWITCH, "Show every image, container and volume").short('v'),
    ]],
    run,
};

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Usage {
    layers_size: i64,
    #[serde(deserialize_with = "super::nullable")]
    images: Vec<Image>,
    #[serde(deserialize_with = "super::nullable")]
    containers: Vec<Container>,
    #[serde(deserialize_with = "super::nullable")]
    volumes: Vec<Volume>,
    #[serde(deserialize_with = "super::nullable")]
    build_cache: Vec<CacheRecord>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct CacheRecord {
    size: i64,
    in_use: bool,
    shared: bool,
}

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let usage: Usage = session.send(Request::get(&["system", "df"]))?.json()?;
    let format = parsed.text_or_empty("format");
    if parsed.is_on("verbose") && matches!(format, "" | "table") {
        return session.print(&(in_full(usage)? + &logs(session)? + &layers(session)?));
    }
    if parsed.is_on("verbose") {
        return by_template(session, usage, format);
    }
    let listing = match format {
        "" | "table" => {
            Listing::new("table {{.Type}}\\t{{.TotalCount}}\\t{{.Active}}\\t{{.Size}}\\t{{.Reclaimable}}")
        }
        "raw" => Listing::new(
            "type: {{.Type}}\\ntotal: {{.TotalCount}}\\nactive: {{.Active}}\\nsize: {{.Size}}\\n\
             reclaimable: {{.Reclaimable}}\\n",
        ),
        custom => Listing::new(custom),
    };
    session.print(&listing.show(totals(&usage))?)
}

/// By a template over the rows of each kind: `{{range .Images}}{{.Repository}}{{end}}`.
fn by_template(session: &Session, usage: Usage, format: &str) -> Result<()> {
    let source = format.strip_prefix("table").unwrap_or(format).trim_matches(' ');
    if format == "json" || source == "{{json .}}" {
        return session.print(&as_json(usage)?);
    }
    let source = source.replace("\\t", "\t").replace("\\n", "\n");
    let unreadable = |why| Error::said(format!("template parsing error: {why}"));
    let template = template::read(&source).map_err(unreadable)?;
    let rows: Json = serde_json::from_str(&as_json(usage)?).map_err(|why| Error::said(why.to_string()))?;
    let rows = values::typed(Some(&rows), "*formatter.diskUsageContext");
    let mut text = String::new();
    let shown = template::run_typed_into(&template, &rows, &mut text);
    session.print(&text)?;
    shown.map_err(Error::said)
}

/// Every row of every kind in one document.
fn as_json(usage: Usage) -> Result<String> {
    let first_name = |image| Image::rows(image, false, false, false).into_iter().next();
    let images = usage.images.iter().filter_map(first_name).map(|row| row.without_digest());
    let containers = usage.containers.into_iter().map(|mut container| {
        container.size_root_fs = -1;
        ContainerRow { container, cut: false }
    });
    Ok(format!(
        "{{\"Images\":{},\"Containers\":{},\"Volumes\":{},\"BuildCache\":[]}}",
        list(images)?,
        list(containers)?,
        list(usage.volumes)?,
    ))
}

fn list<R: Row>(rows: impl IntoIterator<Item = R>) -> Result<String> {
    let lines = Listing::new("json").show(rows)?;
    Ok(format!("[{}]", lines.lines().collect::<Vec<_>>().join(",")))
}

/// What logs take, which no other row counts: none, where the engine is not ours.
fn logs(session: &Session) -> Result<String> {
    let Ok(answer) = session.send(Request::get(&["dhow", "system", "logs"])) else {
        return Ok(String::new());
    };
    let logs: Vec<Log> = answer.json()?;
    let listing = Listing::new("table {{.Names}}\\t{{.Driver}}\\t{{.Size}}");
    Ok(format!("\nLogs space usage:\n\n{}", listing.show(logs.into_iter().filter(|log| log.size > 0))?))
}

/// How the layers of all images lie on the disk: nothing, where the engine is not ours.
fn layers(session: &Session) -> Result<String> {
    let Ok(answer) = session.send(Request::get(&["dhow", "layers"])) else {
        return Ok(String::new());
    };
    let stored: Stored = answer.json()?;
    let mut formats: BTreeMap<String, Format> = BTreeMap::new();
    for layer in stored.layers {
        let sum =
            formats.entry(layer.format.clone()).or_insert(Format { name: layer.format, count: 0, size: 0 });
        (sum.count, sum.size) = (sum.count + 1, sum.size + layer.size);
    }
    let listing = Listing::new("table {{.Format}}\\t{{.Layers}}\\t{{.Size}}");
    let blobs = stored.compressed_blobs;
    let policy = if blobs.count == 0 { "none is kept, layers are uncompressed" } else { "kept for pushes" };
    let mut text = format!(
        "\nLayers space usage:\n\n{}\nCompressed blobs usage: {} ({policy})\n",
        listing.show(formats.into_values())?,
        units::human_size(units::float(blobs.size))
    );
    if stored.set_aside > 0 {
        let size = units::human_size(units::float(stored.set_aside));
        text += &format!(
            "Damaged layers usage: {size} (set aside by a check; `dhow image prune` deletes what no container has)\n"
        );
    }
    Ok(text)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Stored {
    layers: Vec<Layer>,
    compressed_blobs: Blobs,
    set_aside: i64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Layer {
    format: String,
    size: i64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Blobs {
    count: usize,
    size: i64,
}

/// The layers of one format, summed up.
struct Format {
    name: String,
    count: usize,
    size: i64,
}

impl Row for Format {
    const TYPE: &'static str = "*formatter.diskUsageLayersContext";
    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("Format", "FORMAT"), ("Layers", "LAYERS"), ("Size", "SIZE")];

    fn field(&self, name: &str) -> Option<Json> {
        Some(Json::String(match name {
            "Format" => self.name.clone(),
            "Layers" => self.count.to_string(),
            "Size" => units::human_size(units::float(self.size)),
            _ => return None,
        }))
    }
}

/// The log of a container.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Log {
    name: String,
    driver: String,
    size: i64,
}

impl Row for Log {
    const TYPE: &'static str = "*formatter.diskUsageLogContext";
    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("Driver", "LOG DRIVER"), ("Names", "NAMES"), ("Size", "SIZE")];

    fn field(&self, name: &str) -> Option<Json> {
        Some(Json::String(match name {
            "Driver" => self.driver.clone(),
            "Names" => self.name.clone(),
            "Size" => units::human_size(units::float(self.size)),
            _ => return None,
        }))
    }
}

/// One kind of object, summed up.
struct Total {
    kind: &'static str,
    count: usize,
    active: usize,
    size: i64,
    reclaimable: i64,
    with_percentage: bool,
}

fn totals(usage: &Usage) -> [Total; 4] {
    [images(usage), containers(usage), volumes(usage), build_cache(usage)]
}

fn images(usage: &Usage) -> Total {
    let measured = |image: &&Image| image.containers != 0 && image.size != -1 && image.shared_size != -1;
    let used: i64 = usage.images.iter().filter(measured).map(|image| image.size - image.shared_size).sum();
    Total {
        kind: "Images",
        count: usage.images.len(),
        active: usage.images.iter().filter(|image| image.containers > 0).count(),
        size: usage.layers_size,
        reclaimable: usage.layers_size - used,
        with_percentage: true,
    }
}

fn containers(usage: &Usage) -> Total {
    let is_active = |it: &&Container| matches!(it.state.as_str(), "running" | "paused" | "restarting");
    let idle = usage.containers.iter().filter(|it| !is_active(it));
    Total {
        kind: "Containers",
        count: usage.containers.len(),
        active: usage.containers.iter().filter(is_active).count(),
        size: usage.containers.iter().map(|it| it.size_rw).sum(),
        reclaimable: idle.map(|it| it.size_rw).sum(),
        with_percentage: true,
    }
}

fn volumes(usage: &Usage) -> Total {
    let known = || usage.volumes.iter().filter_map(|volume| volume.usage_data.as_ref());
    let measured = || known().filter(|usage| usage.size != -1);
    Total {
        kind: "Local Volumes",
        count: usage.volumes.len(),
        active: known().filter(|usage| usage.ref_count > 0).count(),
        size: measured().map(|usage| usage.size).sum(),
        reclaimable: measured().filter(|usage| usage.ref_count == 0).map(|usage| usage.size).sum(),
        with_percentage: true,
    }
}

fn build_cache(usage: &Usage) -> Total {
    let own = || usage.build_cache.iter().filter(|record| !record.shared);
    let size: i64 = own().map(|record| record.size).sum();
    Total {
        kind: "Build Cache",
        count: usage.build_cache.len(),
        active: usage.build_cache.iter().filter(|record| record.in_use).count(),
        size,
        reclaimable: size - own().filter(|record| record.in_use).map(|record| record.size).sum::<i64>(),
        with_percentage: false,
    }
}

impl Row for Total {
    const TYPE: &'static str = "*formatter.diskUsageImagesContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("Active", "ACTIVE"),
        ("Reclaimable", "RECLAIMABLE"),
        ("Size", "SIZE"),
        ("TotalCount", "TOTAL"),
        ("Type", "TYPE"),
    ];

    fn field(&self, name: &str) -> Option<Json> {
        let size = |size: i64| units::human_size(units::float(size));
        let text = match name {
            "Type" => self.kind.to_owned(),
            "TotalCount" => self.count.to_string(),
            "Active" => self.active.to_string(),
            "Size" => size(self.size),
            "Reclaimable" if self.with_percentage && self.size > 0 => {
                format!("{} ({}%)", size(self.reclaimable), self.reclaimable.saturating_mul(100) / self.size)
            }
            "Reclaimable" => size(self.reclaimable),
            _ => return None,
        };
        Some(Json::String(text))
    }
}

fn in_full(usage: Usage) -> Result<String> {
    let images = Listing::new(
        "table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t{{.CreatedSince}}\\t{{.Size}}\\t{{.SharedSize}}\\t\
         {{.UniqueSize}}\\t{{.Containers}}",
    );
    let containers = Listing::new(
        "table {{.ID}}\\t{{.Image}}\\t{{.Command}}\\t{{.LocalVolumes}}\\t{{.Size}}\\t{{.RunningFor}}\\t\
         {{.Status}}\\t{{.Names}}",
    );
    let volumes = Listing::new("table {{.Name}}\\t{{.Links}}\\t{{.Size}}");
    let cache = units::human_size(units::float(build_cache(&usage).size));
    let first_names =
        usage.images.iter().filter_map(|image| image.rows(false, false, true).into_iter().next());
    let containers_rows = usage.containers.into_iter().map(without_image_size).collect::<Vec<_>>();
    Ok(format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}\n\
         Build cache usage: {cache}\n\n\
         CACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n",
        images.show(first_names)?,
        containers.show(containers_rows)?,
        volumes.show(usage.volumes)?,
    ))
}

/// What the image takes is told among the images.
fn without_image_size(mut container: Container) -> ContainerRow {
    container.size_root_fs = -1;
    ContainerRow { container, cut: true }
}
