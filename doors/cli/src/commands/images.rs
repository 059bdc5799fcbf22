//! `dhow images`: the images, as a list or as a tree of layers.

use std::collections::BTreeMap;

use dhow_api::client::Request;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Arity, Command};
use crate::error::Result;
use crate::flags::filter::Filters;
use crate::flags::{FILTER, Parsed, STRING, SWITCH, flag};
use crate::format::{Listing, Row, names, time, units};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["image ls", "image list", "images"],
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    about: "List images",
    arity: Arity::AtMost(1),
    arguments_end_flags: false,
    flags: &[&[
        flag("all", SWITCH, "Show intermediate images too").short('a'),
        flag("digests", SWITCH, "Show digests"),
        flag("filter", FILTER, "Show only what meets the condition").short('f'),
        flag("format", STRING, super::FORMAT_HELP),
        flag("no-trunc", SWITCH, "Show ids in full"),
        flag("quiet", SWITCH, "Show ids only").short('q'),
        flag("tree", SWITCH, "Draw the layers of the images as a tree, with what they share"),
    ]],
    run,
};

const TABLE: &str = "table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t{{.CreatedSince}}\\t{{.Size}}";
const TABLE_WITH_DIGESTS: &str =
    "table {{.Repository}}\\t{{.Tag}}\\t{{.Digest}}\\t{{.ID}}\\t{{.CreatedSince}}\\t{{.Size}}";
const RAW: &str = "repository: {{ .Repository }}\\ntag: {{.Tag}}\\nimage_id: {{.ID}}\\n\
    created_at: {{.CreatedAt}}\\nvirtual_size: {{.Size}}\\n";
const RAW_WITH_DIGESTS: &str = "repository: {{ .Repository }}\\ntag: {{.Tag}}\\ndigest: {{.Digest}}\\n\
    image_id: {{.ID}}\\ncreated_at: {{.CreatedAt}}\\nvirtual_size: {{.Size}}\\n";

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    if parsed.is_on("tree") {
        return super::tree::draw(session, parsed);
    }
    let quiet = parsed.is_on("quiet");
    let digests = parsed.is_on("digests");
    let images = list(session, parsed)?;
    let format = match parsed.text("format") {
        Some(format) => format,
        None if quiet => "table",
        None => session.settings().images_format.as_str(),
    };
    let listing = match format {
        "table" | "" if quiet => Listing::new("{{.ID}}"),
        "table" | "" if digests => Listing::new(TABLE_WITH_DIGESTS),
        "table" | "" => Listing::new(TABLE),
        "raw" if quiet => Listing::new("image_id: {{.ID}}"),
        "raw" if digests => Listing::new(RAW_WITH_DIGESTS),
        "raw" => Listing::new(RAW),
        custom if custom.starts_with("table") && digests && !custom.contains("{{.Digest}}") => {
            Listing::new(&format!("{custom}\\t{{{{.Digest}}}}"))
        }
        custom => Listing::new(custom),
    };
    let with_digests = digests || listing.mentions("Digest");
    let cut = !parsed.is_on("no-trunc");
    let rows = images.iter().flat_map(|image| image.rows(with_digests, digests, cut));
    session.print(&listing.show(rows)?)
}

/// The images that meet the command's conditions.
pub(crate) fn list(session: &Session, parsed: &Parsed) -> Result<Vec<Image>> {
    let mut filters = Filters::of(parsed);
    if let Some(name) = parsed.arguments.first() {
        filters.add("reference", name);
    }
    let request = Request::get(&["images", "json"])
        .query_flag("all", parsed.is_on("all"))
        .query_some("filters", filters.to_query().as_deref());
    session.send(request)?.json().map_err(Into::into)
}

/// An image as the engine lists it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Image {
    pub(crate) id: String,
    #[serde(deserialize_with = "super::nullable")]
    pub(crate) repo_tags: Vec<String>,
    #[serde(deserialize_with = "super::nullable")]
    pub(crate) repo_digests: Vec<String>,
    pub(crate) created: i64,
    pub(crate) size: i64,
    pub(crate) shared_size: i64,
    pub(crate) containers: i64,
}

impl Image {
    fn is_dangling(&self) -> bool {
        let only = |list: &[String], none: &str| list.is_empty() || matches!(list, [one] if one == none);
        only(&self.repo_tags, "<none>:<none>") && only(&self.repo_digests, "<none>@<none>")
    }

    /// One row a tag; a digest that no tag belongs to has a row of its own.
    pub(crate) fn rows(&self, with_digests: bool, digest_rows: bool, cut: bool) -> Vec<ImageRow<'_>> {
        let row = |repository: &str, tag: &str, digest: &str| ImageRow {
            image: self,
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            digest: digest.to_owned(),
            cut,
        };
        if self.is_dangling() {
            return vec![row("<none>", "<none>", "<none>")];
        }
        let mut digests: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, digest) in self.repo_digests.iter().filter_map(|name| name.split_once('@')) {
            digests.entry(names::familiar(name)).or_default().push(digest);
        }
        let mut rows = Vec::new();
        let mut tagged = Vec::new();
        for name in &self.repo_tags {
            let (repository, Some(tag)) = names::split_tag(names::familiar(name)) else {
                continue;
            };
            tagged.push(repository);
            match digests.get(repository).filter(|_| with_digests) {
                Some(digests) => rows.extend(digests.iter().map(|digest| row(repository, tag, digest))),
                None => rows.push(row(repository, tag, "<none>")),
            }
        }
        for (repository, digests) in digests.iter().filter(|(repository, _)| !tagged.contains(*repository)) {
            match digest_rows {
                true => rows.extend(digests.iter().map(|digest| row(repository, "<none>", digest))),
                false => rows.push(row(repository, "<none>", "")),
            }
        }
        rows
    }
}

pub(crate) struct ImageRow<'a> {
    image: &'a Image,
    repository: String,
    tag: String,
    digest: String,
    cut: bool,
}

impl ImageRow<'_> {
    /// The same, with nothing in the place of a digest.
    pub(crate) fn without_digest(mut self) -> Self {
        self.digest.clear();
        self
    }
}

impl Row for ImageRow<'_> {
    const TYPE: &'static str = "*formatter.imageContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("Containers", "CONTAINERS"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedSince", "CREATED"),
        ("Digest", "DIGEST"),
        ("ID", "IMAGE ID"),
        ("Repository", "REPOSITORY"),
        ("SharedSize", "SHARED SIZE"),
        ("Size", "SIZE"),
        ("Tag", "TAG"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("VirtualSize", "SIZE"),
    ];

    fn field(&self, name: &str) -> Option<Json> {
        let image = self.image;
        let size = |size: i64| units::human_size(units::float(size));
        let text = match name {
            "ID" if self.cut => names::short_id(&image.id).to_owned(),
            "ID" => image.id.clone(),
            "Repository" => self.repository.clone(),
            "Tag" => self.tag.clone(),
            "Digest" => self.digest.clone(),
            "CreatedSince" => time::ago(image.created),
            "CreatedAt" => time::local(image.created),
            "Size" => units::human_size_short(units::float(image.size)),
            "VirtualSize" => size(image.size),
            "Containers" if image.containers == -1 => "N/A".to_owned(),
            "Containers" => image.containers.to_string(),
            "SharedSize" if image.shared_size == -1 => "N/A".to_owned(),
            "SharedSize" => size(image.shared_size),
            "UniqueSize" if image.size == -1 || image.shared_size == -1 => "N/A".to_owned(),
            "UniqueSize" => size(image.size - image.shared_size),
            _ => return None,
        };
        Some(Json::String(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_row_for_each_of_its_names() {
        let text = r#"{"Id":"sha256:b6dd45e7c36d692a","RepoTags":["a:1","a:2","host:5000/b:x"],
            "RepoDigests":["a@sha256:11","c@sha256:22"],"Size":1976320,"SharedSize":-1,"Containers":-1}"#;
        let image: Image = serde_json::from_str(text).unwrap();
        let show = |with, own| {
            let listing =
                Listing::new("{{.Repository}} {{.Tag}} {{.Digest}} {{.ID}} {{.Size}} {{.UniqueSize}}");
            listing.show(image.rows(with, own, true)).unwrap()
        };
        insta::assert_snapshot!(show(false, false), @r"
        a 1 <none> b6dd45e7c36d 1.98MB N/A
        a 2 <none> b6dd45e7c36d 1.98MB N/A
        host:5000/b x <none> b6dd45e7c36d 1.98MB N/A
        c <none>  b6dd45e7c36d 1.98MB N/A
        ");
        insta::assert_snapshot!(show(true, true), @r"
        a 1 sha256:11 b6dd45e7c36d 1.98MB N/A
        a 2 sha256:11 b6dd45e7c36d 1.98MB N/A
        host:5000/b x <none> b6dd45e7c36d 1.98MB N/A
        c <none> sha256:22 b6dd45e7c36d 1.98MB N/A
        ");
    }
}
