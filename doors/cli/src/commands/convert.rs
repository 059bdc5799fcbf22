//! `dhow image convert`: how the layers of images lie on the disk, changed.

use dhow_api::client::Request;
use serde::Deserialize;

use super::images::Image;
use super::{Arity, Command};
use crate::error::{self, Error, Result};
use crate::flags::{Parsed, STRING, SWITCH, flag};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["image convert"],
    usage: "[OPTIONS] [IMAGE...]",
    about: "Keep the layers of images as tars with an index, or as directories",
    arity: Arity::AtLeast(0),
    arguments_end_flags: false,
    flags: &[&[
        flag("all", SWITCH, "Convert all images").short('a'),
        flag("layers", STRING, "What the layers become: tar or directory (default tar)"),
    ]],
    run,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    converted: usize,
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Layer {
    format: String,
}

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let format = match parsed.text_or_empty("layers") {
        "" => "tar",
        format => format,
    };
    let mut failures = Vec::new();
    for image in images(session, parsed)? {
        match convert(session, &image, format) {
            Ok(answer) => session.print_line(&told(&image, format, &answer))?,
            Err(error) => failures.push(error),
        }
    }
    error::join(failures)
}

fn images(session: &Session, parsed: &Parsed) -> Result<Vec<String>> {
    match (parsed.is_on("all"), parsed.arguments.is_empty()) {
        (true, true) => {
            let all: Vec<Image> =
                session.send(Request::get(&["images", "json"]).query_flag("all", true))?.json()?;
            Ok(all.into_iter().map(name).collect())
        }
        (true, false) => Err(Error::said("name images or give --all, not both")),
        (false, true) => Err(Error::said("name the images to convert, or give --all")),
        (false, false) => Ok(parsed.arguments.clone()),
    }
}

/// As a reader knows it.
fn name(image: Image) -> String {
    image.repo_tags.into_iter().find(|tag| tag != "<none>:<none>").unwrap_or(image.id)
}

fn convert(session: &Session, image: &str, format: &str) -> Result<Answer> {
    if image.trim().is_empty() {
        return Err(Error::said("invalid image name: value is empty"));
    }
    let request = Request::post(&["dhow", "images", image, "convert"]);
    Ok(session.send(request.query("layers", format))?.json()?)
}

/// `busybox: 2 of 3 layers converted to tar`, and what stayed as it was.
fn told(image: &str, format: &str, answer: &Answer) -> String {
    let all = answer.layers.len();
    let plural = if all == 1 { "" } else { "s" };
    let others = answer.layers.iter().filter(|layer| layer.format != format).count();
    let stay = match others {
        0 => String::new(),
        1 => ", 1 stays a directory: its tar cannot be indexed".to_owned(),
        more => format!(", {more} stay directories: their tars cannot be indexed"),
    };
    format!("{image}: {} of {all} layer{plural} converted to {format}{stay}", answer.converted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_converted_and_what_could_not_be_is_told() {
        let layers = |formats: &[&str]| formats.iter().map(|text| Layer { format: (*text).into() }).collect();
        for (converted, formats, format, expected) in [
            (1, &["tar"][..], "tar", "a: 1 of 1 layer converted to tar"),
            (0, &["directory", "directory"], "directory", "a: 0 of 2 layers converted to directory"),
            (
                1,
                &["tar", "directory"],
                "tar",
                "a: 1 of 2 layers converted to tar, 1 stays a directory: its tar cannot be indexed",
            ),
        ] {
            assert_eq!(told("a", format, &Answer { converted, layers: layers(formats) }), expected);
        }
    }
}
