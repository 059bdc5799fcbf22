//! Which images a list shows.

use std::collections::BTreeSet;

use dhow_model::{Error, Image, Result, Timestamp};
use dhow_oci::Reference;
use regex_lite::Regex;

use super::container_filter::has_label;
use super::image::created;
use crate::server::filters::Filters;
use crate::server::moment;

/// The keys that a list knows.
pub(crate) const KEYS: &[&str] = &["before", "dangling", "label", "label!", "reference", "since", "until"];

/// A filter of images, checked and with its references resolved.
#[derive(Debug, Default)]
pub(crate) struct ImageFilter {
    dangling: Option<bool>,
    labels: BTreeSet<String>,
    other_labels: BTreeSet<String>,
    references: Vec<Regex>,
    before: Option<Timestamp>,
    since: Option<Timestamp>,
}

impl ImageFilter {
    /// Reads the filters; `created_at` tells when the image that a client means was made.
    ///
    /// # Errors
    /// Invalid argument that names key and value; not found for an image that `before` names.
    pub(crate) fn new(mut filters: Filters, created_at: impl Fn(&str) -> Result<Timestamp>) -> Result<Self> {
        let dangling = filters.take_truth("dangling")?;
        let mut take = |key: &str| filters.0.remove(key).unwrap_or_default();
        let image = |values: BTreeSet<String>| values.first().map(|name| created_at(name)).transpose();
        let until = take("until").first().map(|text| moment::parse(text, Timestamp::now())).transpose()?;
        let before = image(take("before"))?;
        Ok(Self {
            dangling,
            labels: take("label"),
            other_labels: take("label!"),
            references: take("reference").iter().map(|glob| pattern(glob)).collect::<Result<_>>()?,
            before: [before, until].into_iter().flatten().min(),
            since: image(take("since"))?,
        })
    }

    /// The image as it is shown: with the names that were asked for; nothing when it is not.
    ///
    /// Without `all` an unnamed image that another is made of is left out.
    pub(crate) fn show(
        &self,
        mut image: Image,
        all: bool,
        parents: &BTreeSet<dhow_model::ImageId>,
    ) -> Option<Image> {
        let unnamed = image.references.is_empty();
        let made = created(&image);
        let labels = image.config.config.labels.clone().unwrap_or_default();
        let shown = (all || !unnamed || !parents.contains(&image.id))
            && self.dangling.is_none_or(|dangling| dangling == unnamed)
            && self.labels.iter().all(|label| has_label(&labels, label))
            && !self.other_labels.iter().any(|label| has_label(&labels, label))
            && self.before.is_none_or(|before| made < before)
            && self.since.is_none_or(|since| made > since);
        if !self.references.is_empty() {
            image.references.retain(|reference| self.is_wanted(reference));
        }
        (shown && (self.references.is_empty() || !image.references.is_empty())).then_some(image)
    }

    fn is_wanted(&self, reference: &Reference) -> bool {
        let (name, full) = (reference.familiar_name(), reference.familiar());
        self.references.iter().any(|pattern| pattern.is_match(&name) || pattern.is_match(&full))
    }
}

/// A glob as Go's `path.Match` reads it: `*` and `?` stop at slashes.
fn pattern(glob: &str) -> Result<Regex> {
    let mut text = String::from("^");
    for character in glob.chars() {
        match character {
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            '[' | ']' | '^' | '-' | '\\' => text.push(character),
            other => text.push_str(&regex_lite::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    text.push('$');
    Regex::new(&text).map_err(|_| Error::invalid(format!("invalid filter 'reference={glob}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_as_globs() {
        for (glob, name, matches) in [
            ("busybox", "busybox", true),
            ("busybox", "busybox2", false),
            ("busy*", "busybox", true),
            ("b?sybox:lat*", "busybox:latest", true),
            ("*", "team/app", false),
            ("*/*", "team/app", true),
            ("[ab]usybox", "busybox", true),
            ("a.b", "a_b", false),
        ] {
            assert_eq!(pattern(glob).unwrap().is_match(name), matches, "{glob} {name}");
        }
        assert!(pattern("[").is_err());
    }
}
