//! `dhow history`: the layers of an image, and what made them.

use dhow_api::client::Request;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Arity, Command};
use crate::error::Result;
use crate::flags::{Parsed, STRING, SWITCH, flag};
use crate::format::{Listing, Row, names, time, units};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["image history", "history"],
    usage: "[OPTIONS] IMAGE",
    about: "Show the layers of an image, and what made them",
    arity: Arity::Exactly(1),
    arguments_end_flags: false,
    flags: &[&[
        flag("format", STRING, super::FORMAT_HELP),
        flag("human", SWITCH, "Show sizes and times in words (default true)").short('H'),
        flag("no-trunc", SWITCH, "Show ids and commands in full"),
        flag("platform", STRING, "Show this platform's (os/arch[/variant])"),
        flag("quiet", SWITCH, "Show ids only").short('q'),
    ]],
    run,
};

const TABLE: &str = "table {{.ID}}\\t{{.CreatedSince}}\\t{{.CreatedBy}}\\t{{.Size}}\\t{{.Comment}}";
const TABLE_OF_NUMBERS: &str = "table {{.ID}}\\t{{.CreatedAt}}\\t{{.CreatedBy}}\\t{{.Size}}\\t{{.Comment}}";

/// A time before 2000 is one that a reproducible build made up.
const EPOCH: i64 = 946_684_800;

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let human = parsed.is_left_on("human");
    let steps = steps(session, parsed.argument(0), parsed.text("platform"))?;
    let listing = match parsed.text_or_empty("format") {
        "" | "table" if parsed.is_on("quiet") => Listing::new("{{.ID}}"),
        "" | "table" if human => Listing::new(TABLE),
        "" | "table" => Listing::new(TABLE_OF_NUMBERS),
        custom => Listing::new(custom),
    };
    let cut = !parsed.is_on("no-trunc");
    session.print(&listing.show(steps.into_iter().map(|step| StepRow { step, cut, human }))?)
}

/// The history of an image, the newest step first.
pub(crate) fn steps(session: &Session, image: &str, platform: Option<&str>) -> Result<Vec<Step>> {
    let mut request = Request::get(&["images", image, "history"]);
    if let Some(platform) = platform.filter(|platform| !platform.is_empty()) {
        request = request.query("platform", &super::platform_flag(platform)?);
    }
    let steps: Option<Vec<Step>> = session.send(request)?.json()?;
    Ok(steps.unwrap_or_default())
}

/// One step in the making of an image.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Step {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) created_by: String,
    pub(crate) size: i64,
    pub(crate) comment: String,
}

struct StepRow {
    step: Step,
    cut: bool,
    human: bool,
}

impl Row for StepRow {
    const TYPE: &'static str = "*image.historyContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("Comment", "COMMENT"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("CreatedSince", "CREATED"),
        ("ID", "IMAGE"),
        ("Size", "SIZE"),
    ];

    fn field(&self, name: &str) -> Option<Json> {
        let step = &self.step;
        let text = match name {
            "ID" if self.cut => names::short_id(&step.id).to_owned(),
            "ID" => step.id.clone(),
            "CreatedSince" if self.human && step.created <= EPOCH => "N/A".to_owned(),
            "CreatedSince" if self.human => time::ago(step.created),
            "CreatedAt" | "CreatedSince" => time::local_rfc3339(step.created),
            "CreatedBy" if self.cut => names::ellipsis(&step.created_by.replace('\t', " "), 45),
            "CreatedBy" => step.created_by.replace('\t', " "),
            "Size" if self.human => units::human_size_short(units::float(step.size)),
            "Size" => step.size.to_string(),
            "Comment" => step.comment.clone(),
            _ => return None,
        };
        Some(Json::String(text))
    }
}
