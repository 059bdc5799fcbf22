//! The prune commands: removes what nobody uses, after a question.

use dhow_api::client::Request;
use serde::Deserialize;

use super::rmi::Removed;
use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::filter::Filters;
use crate::flags::{BYTES, FILTER, Flag, Parsed, SWITCH, bytes, flag};
use crate::format::units;
use crate::session::Session;
use crate::stream::prompt;

const FORCE: Flag = flag("force", SWITCH, "Do not ask").short('f');
const FILTERED: Flag = flag("filter", FILTER, "Remove only what meets the condition (until=…, label=…)");

pub(crate) const BUILDS: Command = Command {
    paths: &["builder prune"],
    usage: "",
    about: "Remove what builds keep to be faster next time",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[
        FORCE,
        FILTERED,
        flag("all", SWITCH, "Remove all of it, not only what is dangling").short('a'),
        flag("keep-storage", BYTES, "Leave so much of it"),
    ]],
    run: |session, parsed| {
        let warning = match parsed.is_on("all") {
            true => "This will remove all build cache.",
            false => "This will remove all dangling build cache.",
        };
        confirm(parsed, warning)?;
        finish(session, &build_cache(session, parsed)?)
    },
};

pub(crate) const CONTAINERS: Command = Command {
    paths: &["container prune"],
    usage: "[OPTIONS]",
    about: "Remove all stopped containers",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[FORCE, FILTERED]],
    run: |session, parsed| {
        confirm(parsed, "This will remove all stopped containers.")?;
        finish(session, &containers(session, parsed)?)
    },
};

pub(crate) const IMAGES: Command = Command {
    paths: &["image prune"],
    usage: "[OPTIONS]",
    about: "Remove images that nobody uses",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[
        FORCE,
        FILTERED,
        flag("all", SWITCH, "Remove named images too, if no container uses them").short('a'),
    ]],
    run: |session, parsed| {
        let warning = match parsed.is_on("all") {
            true => "This will remove all images without at least one container associated to them.",
            false => "This will remove all dangling images.",
        };
        confirm(parsed, warning)?;
        finish(session, &images(session, parsed)?)
    },
};

pub(crate) const NETWORKS: Command = Command {
    paths: &["network prune"],
    usage: "[OPTIONS]",
    about: "Remove networks that nobody uses",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[FORCE, FILTERED]],
    run: |session, parsed| {
        confirm(parsed, "This will remove all custom networks not used by at least one container.")?;
        let report = networks(session, parsed)?;
        if report.text.is_empty() { Ok(()) } else { session.print_line(&report.text) }
    },
};

pub(crate) const VOLUMES: Command = Command {
    paths: &["volume prune"],
    usage: "[OPTIONS]",
    about: "Remove volumes that nobody uses",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[FORCE, FILTERED, flag("all", SWITCH, "Remove named volumes too").short('a')]],
    run: |session, parsed| {
        let all = parsed.is_on("all");
        if all && Filters::of(parsed).contains("all") {
            return Err(Error::said("conflicting options: cannot specify both --all and --filter all=1"));
        }
        let which = if all { "all" } else { "anonymous" };
        let warning = format!("This will remove {which} local volumes not used by at least one container.");
        confirm(parsed, &warning)?;
        finish(session, &volumes(session, parsed, all)?)
    },
};

pub(crate) const SYSTEM: Command = Command {
    paths: &["system prune"],
    usage: "[OPTIONS]",
    about: "Remove everything that nobody uses",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[
        FORCE,
        FILTERED,
        flag("all", SWITCH, "Remove named images too, if no container uses them").short('a'),
        flag("volumes", SWITCH, "Remove unnamed volumes too"),
    ]],
    run: system,
};

/// What a prune removed.
#[derive(Default)]
struct Report {
    text: String,
    reclaimed: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(
        default,
        deserialize_with = "super::nullable",
        alias = "CachesDeleted",
        alias = "ContainersDeleted",
        alias = "NetworksDeleted",
        alias = "VolumesDeleted"
    )]
    deleted: Vec<String>,
    #[serde(default, deserialize_with = "super::nullable")]
    images_deleted: Vec<Removed>,
    #[serde(default)]
    space_reclaimed: i64,
}

fn confirm(parsed: &Parsed, warning: &str) -> Result<()> {
    if parsed.is_on("force") || prompt::confirm(warning)? {
        return Ok(());
    }
    // Who says no has what they want: docker says nothing more, and that nothing failed.
    Err(Error::Exit(0))
}

fn finish(session: &Session, report: &Report) -> Result<()> {
    if !report.text.is_empty() {
        session.print_line(&report.text)?;
    }
    let size = units::human_size(units::float(report.reclaimed));
    session.print_line(&format!("Total reclaimed space: {size}"))
}

/// The filters of the command, and those that the user's settings add to every prune.
fn filters(session: &Session, parsed: &Parsed) -> Filters {
    let mut filters = Filters::of(parsed);
    for (name, value) in session.settings().prune_filters.iter().filter_map(|filter| filter.split_once('=')) {
        filters.add(name, value);
    }
    filters
}

fn ask(session: &Session, what: &str, filters: &Filters) -> Result<Answer> {
    let request = Request::post(&[what, "prune"]).query_some("filters", filters.to_query().as_deref());
    Ok(session.send(request)?.json()?)
}

fn report(title: &str, lines: Vec<String>, reclaimed: i64) -> Report {
    if lines.is_empty() {
        return Report { text: String::new(), reclaimed };
    }
    let lines: String = lines.into_iter().map(|line| line + "\n").collect();
    Report { text: format!("{title}:\n{lines}"), reclaimed }
}

fn containers(session: &Session, parsed: &Parsed) -> Result<Report> {
    let answer = ask(session, "containers", &filters(session, parsed))?;
    Ok(report("Deleted Containers", answer.deleted, answer.space_reclaimed))
}

fn networks(session: &Session, parsed: &Parsed) -> Result<Report> {
    let answer = ask(session, "networks", &filters(session, parsed))?;
    Ok(report("Deleted Networks", answer.deleted, 0))
}

fn build_cache(session: &Session, parsed: &Parsed) -> Result<Report> {
    let kept =
        parsed.text("keep-storage").and_then(|size| bytes::binary(size).ok()).map(|size| size.to_string());
    let request = Request::post(&["build", "prune"])
        .query_flag("all", parsed.is_on("all"))
        .query_some("keep-storage", kept.as_deref())
        .query_some("filters", filters(session, parsed).to_query().as_deref());
    let answer: Answer = session.send(request)?.json()?;
    Ok(report("Deleted build cache objects", answer.deleted, answer.space_reclaimed))
}

fn images(session: &Session, parsed: &Parsed) -> Result<Report> {
    let mut filters = filters(session, parsed);
    filters.add("dangling", if parsed.is_on("all") { "false" } else { "true" });
    let answer = ask(session, "images", &filters)?;
    let line = |removed: Removed| match removed.untagged.is_empty() {
        false => format!("untagged: {}", removed.untagged),
        true => format!("deleted: {}", removed.deleted),
    };
    let lines = answer.images_deleted.into_iter().map(line).collect();
    Ok(report("Deleted Images", lines, answer.space_reclaimed))
}

fn volumes(session: &Session, parsed: &Parsed, all: bool) -> Result<Report> {
    let mut filters = filters(session, parsed);
    if all {
        filters.add("all", "true");
    }
    let answer = ask(session, "volumes", &filters)?;
    Ok(report("Deleted Volumes", answer.deleted, answer.space_reclaimed))
}

fn system(session: &Session, parsed: &Parsed) -> Result<()> {
    if parsed.is_on("volumes") && Filters::of(parsed).contains("until") {
        return Err(Error::said("ERROR: The \"until\" filter is not supported with \"--volumes\""));
    }
    confirm(parsed, &system_warning(session, parsed))?;
    let mut reports = vec![containers(session, parsed)?, networks(session, parsed)?];
    if parsed.is_on("volumes") {
        reports.push(volumes(session, parsed, false)?);
    }
    reports.push(images(session, parsed)?);
    reports.push(build_cache(session, parsed)?);
    for report in reports.iter().filter(|report| !report.text.is_empty()) {
        session.print_line(&report.text)?;
    }
    let reclaimed = reports.iter().map(|report| report.reclaimed).sum();
    session.print_line(&format!("Total reclaimed space: {}", units::human_size(units::float(reclaimed))))
}

fn system_warning(session: &Session, parsed: &Parsed) -> String {
    let mut warning = String::from(
        "This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n",
    );
    if parsed.is_on("volumes") {
        warning.push_str("  - all anonymous volumes not used by at least one container\n");
    }
    warning.push_str(match parsed.is_on("all") {
        true => "  - all images without at least one container associated to them\n",
        false => "  - all dangling images\n",
    });
    warning.push_str(match parsed.is_on("all") {
        true => "  - all build cache\n",
        false => "  - unused build cache\n",
    });
    let filters = filters(session, parsed).told(&["label", "label!", "until"]);
    if !filters.is_empty() {
        warning.push_str("\n  Items to be pruned will be filtered with:\n");
        warning.extend(filters.into_iter().map(|filter| format!("  - {filter}\n")));
    }
    warning
}
