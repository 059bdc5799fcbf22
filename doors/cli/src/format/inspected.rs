//! One document (`inspect`, `info`, `version`) shown by a template.

use serde_json::Value as Json;

use super::template::{Fields, Template};
use super::value;
use crate::error::{Error, Result};

/// Shows a document by `json` or a Go template, with a line end.
pub(crate) fn by_template(format: &str, document: &Json) -> Result<String> {
    let source = if format == "json" { "{{json .}}" } else { format };
    let wrong = |why| Error::said(format!("template parsing error: {why}"));
    let document = Document { document, sorted: source.contains(".Id}") || source.contains(".Id ") };
    let unreadable = |why| Error::Status { code: 64, words: format!("template parsing error: {why}") };
    let mut text = Template::parse(source).map_err(unreadable)?.render(&document).map_err(wrong)?;
    text.push('\n');
    Ok(text)
}

struct Document<'a> {
    document: &'a Json,
    /// `.Id` is no field of docker's types, so docker falls back to the bare document, whose keys
    /// `json` then writes in order.
    sorted: bool,
}

impl Fields for Document<'_> {
    fn lookup(&self, path: &[String]) -> Result<Json, String> {
        let mut at = self.document;
        for (depth, name) in path.iter().enumerate() {
            let found = at.get(name).or_else(|| spelled_in_go(at, name));
            match found {
                Some(value) => at = value,
                // Go's zero value: docker reads the document into a struct, where what the engine left
                // out is empty.
                None if is_left_out(&path[..=depth]) && depth + 1 == path.len() => return Ok(Json::Null),
                None if at.is_null() => return Err(format!("nil data; no entry for key \"{name}\"")),
                None => return Err(format!("map has no entry for key \"{name}\"")),
            }
        }
        Ok(at.clone())
    }

    fn document(&self) -> Json {
        self.document.clone()
    }

    fn as_json(&self, value: &Json, _whole: bool) -> String {
        if self.sorted { value::to_json(&value::to_template(value)).to_string() } else { value.to_string() }
    }
}

/// Templates may use the name that a field has in docker's source: `.ID` is `Id` in the document.
fn spelled_in_go<'a>(at: &'a Json, name: &str) -> Option<&'a Json> {
    match name {
        "ID" => at.get("Id"),
        "APIVersion" => at.get("ApiVersion"),
        "NanoCPUs" => at.get("NanoCpus"),
        "CPUShares" => at.get("CpuShares"),
        "CPUPeriod" => at.get("CpuPeriod"),
        "CPUQuota" => at.get("CpuQuota"),
        "DNS" => at.get("Dns"),
        "DNSOptions" => at.get("DnsOptions"),
        "DNSSearch" => at.get("DnsSearch"),
        "HostIP" => at.get("HostIp"),
        "UTSMode" => at.get("UTSMode"),
        _ => None,
    }
}

/// Fields that an engine may leave out because they are empty, and that templates ask for.
fn is_left_out(path: &[String]) -> bool {
    const LEFT_OUT: &[&str] = &[
        "Config.Healthcheck",
        "Config.StopTimeout",
        "HostConfig.Init",
        "HostConfig.Annotations",
        "HostConfig.StorageOpt",
        "HostConfig.Sysctls",
        "HostConfig.Tmpfs",
        "HostConfig.Mounts",
        "Config.Shell",
        "Config.ExposedPorts",
    ];
    LEFT_OUT.contains(&path.join(".").as_str())
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
        assert_eq!(show("{{range .Config.Env}}{{println .}}{{end}}").unwrap(), "A=1\nB=2\n\n");
        assert_eq!(show("{{index .Config.Labels \"a\"}}").unwrap(), "2\n");
        assert_eq!(
            show("x{{ .Foo }}").unwrap_err(),
            "template parsing error: template: :1:4: executing \"\" at <.Foo>: map has no entry for key \"Foo\""
        );
    }
}
