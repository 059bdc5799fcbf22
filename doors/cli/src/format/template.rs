//! `--format` templates: Go's template language, with docker's functions.
//!
//! Nearly all templates in the world are texts with `{{.Field}}` and `{{json .Field}}` in them.
//! Those are rendered here straight from the JSON document, which keeps the engine's order of keys
//! and costs nothing; everything else is left to the `gotmpl` crate, and what it does not know of Go to `go`.

use gotmpl::{TemplateError, Value};
use serde_json::Value as Json;

use super::go::functions::{functions, header_functions};
use super::go::structure;
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
    Field { path: Vec<String>, json: bool, at: usize },
}

/// Answers for fields: a row of a listing, or a document.
pub(crate) trait Fields {
    /// The field at a path, or the words of what is missing.
    fn lookup(&self, path: &[String]) -> Result<Json, String>;
    /// Everything, for `{{.}}` and for full templates.
    fn document(&self) -> Json;
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
            Template::Full(tree) => run(tree, &values::untyped(&fields.document())),
        }
    }

    /// Tries the fields of a template that is only texts and fields.
    pub(crate) fn try_fields(&self, fields: &impl Fields) -> Result<(), String> {
        match self {
            Template::Plain(segments) => render_plain(segments, fields).map(drop),
            Template::Full(_) => Ok(()),
        }
    }

    /// Renders the header of a table: fields are headings, functions leave their argument alone.
    pub(crate) fn render_header(&self, headings: &impl Fields) -> Result<String, String> {
        match self {
            Template::Plain(segments) => {
                let texts = segments.iter().map(|segment| match segment {
                    Segment::Text(text) => text.clone(),
                    Segment::Field { path, .. } if path.is_empty() => String::new(),
                    Segment::Field { path, .. } => {
                        headings.lookup(path).map_or_else(|_| String::new(), |it| printed(&it))
                    }
                });
                Ok(texts.collect())
            }
            Template::Full(tree) => {
                let headings = values::untyped(&headings.document());
                tree.run(header_functions(), &headings).map_err(execution_words)
            }
        }
    }
}

/// Reads any template, to be run over a value of Go.
pub(crate) fn read(source: &str) -> Result<Tree, String> {
    structure::check(source)?;
    Tree::parse(source, &functions(true)).map_err(parse_words)
}

/// Runs a template; a map must have the keys that it is asked for.
pub(crate) fn run(tree: &Tree, value: &Value) -> Result<String, String> {
    tree.run(functions(true), value).map_err(execution_words)
}

/// The same, but what a map does not have is `<no value>`, and what a struct does not have an error.
pub(crate) fn run_typed(tree: &Tree, value: &Value) -> Result<String, String> {
    tree.run(functions(false), value).map_err(execution_words)
}

fn parse_words(error: TemplateError) -> String {
    match error {
        TemplateError::Parse { line, message, .. } | TemplateError::Lex { line, message, .. } => {
            format!(
                "template: :{line}: {}",
                message
                    .replace("unterminated string", "unterminated quoted string")
                    .replace("unterminated character literal", "unterminated character constant")
                    .replace("unterminated raw string", "unterminated raw quoted string")
                    .replace("empty command", "missing value for command")
            )
        }
        TemplateError::UndefinedFunction(name) => format!("template: :1: function \"{name}\" not defined"),
        other => format!("template: :1: {other}"),
    }
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
            Segment::Field { path, json, at } => out.push_str(&field(fields, path, *json, *at)?),
        }
    }
    Ok(out)
}

fn field(fields: &impl Fields, path: &[String], json: bool, at: usize) -> Result<String, String> {
    let value = fields.lookup(path).map_err(|why| missing(fields, path, at, &why))?;
    Ok(if json { fields.as_json(&value, path.is_empty()) } else { printed(&value) })
}

/// Go names the place of the first name that is not there.
fn missing(fields: &impl Fields, path: &[String], at: usize, why: &str) -> String {
    let found = (1..path.len()).take_while(|length| fields.lookup(&path[..*length]).is_ok()).count();
    let before: usize = path[..found].iter().map(|name| name.len() + 1).sum();
    format!("template: :1:{}: executing \"\" at <.{}>: {why}", at + before, path.join("."))
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
        let place = source.len() - rest.len() + text.len() + 2 + action.find(word)?;
        let line = source[..place].rfind('\n').map_or(0, |end| end + 1);
        segments.push(Segment::Field { path, json, at: place - line });
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
