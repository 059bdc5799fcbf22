//! One document (`inspect`, `info`, `version`) shown by a template.

use serde_json::Value as Json;

use super::empties::{self, Empty};
use super::template::{Fields, Template};
use super::value;
use crate::error::{Error, Result};

/// Shows a document by `json` or a Go template, with a line end.
pub(crate) fn by_template(format: &str, document: &Json) -> Result<String> {
    show(format, document, false)
}

/// As [`by_template`], in the words of a document whose Go type is `of`, by a template named `name`.
pub(crate) fn by_named_template(format: &str, document: &Json, name: &str, of: &str) -> Result<String> {
    by_template(format, document).map_err(|error| {
        let words = error.to_string();
        let Some((before, field)) = words.split_once(": map has no entry for key ") else { return error };
        let place = before.trim_start_matches("template parsing error: template: ");
        let place = place.replace("executing \"\"", &format!("executing \"{name}\""));
        let field = field.trim_matches('"');
        // What was written so far is an empty line.
        println!();
        Error::said(format!("template: {name}{place}: can't evaluate field {field} in type {of}"))
    })
}

/// As [`by_template`], but what is not there is `<no value>` and no error.
pub(crate) fn by_lenient_template(format: &str, document: &Json) -> Result<String> {
    show(format, document, true)
}

fn show(format: &str, document: &Json, lenient: bool) -> Result<String> {
    let source = if format == "json" { "{{json .}}" } else { format };
    let wrong = |why| Error::said(format!("template parsing error: {why}"));
    let document =
        Document { document, source, lenient, sorted: source.contains(".Id}") || source.contains(".Id ") };
    let unreadable = |why| Error::Status { code: 64, words: format!("template parsing error: {why}") };
    let mut text = Template::parse(source).map_err(unreadable)?.render(&document).map_err(wrong)?;
    text.push('\n');
    Ok(text)
}

struct Document<'a> {
    document: &'a Json,
    source: &'a str,
    lenient: bool,
    /// `.Id` is no field of docker's types, so docker falls back to the bare document, whose keys
    /// `json` then writes in order.
    sorted: bool,
}

impl Fields for Document<'_> {
    fn lookup(&self, path: &[String]) -> Result<Json, String> {
        let mut at = self.document;
        for name in path {
            let found = at.get(name).or_else(|| spelled_in_go(at, name));
            match found {
                Some(value) => at = value,
                None if at.is_null() => return Err(format!("nil data; no entry for key \"{name}\"")),
                None => return Err(format!("map has no entry for key \"{name}\"")),
            }
        }
        Ok(at.clone())
    }

    fn empty(&self, path: &[String]) -> Option<Empty> {
        match self.lookup(path) {
            Ok(Json::Null) => path.last().map(|name| empties::of_null(name)),
            Ok(_) => None,
            // Only the last name may be missing, not what it would be in.
            Err(_) if self.lookup(&path[..path.len() - 1]).is_ok_and(|parent| parent.is_object()) => {
                empties::of_missing(path)
            }
            Err(_) => None,
        }
    }

    fn is_lenient(&self) -> bool {
        self.lenient
    }

    fn document(&self) -> Json {
        let mut document = self.document.clone();
        if let Some(fields) = document.as_object_mut() {
            for name in SPELLED_IN_GO.iter().map(|(name, _)| name).filter(|name| self.source.contains(*name))
            {
                if let Some(value) = spelled_in_go(self.document, name) {
                    fields.entry(*name).or_insert_with(|| value.clone());
                }
            }
        }
        document
    }

    fn as_json(&self, value: &Json, _whole: bool) -> String {
        if self.sorted { value::to_json(&value::to_template(value)).to_string() } else { value.to_string() }
    }
}

/// Templates may use the name that a field has in docker's source: `.ID` is `Id` in the document.
const SPELLED_IN_GO: &[(&str, &[&str])] = &[
    ("ID", &["Id"]),
    ("APIVersion", &["ApiVersion"]),
    ("NanoCPUs", &["NanoCpus"]),
    ("CPUShares", &["CpuShares"]),
    ("CPUPeriod", &["CpuPeriod"]),
    ("CPUQuota", &["CpuQuota"]),
    ("DNS", &["Dns"]),
    ("DNSOptions", &["DnsOptions"]),
    ("DNSSearch", &["DnsSearch"]),
    ("HostIP", &["HostIp"]),
];

fn spelled_in_go<'a>(at: &'a Json, name: &str) -> Option<&'a Json> {
    let (_, spellings) = SPELLED_IN_GO.iter().find(|(known, _)| *known == name)?;
    spellings.iter().find_map(|spelling| at.get(spelling))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_answers_for_its_fields() {
        let document = serde_json::json!({
            "Id": "abc", "State": {"Running": true, "Pid": 7}, "Config": {"Env": ["A=1", "B=2"], "Labels": {"z": "1", "a": "2"}},
        });
        let show = |format: &str| by_template(format, &document).map_err(|error| error.to_string());
        assert_eq!(show("{{.Id}} {{.State.Pid}} {{.State.Running}}").unwrap(), "abc 7 true\n");
        assert_eq!(show("{{.ID}}").unwrap(), "abc\n");
        assert_eq!(show("{{json .Config.Labels}}").unwrap(), "{\"z\":\"1\",\"a\":\"2\"}\n");
        assert_eq!(show("{{.Config.Env}}").unwrap(), "[A=1 B=2]\n");
        assert_eq!(show("{{.Config.Healthcheck}}").unwrap(), "<nil>\n");
        assert_eq!(
            show("{{.Config.Cmd}} {{.Config.Volumes}} {{json .Config.Cmd}}").unwrap(),
            "[] map[] null\n"
        );
        assert!(
            show("{{.Config.Foo}}").is_err() && show("{{.Foo.Cmd}}").is_err() && show("{{.Labels}}").is_err()
        );
        assert_eq!(show("{{if .ID}}{{.ID}}{{end}}").unwrap(), "abc\n");
        assert_eq!(show("{{range .Config.Env}}{{println .}}{{end}}").unwrap(), "A=1\nB=2\n\n");
        assert_eq!(show("{{index .Config.Labels \"a\"}}").unwrap(), "2\n");
        assert_eq!(
            show("x{{ .Foo }}").unwrap_err(),
            "template parsing error: template: :1:4: executing \"\" at <.Foo>: map has no entry for key \"Foo\""
        );
    }
}
