//! `dhow images --tree` and `dhow image tree`: the layers of all images as one tree. Images that
//! begin with the same layers share them, and a layer that is shared is drawn once.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dhow_api::client::Request;
use serde::Deserialize;

use super::history::{self, Step};
use super::images::{self, Image};
use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::{FILTER, Parsed, SWITCH, flag};
use crate::format::tabwriter::LISTING;
use crate::format::{names, units};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["image tree"],
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    about: "Draw the layers of the images as a tree, with what they share",
    arity: Arity::AtMost(1),
    arguments_end_flags: false,
    flags: &[&[
        flag("all", SWITCH, "Draw intermediate images too").short('a'),
        flag("filter", FILTER, "Draw only what meets the condition").short('f'),
    ]],
    run: draw,
};

/// Draws the tree of the images that meet the command's conditions.
pub(crate) fn draw(session: &Session, parsed: &Parsed) -> Result<()> {
    for flag in ["quiet", "no-trunc", "digests", "format"] {
        if parsed.is_given(flag) {
            return Err(Error::said(format!("--{flag} is not yet supported with --tree")));
        }
    }
    let mut forest = Forest::default();
    for image in images::list(session, parsed)? {
        let stack = stack(session, &image)?;
        forest.add(&titles(&image), &stack);
    }
    session.print(&forest.page())
}

/// One layer of an image.
#[derive(Clone, Debug)]
struct Layer {
    diff_id: String,
    /// Unknown where the history does not say which step made which layer.
    size: Option<i64>,
    made_by: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    #[serde(rename = "RootFS", default, deserialize_with = "super::nullable")]
    root_fs: RootFs,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    #[serde(default, deserialize_with = "super::nullable")]
    layers: Vec<String>,
}

fn stack(session: &Session, image: &Image) -> Result<Vec<Layer>> {
    let inspected: Inspected = session.send(Request::get(&["images", &image.id, "json"]))?.json()?;
    let steps = history::steps(session, &image.id, None)?;
    Ok(matched(&inspected.root_fs.layers, &steps))
}

/// Gives each layer the step that made it. The API's history does not say which steps made none; it
/// is clear where every step made one, or where as many steps have a size as there are layers.
fn matched(diff_ids: &[String], steps: &[Step]) -> Vec<Layer> {
    let oldest_first: Vec<&Step> = steps.iter().rev().collect();
    let with_size: Vec<&Step> = oldest_first.iter().copied().filter(|step| step.size > 0).collect();
    let made = match diff_ids.len() {
        count if count == oldest_first.len() => oldest_first,
        count if count == with_size.len() => with_size,
        _ => Vec::new(),
    };
    let layer = |(index, diff_id): (usize, &String)| {
        let step = made.get(index);
        let made_by =
            step.map(|step| if step.created_by.is_empty() { &step.comment } else { &step.created_by });
        Layer {
            diff_id: diff_id.clone(),
            size: step.map(|step| step.size),
            made_by: made_by.cloned().unwrap_or_default(),
        }
    };
    diff_ids.iter().enumerate().map(layer).collect()
}

/// The names of an image, or its id where it has none.
fn titles(image: &Image) -> String {
    let named: Vec<&str> =
        image.repo_tags.iter().filter(|tag| *tag != "<none>:<none>").map(String::as_str).collect();
    if named.is_empty() { format!("<none> ({})", names::short_id(&image.id)) } else { named.join(", ") }
}

/// Layers that begin images, and what stands on them.
#[derive(Debug, Default)]
struct Forest {
    roots: BTreeMap<String, Node>,
    images: usize,
    /// Images that have no layer at all.
    empty: Vec<String>,
}

#[derive(Debug)]
struct Node {
    layer: Layer,
    /// The images whose topmost layer this is.
    titles: Vec<String>,
    /// How many images have this layer.
    users: usize,
    children: BTreeMap<String, Node>,
}

/// What the layers take together.
#[derive(Default)]
struct Sums {
    layers: usize,
    size: i64,
    shared: i64,
    unknown: bool,
}

impl Forest {
    fn add(&mut self, title: &str, stack: &[Layer]) {
        self.images += 1;
        let Some((top, below)) = stack.split_last() else {
            self.empty.push(title.to_owned());
            return;
        };
        let mut level = &mut self.roots;
        for layer in below {
            level = &mut step_into(level, layer).children;
        }
        step_into(level, top).titles.push(title.to_owned());
    }

    fn page(&self) -> String {
        let mut text = String::from("LAYER\tSIZE\tUSED BY\tIMAGE\tCREATED BY\n");
        let mut sums = Sums::default();
        for node in in_order(&self.roots) {
            node.draw("", "", &mut text, &mut sums);
        }
        for title in &self.empty {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "(none)\t0B\t1\t{title}\t");
        }
        let size = |size: i64| units::human_size_short(units::float(size));
        let about = if sums.unknown { "at least " } else { "" };
        format!(
            "{}\n{}, {}: {about}{} on disk, of which {} shared\n",
            LISTING.align(&text),
            counted(self.images, "image"),
            counted(sums.layers, "layer"),
            size(sums.size),
            size(sums.shared)
        )
    }
}

fn step_into<'n>(level: &'n mut BTreeMap<String, Node>, layer: &Layer) -> &'n mut Node {
    let node = level.entry(layer.diff_id.clone()).or_insert_with(|| Node {
        layer: layer.clone(),
        titles: Vec::new(),
        users: 0,
        children: BTreeMap::new(),
    });
    node.users += 1;
    // Another image's history may know what this one's did not.
    if node.layer.size.is_none() {
        node.layer = layer.clone();
    }
    node
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Nodes by the first name among the images that stand on them: ids say nothing to a reader.
fn in_order(level: &BTreeMap<String, Node>) -> Vec<&Node> {
    let mut nodes: Vec<&Node> = level.values().collect();
    nodes.sort_by_key(|node| node.first_title());
    nodes
}

impl Node {
    fn first_title(&self) -> &str {
        let below = self.children.values().map(Node::first_title);
        self.titles.iter().map(String::as_str).chain(below).min().unwrap_or_default()
    }

    fn draw(&self, branch: &str, below: &str, text: &mut String, sums: &mut Sums) {
        let size = self.layer.size.unwrap_or(0);
        sums.layers += 1;
        sums.size += size;
        sums.unknown |= self.layer.size.is_none();
        if self.users > 1 {
            sums.shared += size;
        }
        let shown =
            self.layer.size.map_or("?".to_owned(), |size| units::human_size_short(units::float(size)));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{branch}{}\t{shown}\t{}\t{}\t{}",
            names::short_id(&self.layer.diff_id),
            self.users,
            self.titles.join(", "),
            names::ellipsis(&self.layer.made_by.replace(['\t', '\n'], " "), 45)
        );
        for (index, child) in in_order(&self.children).into_iter().enumerate() {
            let last = index + 1 == self.children.len();
            let (branch, beneath) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            child.draw(&format!("{below}{branch}"), &format!("{below}{beneath}"), text, sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(id: char, size: i64) -> Layer {
        let diff_id = format!("sha256:{}", id.to_string().repeat(64));
        Layer { diff_id, size: Some(size), made_by: format!("RUN make {id}") }
    }

    #[test]
    fn shared_layers_are_drawn_once() {
        let mut forest = Forest::default();
        forest.add("base:1", &[layer('a', 2_000_000)]);
        forest.add("app:1", &[layer('a', 2_000_000), layer('b', 500), layer('c', 30)]);
        forest.add("app:2, app:latest", &[layer('a', 2_000_000), layer('b', 500), layer('d', 40)]);
        forest.add("tool:1", &[layer('a', 2_000_000), layer('e', 7)]);
        forest.add("other:1", &[layer('f', 1_000)]);
        insta::assert_snapshot!(forest.page(), @r"
        LAYER                SIZE      USED BY   IMAGE               CREATED BY
        aaaaaaaaaaaa         2MB       4         base:1              RUN make a
        ├─ bbbbbbbbbbbb      500B      2                             RUN make b
        │  ├─ cccccccccccc   30B       1         app:1               RUN make c
        │  └─ dddddddddddd   40B       1         app:2, app:latest   RUN make d
        └─ eeeeeeeeeeee      7B        1         tool:1              RUN make e
        ffffffffffff         1kB       1         other:1             RUN make f

        5 images, 6 layers: 2MB on disk, of which 2MB shared
        ");
    }

    #[test]
    fn steps_are_matched_to_layers_only_where_that_is_certain() {
        let step = |by: &str, size| Step { created_by: by.to_owned(), size, ..Step::default() };
        let ids = ["sha256:1".to_owned(), "sha256:2".to_owned()];
        let newest_first = [step("CMD sh", 0), step("RUN b", 5), step("ADD a", 9)];
        let sizes = |layers: Vec<Layer>| layers.into_iter().map(|layer| layer.size).collect::<Vec<_>>();
        assert_eq!(sizes(matched(&ids, &newest_first)), [Some(9), Some(5)]);
        let unclear = [step("CMD sh", 0), step("RUN true", 0), step("ADD a", 9)];
        assert_eq!(sizes(matched(&ids, &unclear)), [None, None]);
    }
}
