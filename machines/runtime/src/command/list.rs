//! `list`: every container below the root.

use dhow_model::{Error, Result};

use super::arguments::{Flag, Parsed, Syntax, option, switch};
use super::container::Container;
use super::state::Document;
use super::{Context, Verb};

pub(super) const VERB: Verb = Verb {
    name: "list",
    arguments: "[--format table|json] [-q]",
    about: "lists containers",
    syntax: Syntax {
        flags: &[Flag { short: Some('f'), ..option("format") }, Flag { short: Some('q'), ..switch("quiet") }],
        first_word_ends: false,
    },
    run,
    failure: 1,
    makes_process: false,
};

fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let containers = all(context)?;
    let documents: Vec<Document<'_>> = containers.iter().map(Document::of).collect();
    if parsed.has("quiet") {
        documents.iter().for_each(|document| println!("{}", document.id));
        return Ok(0);
    }
    match parsed.value("format").unwrap_or("table") {
        "table" => print_table(&documents),
        // As Go writes an empty list.
        "json" if documents.is_empty() => println!("null"),
        "json" => println!("{}", serde_json::json!(documents)),
        other => return Err(Error::invalid(format!("invalid format option {other:?}"))),
    }
    Ok(0)
}

fn all(context: &Context) -> Result<Vec<Container>> {
    let entries = match std::fs::read_dir(&context.root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(Error::internal(format!("cannot list {}", context.root.display())).because(error));
        }
    };
    let mut containers = Vec::new();
    for entry in entries.flatten() {
        // One that is deleted meanwhile is not listed; one that is damaged is told.
        match Container::load(&context.root, &entry.file_name().to_string_lossy()) {
            Ok(container) => containers.push(container),
            Err(error) => context.log.warn(&format!("{}: {}", entry.path().display(), error.report())),
        }
    }
    containers.sort_by(|a, b| a.record.created.cmp(&b.record.created));
    Ok(containers)
}

fn print_table(documents: &[Document<'_>]) {
    let width = documents.iter().map(|document| document.id.len()).max().unwrap_or(0).max(2);
    let bundle = documents.iter().map(|d| d.bundle.as_os_str().len()).max().unwrap_or(0).max(6);
    let row = |id: &str, pid: &str, status: &str, path: &str, rest: &str| {
        println!("{id:<width$}   {pid:<8}   {status:<8}   {path:<bundle$}   {rest}");
    };
    row("ID", "PID", "STATUS", "BUNDLE", "CREATED                          OWNER");
    for document in documents {
        let rest = format!("{:<30}   {}", document.created, document.owner);
        let path = document.bundle.display().to_string();
        row(document.id, &document.pid.to_string(), document.status, &path, &rest);
    }
}
