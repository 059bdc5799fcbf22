//! One document (`inspect`, `info`, `version`, an event) shown by a template.

use serde_json::Value as Json;

use super::go::tree::Tree;
use super::go::values;
use super::template;
use crate::error::{Error, Result};

/// A template by which documents are shown.
pub(crate) struct Shown(Tree);

impl Shown {
    /// Reads `--format`: `json` or a Go template.
    pub(crate) fn by(format: &str) -> Result<Shown> {
        Self::by_named(format, "")
    }

    /// The same, and what is wrong with it is told of a template of that name.
    pub(crate) fn by_named(format: &str, name: &str) -> Result<Shown> {
        let source = if format == "json" { "{{json .}}" } else { format };
        let unreadable = |why: String| {
            let why = why.replacen("template: ", &format!("template: {name}"), 1);
            Error::Status { code: 64, words: format!("template parsing error: {why}") }
        };
        template::read(source).map_err(unreadable).map(Shown)
    }

    /// As docker's `inspect` shows a document of a Go type: by its type, or, when that fails, as it is.
    pub(crate) fn inspected(&self, document: &Json, of: &str) -> Result<String> {
        let shown = match template::run_typed(&self.0, &values::typed(Some(document), of)) {
            // Docker has no other look at volumes.
            Err(_) if of != "volume.Volume" => template::run(&self.0, &values::untyped(document)),
            shown => shown,
        };
        shown.map(|text| text + "\n").map_err(|why| Error::said(format!("template parsing error: {why}")))
    }

    /// By its type alone, in the words of a template that is named `name`.
    pub(crate) fn named(&self, document: &Json, of: &str, name: &str) -> Result<String> {
        let (text, shown) = self.partly(document, of, name);
        shown.map(|()| text)
    }

    /// The same, and what is shown before something goes wrong.
    pub(crate) fn partly(&self, document: &Json, of: &str, name: &str) -> (String, Result<()>) {
        let mut text = String::new();
        let shown = template::run_typed_into(&self.0, &values::typed(Some(document), of), &mut text);
        text.push('\n');
        let shown = shown.map_err(|words| {
            let words = words.replacen("template: ", &format!("template: {name}"), 1);
            Error::said(words.replacen("executing \"\"", &format!("executing \"{name}\""), 1))
        });
        (text, shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_answers_for_its_fields() {
        let document = serde_json::json!({
            "Id": "abc", "State": {"Running": true, "Pid": 7}, "Config": {"Env": ["A=1", "B=2"], "Labels": {"z": "1", "a": "2"}},
        });
        let show = |format: &str| {
            let shown = Shown::by(format).and_then(|it| it.inspected(&document, "container.InspectResponse"));
            shown.map_err(|error| error.to_string())
        };
        assert_eq!(show("{{.Id}} {{.State.Pid}} {{.State.Running}}").unwrap(), "abc 7 true\n");
        assert_eq!(show("{{.ID}}").unwrap(), "abc\n");
        assert_eq!(show("{{json .Config.Labels}}").unwrap(), "{\"a\":\"2\",\"z\":\"1\"}\n");
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
        assert_eq!(show("{{.State}}").unwrap(), "{ true false false false false 7 0    <nil>}\n");
        assert_eq!(
            show("{{with .Config.Labels.no}}{{.}}{{end}}{{.Config.Labels.no}}").unwrap(),
            "<no value>\n"
        );
        assert_eq!(show("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{end}}").unwrap(), "a=2 z=1 \n");
        assert_eq!(show("{{range $k, $v := .State}}{{$k}}={{$v}} {{end}}").unwrap(), "Pid=7 Running=true \n");
        assert_eq!(show("{{index .Config.Labels \"no\"}}").unwrap(), "\n");
        assert_eq!(show("{{printf \"%s %d\" .Config.Env .State.Pid}}").unwrap(), "[A=1 B=2] 7\n");
        assert_eq!(show("{{json .}}").unwrap(), format!("{document}\n"));
        assert_eq!(show("{{.Id}}{{json .State}}").unwrap(), "abc{\"Pid\":7,\"Running\":true}\n");
        assert_eq!(show("{{index .Config.Labels \"a\"}}").unwrap(), "2\n");
        assert_eq!(
            show("x{{ .Foo }}").unwrap_err(),
            "template parsing error: template: :1:4: executing \"\" at <.Foo>: map has no entry for key \"Foo\""
        );
    }
}
