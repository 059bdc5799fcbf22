//! `dhow system check`: whether what is stored is whole, and what can be mended.

use std::fmt::Write as _;

use dhow_api::client::Request;
use dhow_model::ports::{CheckReport, Finding, FindingState};

use super::{Arity, Command};
use crate::error::{Error, Result};
use crate::flags::{Parsed, STRING, SWITCH, flag};
use crate::format::units;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    paths: &["system check"],
    usage: "[OPTIONS]",
    about: "Compare every layer, index, blob, record and reference with every other",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[
        flag("format", STRING, "json: print the report as the engine gives it"),
        flag("repair", SWITCH, "Make again what can be made of something else"),
    ]],
    run,
};

/// The status is 0 when everything is whole, or is again.
fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    let request = Request::post(&["dhow", "system", "check"]).query_flag("repair", parsed.is_on("repair"));
    let answer = session.send(request)?;
    let report: CheckReport = answer.json()?;
    match parsed.text_or_empty("format") {
        "" => session.print(&told(&report))?,
        "json" => {
            let text = serde_json::to_string(&report).map_err(|error| Error::said(error.to_string()))?;
            session.print(&(text + "\n"))?;
        }
        other => return Err(Error::refused(format!("format {other:?} is not known: json"))),
    }
    let whole = report.findings.iter().all(|finding| finding.state == FindingState::Repaired);
    if whole { Ok(()) } else { Err(Error::Exit(1)) }
}

fn told(report: &CheckReport) -> String {
    let mut text: String = report.findings.iter().map(line).collect();
    let CheckReport { layers, blobs, records, bytes, findings } = report;
    let size = units::human_size(units::float(i64::try_from(*bytes).unwrap_or(i64::MAX)));
    let _ = writeln!(text, "{layers} layers ({size}), {blobs} blobs and {records} records were read.");
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (repaired, repairable, lost) =
        (count(FindingState::Repaired), count(FindingState::Repairable), count(FindingState::Lost));
    let _ = match (findings.len(), repairable) {
        (0, _) => writeln!(text, "Everything is whole."),
        (_, 0) => writeln!(text, "{repaired} repaired, {lost} lost."),
        _ => writeln!(
            text,
            "{repaired} repaired, {repairable} can be repaired, {lost} lost.\nhint: dhow system check --repair"
        ),
    };
    text
}

fn line(finding: &Finding) -> String {
    let state = match finding.state {
        FindingState::Repaired => "repaired",
        FindingState::Repairable => "damaged",
        FindingState::Lost => "lost",
    };
    let mut text = format!("{state}: {}: {}\n", finding.object, finding.problem);
    for (kind, names) in [("images", &finding.images), ("containers", &finding.containers)] {
        if !names.is_empty() {
            let _ = writeln!(text, "  {kind}: {}", names.join(", "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_is_wrong_whom_it_touches_and_what_to_do() {
        let whole = CheckReport { layers: 2, blobs: 1, records: 3, bytes: 1_500_000, findings: vec![] };
        assert_eq!(
            told(&whole),
            "2 layers (1.5MB), 1 blobs and 3 records were read.\nEverything is whole.\n"
        );
        let finding = |state, images: &[&str]| Finding {
            object: "layer x".into(),
            problem: "it is damaged".into(),
            state,
            images: images.iter().map(|&name| name.into()).collect(),
            containers: vec![],
        };
        let findings =
            vec![finding(FindingState::Lost, &["app", "web"]), finding(FindingState::Repairable, &[])];
        let text = told(&CheckReport { findings, ..whole });
        assert_eq!(
            text,
            "lost: layer x: it is damaged\n  images: app, web\ndamaged: layer x: it is damaged\n\
             2 layers (1.5MB), 1 blobs and 3 records were read.\n0 repaired, 1 can be repaired, 1 lost.\n\
             hint: dhow system check --repair\n"
        );
    }
}
