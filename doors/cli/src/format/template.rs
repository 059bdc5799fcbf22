//! `--format` templates: Go's template language, with docker's functions.
//!
//! Nearly all templates in the world are texts with `{{.Field}}` and `{{json .Field}}` in them.
//! Those are rendered here straight from the JSON document, which keeps the engine's order of keys
//! and costs nothing; everything else is left to the `gotmpl` crate, and what it does not know of Go to `go`.

use gotmpl::{TemplateError, Value};
use serde_json::Value as Json;

use super::go::functions::{functions, header_functions};
use super::go::tree::Tree;
use super::go::values;
use super::value::printed;

/// A template that was read.
pub(crate) enum Template {
    /// Texts and fields.
    Plain(Vec<Segment>),
    /// Anything else.
    Full(Tree),
}

/// A piece of a plain template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Text(String),
    Field { path: Vec<String>, json: bool, place: Place },
}

/// Where a field stands: its line, and its column there.
type Place = (usize, usize);

/// Answers for fields: a row of a listing, or a document.
pub(crate) trait Fields {
    /// The field at a path, or the words of what is missing.
    fn lookup(&self, path: &[String]) -> Result<Json, String>;
    /// Everything, for `{{.}}` and for full templates.
    fn document(&self) -> Json;
    /// The same as a value of Go.
    fn row(&self) -> Value {
        values::untyped(&self.document())
    }
    /// A value as `json` writes it; `whole` when it is everything.
    fn as_json(&self, value: &Json, _whole: bool) -> String {
        value.to_string()
    }
}

impl Template {
    pub(crate) fn parse(source: &str) -> Result<Template, String> {
        if let Some(segments) = plain(source) {
            return Ok(Template::Plain(segments));
        }
        read(source).map(Template::Full)
    }

    pub(crate) fn render(&self, fields: &impl Fields) -> Result<String, String> {
        match self {
            Template::Plain(segments) => render_plain(segments, fields),
            Template::Full(tree) => run_typed(tree, &fields.row()),
        }
    }

    /// Tries a template with a row in which there is nothing.
    pub(crate) fn try_with(&self, fields: &impl Fields, nothing: &Value) -> Result<(), String> {
        match self {
            Template::Plain(segments) => render_plain(segments, fields).map(drop),
            Template::Full(tree) => run_typed(tree, nothing).map(drop),
        }
    }

    /// Renders the header of a table: fields are headings, functions leave their argument alone.
    pub(crate) fn render_header(&self, headings: &impl Fields) -> String {
        match self {
            Template::Plain(segments) => {
                let texts = segments.iter().map(|segment| match segment {
                    Segment::Text(text) => text.clone(),
                    Segment::Field { path, json: true, .. } if path.is_empty() => String::new(),
                    Segment::Field { path, .. } => {
                        headings.lookup(path).map_or_else(|_| "<no value>".to_owned(), |it| printed(&it))
                    }
                });
                texts.collect()
            }
            Template::Full(tree) => {
                let (headings, mut out) = (values::untyped(&headings.document()), String::new());
                // Docker, too, shows as much of a header as can be made.
                let _ = tree.run(header_functions(), &headings, &mut out);
                out
            }
        }
    }
}

/// Reads any template, to be run over a value of Go.
pub(crate) fn read(source: &str) -> Result<Tree, String> {
    Tree::parse(source, &functions(true))
}

/// Runs a template; a map must have the keys that it is asked for.
pub(crate) fn run(tree: &Tree, value: &Value) -> Result<String, String> {
    let mut out = String::new();
    tree.run(functions(true), value, &mut out).map(|()| out).map_err(execution_words)
}

/// The same, but what a map does not have is `<no value>`, and what a struct does not have an error.
pub(crate) fn run_typed(tree: &Tree, value: &Value) -> Result<String, String> {
    let mut out = String::new();
    run_typed_into(tree, value, &mut out).map(|()| out)
}

/// The same, and what was shown before something went wrong is there.
pub(crate) fn run_typed_into(tree: &Tree, value: &Value, out: &mut String) -> Result<(), String> {
    tree.run(functions(false), value, out).map_err(execution_words)
}

fn execution_words(error: TemplateError) -> String {
    match error {
        TemplateError::Exec(words) if words.starts_with(':') => format!("template: {words}"),
        other => format!("template: :1: executing \"\": {other}"),
    }
}

fn render_plain(segments: &[Segment], fields: &impl Fields) -> Result<String, String> {
    let mut out = String::new();
    for segment in segments {
        match segment {
            Segment::Text(text) => out.push_str(text),
            Segment::Field { path, json, place } => out.push_str(&field(fields, path, *json, *place)?),
        }
    }
    Ok(out)
}

fn field(fields: &impl Fields, path: &[String], json: bool, place: Place) -> Result<String, String> {
    let value = fields.lookup(path).map_err(|why| missing(path, place, &why))?;
    Ok(if json { fields.as_json(&value, path.is_empty()) } else { printed(&value) })
}

/// Go says that a chain of fields is where its second name is.
fn missing(path: &[String], (line, column): Place, why: &str) -> String {
    let before = if path.len() > 1 { path[0].len() + 1 } else { 0 };
    format!("template: :{line}:{}: executing \"\" at <.{}>: {why}", column + before, path.join("."))
}

/// Takes a template apart if it is only texts and fields.
fn plain(source: &str) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut rest = source;
    while let Some((text, tail)) = rest.split_once("{{") {
        if !text.is_empty() {
            segments.push(Segment::Text(text.to_owned()));
        }
        let (action, tail) = tail.split_once("}}")?;
        let word = action.trim_matches(' ');
        let (json, word) = match word.strip_prefix("json ") {
            Some(word) => (true, word.trim_start_matches(' ')),
            None => (false, word),
        };
        let path = path(word)?;
        let at = source.len() - rest.len() + text.len() + 2 + action.find(word)?;
        let line = source[..at].rfind('\n').map_or(0, |end| end + 1);
        let place = (source[..at].matches('\n').count() + 1, at - line);
        segments.push(Segment::Field { path, json, place });
        rest = tail;
    }
    if !rest.is_empty() {
        segments.push(Segment::Text(rest.to_owned()));
    }
    Some(segments)
}

fn path(word: &str) -> Option<Vec<String>> {
    let names = word.strip_prefix('.')?;
    if names.is_empty() {
        return Some(Vec::new());
    }
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|other| other.is_ascii_alphanumeric() || other == '_')
    };
    names.split('.').map(|name| is_name(name).then(|| name.to_owned())).collect()
}
