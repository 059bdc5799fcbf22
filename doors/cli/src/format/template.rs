//! `--format` templates: Go's template language, with docker's functions.
//!
//! Nearly all templates in the world are texts with `{{.Field}}` and `{{json .Field}}` in them.
//! Those are rendered here straight from the JSON document, which keeps the engine's order of keys
//! and costs nothing; everything else is left to the `gotmpl` crate.

use std::sync::Arc;

use gotmpl::{FuncMap, MissingKey, TemplateError};
use serde_json::Value as Json;

use super::empties::Empty;
use super::value::{printed, to_json, to_template};

/// A template that was read.
pub(crate) enum Template {
    /// Texts and fields.
    Plain(Vec<Segment>),
    /// Anything else; the source is kept for the header of a table, which runs with other functions.
    Full(String),
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
    /// How a field is shown that is null or left out, where that is not `<nil>` or an error.
    fn empty(&self, _path: &[String]) -> Option<Empty> {
        None
    }
    /// Whether a field that is not there is no error.
    fn is_lenient(&self) -> bool {
        false
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
        let source = label_calls(source);
        let template = gotmpl::Template::new("").funcs(functions()).parse(&source).map_err(parse_words)?;
        // The parser takes any name for a function; Go's knows which there are. A run over nothing
        // tells, whatever else is wrong with that run.
        match template.execute_to_string(&gotmpl::Value::Nil) {
            Err(error @ TemplateError::UndefinedFunction(_)) => Err(parse_words(error)),
            _ => Ok(Template::Full(source)),
        }
    }

    pub(crate) fn render(&self, fields: &impl Fields) -> Result<String, String> {
        match self {
            Template::Plain(segments) => render_plain(segments, fields),
            Template::Full(source) => {
                let missing = if fields.is_lenient() { MissingKey::Invalid } else { MissingKey::Error };
                run(source, functions(), &fields.document(), missing)
            }
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
            Template::Full(source) => {
                run(source, header_functions(), &headings.document(), MissingKey::Error)
            }
        }
    }
}

fn run(source: &str, functions: FuncMap, document: &Json, missing: MissingKey) -> Result<String, String> {
    let template = gotmpl::Template::new("").missing_key(missing).funcs(functions);
    let template = template.parse(source).map_err(parse_words)?;
    template.execute_to_string(&to_template(document)).map_err(execution_words)
}

fn parse_words(error: TemplateError) -> String {
    match error {
        TemplateError::Parse { line, message, .. } | TemplateError::Lex { line, message, .. } => {
            format!("template: :{line}: {message}")
        }
        TemplateError::UndefinedFunction(name) => format!("template: :1: function \"{name}\" not defined"),
        other => format!("template: :1: {other}"),
    }
}

fn execution_words(error: TemplateError) -> String {
    match error {
        TemplateError::MissingKey { key } => {
            format!("template: :1: executing \"\" at <.{key}>: map has no entry for key \"{key}\"")
        }
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
    if let Some(empty) = fields.empty(path) {
        return Ok(if json { empty.json } else { empty.printed }.to_owned());
    }
    let value = match fields.lookup(path) {
        Err(_) if fields.is_lenient() => return Ok("<no value>".to_owned()),
        found => found.map_err(|why| missing(fields, path, at, &why))?,
    };
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

/// `.Label "x"` is a method in docker; here it is a function of the row.
fn label_calls(source: &str) -> String {
    source.replace(".Label ", "label $ ")
}

type Function = fn(&[gotmpl::Value]) -> Result<gotmpl::Value, TemplateError>;

fn functions() -> FuncMap {
    table(&[
        ("json", |values| Ok(text(to_json(argument(values, 0)?).to_string()))),
        ("split", |values| {
            let (words, separator) = (string(values, 0)?, string(values, 1)?);
            Ok(gotmpl::Value::List(words.split(&*separator).map(|part| text(part.to_owned())).collect()))
        }),
        ("join", join),
        ("title", |values| Ok(text(title(&string(values, 0)?)))),
        ("lower", |values| Ok(text(string(values, 0)?.to_lowercase()))),
        ("upper", |values| Ok(text(string(values, 0)?.to_uppercase()))),
        ("pad", |values| {
            let blanks = |index| Ok::<_, TemplateError>(" ".repeat(count(values, index)?));
            let words = string(values, 0)?;
            if words.is_empty() {
                return Ok(text(words));
            }
            Ok(text(format!("{}{words}{}", blanks(1)?, blanks(2)?)))
        }),
        ("truncate", |values| {
            let words = string(values, 0)?;
            let end = words.char_indices().nth(count(values, 1)?).map_or(words.len(), |(end, _)| end);
            Ok(text(words[..end].to_owned()))
        }),
        ("label", |values| {
            let labels = argument(values, 0)?.field("__labels");
            Ok(labels
                .and_then(|map| map.field(&string(values, 1).ok()?))
                .cloned()
                .unwrap_or_else(|| text(String::new())))
        }),
    ])
}

/// In the header of a table every function leaves its first argument alone.
fn header_functions() -> FuncMap {
    let same: Function = |values| argument(values, 0).cloned();
    let mut functions: FuncMap = table(&[
        ("json", same),
        ("split", same),
        ("join", same),
        ("title", same),
        ("lower", same),
        ("upper", same),
        ("pad", same),
        ("truncate", same),
    ]);
    let label: Function = |values| {
        let key = string(values, 1)?;
        let last = key.rsplit('.').next().unwrap_or_default();
        Ok(text(last.replace(['-', '_'], " ")))
    };
    functions.insert("label".into(), Arc::new(label));
    functions
}

fn table(functions: &[(&str, Function)]) -> FuncMap {
    functions
        .iter()
        .map(|(name, function)| {
            let function = *function;
            let shared: gotmpl::ValueFunc = Arc::new(move |values: &[gotmpl::Value]| function(values));
            ((*name).into(), shared)
        })
        .collect()
}

fn join(values: &[gotmpl::Value]) -> Result<gotmpl::Value, TemplateError> {
    let gotmpl::Value::List(items) = argument(values, 0)? else {
        return Err(TemplateError::Exec("join wants a list".to_owned()));
    };
    let parts: Vec<String> = items.iter().map(ToString::to_string).collect();
    Ok(text(parts.join(&string(values, 1)?)))
}

fn title(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    let mut begins = true;
    for character in words.chars() {
        if begins {
            out.extend(character.to_uppercase());
        } else {
            out.push(character);
        }
        begins = !character.is_alphanumeric() && character != '_' && character != '\'';
    }
    out
}

fn text(words: String) -> gotmpl::Value {
    gotmpl::Value::String(words.into())
}

fn argument(values: &[gotmpl::Value], index: usize) -> Result<&gotmpl::Value, TemplateError> {
    values.get(index).ok_or_else(|| TemplateError::Exec("wrong number of args".to_owned()))
}

fn string(values: &[gotmpl::Value], index: usize) -> Result<String, TemplateError> {
    argument(values, index).map(ToString::to_string)
}

fn count(values: &[gotmpl::Value], index: usize) -> Result<usize, TemplateError> {
    let number = argument(values, index)?.as_int().and_then(|number| usize::try_from(number).ok());
    number
        .filter(|number| *number <= 1 << 16)
        .ok_or_else(|| TemplateError::Exec("wants a small number".to_owned()))
}
