//! `state`: what is known of a container, as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use dhow_model::{Error, Result};
use serde::Serialize;

use super::arguments::{Parsed, Syntax};
use super::container::{Container, Status};
use super::{Context, Verb};

pub(super) const VERB: Verb = Verb {
    name: "state",
    arguments: "ID",
    about: "writes the state of a container",
    syntax: Syntax { flags: &[], first_word_ends: false },
    run,
    failure: 1,
    makes_process: false,
};

/// The document of `state`, and one item of `list`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    oci_version: &'a str,
    pub(super) id: &'a str,
    pub(super) pid: i32,
    pub(super) status: &'static str,
    pub(super) bundle: &'a Path,
    rootfs: &'a Path,
    pub(super) created: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    pub(super) owner: &'static str,
}

impl<'a> Document<'a> {
    pub(super) fn of(container: &'a Container) -> Self {
        let record = &container.record;
        let status = container.full_status();
        Self {
            oci_version: &record.spec.oci_version,
            id: &record.id,
            pid: if status == Status::Stopped { 0 } else { record.pid },
            status: status.name(),
            bundle: &record.bundle,
            rootfs: &record.rootfs,
            created: &record.created,
            annotations: &record.spec.annotations,
            owner: if record.owner == 0 { "root" } else { "" },
        }
    }
}

fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let container = Container::load(&context.root, parsed.id()?)?;
    println!("{}", pretty(&Document::of(&container))?);
    Ok(0)
}

/// A document for people and programs.
pub(super) fn pretty(document: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(document)
        .map_err(|error| Error::internal("cannot write the document").because(error))
}
