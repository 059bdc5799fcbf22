//! Documents as values of Go: every field of its struct is there, and each kind of nothing is its own.
//!
//! The template engine knows texts, numbers, lists and maps. A struct is a map with two hidden entries,
//! its Go name and its JSON; a nil slice, a nil map and a missing entry are known by their address.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use dhow_model::duration;
use gotmpl::Value;
use serde_json::Value as Json;

use super::printing::{self, Style};
use super::shapes::{Member, members};
use crate::format::value::to_template;

const SHAPE: &str = "\0shape";
const JSON: &str = "\0json";
const ROW: &str = "\0row";
/// The labels of a row.
pub(crate) const LABELS: &str = "__labels";

type Map = Arc<BTreeMap<Arc<str>, Value>>;

/// A slice that is nil: it prints as `[]` and is `null` in JSON.
static NIL_LIST: LazyLock<Arc<[Value]>> = LazyLock::new(|| Arc::new([]));
/// What a template finds under a key that a map does not have.
static NO_VALUE: LazyLock<Arc<[Value]>> = LazyLock::new(|| Arc::new([]));
/// A map that is nil.
static NIL_MAP: LazyLock<Map> = LazyLock::new(Map::default);
/// Maps of texts that are nil, and that are empty: what is not in them is an empty text.
static NIL_TEXTS: LazyLock<Map> = LazyLock::new(Map::default);
static NO_TEXTS: LazyLock<Map> = LazyLock::new(Map::default);

/// A document of a Go type.
pub(crate) fn typed(document: Option<&Json>, of: &str) -> Value {
    let present = document.filter(|it| !it.is_null());
    if let Some(pointed) = of.strip_prefix('*') {
        return match present.map(|it| typed(Some(it), pointed)) {
            None => Value::Nil,
            Some(Value::Map(mut fields)) if fields.contains_key(SHAPE) => {
                Arc::make_mut(&mut fields).insert(SHAPE.into(), text(of));
                Value::Map(fields)
            }
            Some(plain) => plain,
        };
    }
    if let Some(of) = of.strip_prefix("[]") {
        let items = present.and_then(Json::as_array);
        let items = items.map(|items| items.iter().map(|it| typed(Some(it), of)).collect());
        return Value::List(items.unwrap_or_else(|| Arc::clone(&NIL_LIST)));
    }
    if let Some(of) = of.strip_prefix("{}") {
        return map(present, of);
    }
    match (of, present) {
        ("text", None) => text(""),
        ("bool", None) => Value::Bool(false),
        ("int", None) => Value::Int(0),
        ("duration", None) => text("0s"),
        ("time", None) => text("0001-01-01 00:00:00 +0000 UTC"),
        ("time", Some(moment)) => text(&moment_in_go(moment.as_str().unwrap_or_default())),
        ("duration", Some(length)) => text(&duration::in_go(length.as_i64().unwrap_or(0))),
        ("any", None) => no_value(),
        ("text" | "bool" | "int" | "any", Some(plain)) => untyped(plain),
        (of, present) => structure(present.unwrap_or(&Json::Null), of),
    }
}

/// A document as it is.
pub(crate) fn untyped(document: &Json) -> Value {
    match document {
        Json::Null => no_value(),
        Json::Array(items) => Value::List(items.iter().map(untyped).collect()),
        Json::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| (Arc::from(key.as_str()), untyped(value)));
            Value::Map(Arc::new(entries.collect()))
        }
        plain => to_template(plain),
    }
}

fn map(present: Option<&Json>, of: &str) -> Value {
    let nil = if of == "text" { &NIL_TEXTS } else { &NIL_MAP };
    let Some(entries) = present.and_then(Json::as_object) else { return Value::Map(Arc::clone(nil)) };
    if entries.is_empty() && of == "text" {
        return Value::Map(Arc::clone(&NO_TEXTS));
    }
    let entries = entries.iter().map(|(key, value)| (Arc::from(key.as_str()), typed(Some(value), of)));
    Value::Map(Arc::new(entries.collect()))
}

fn structure(document: &Json, of: &str) -> Value {
    let mut fields = BTreeMap::new();
    collect(document, of, &mut fields);
    fields.insert(SHAPE.into(), text(of));
    fields.insert(JSON.into(), text(&document.to_string()));
    Value::Map(Arc::new(fields))
}

/// The outermost of members of one name is the one that is meant, so it comes last.
fn collect(document: &Json, of: &str, fields: &mut BTreeMap<Arc<str>, Value>) {
    let embedded = members(of).into_iter().flatten().filter_map(|member| match member {
        Member::Embedded(of) => Some(of),
        Member::Field { .. } => None,
    });
    embedded.for_each(|of| collect(document, of, fields));
    for member in members(of).into_iter().flatten() {
        let (name, value) = match member {
            Member::Embedded(of) => (own_name(of), structure(document, of)),
            Member::Field { name, json, of } => (name, typed(document.get(json), of)),
        };
        fields.insert(name.into(), value);
    }
}

/// The name of an embedded struct: its type's, without the package.
fn own_name(of: &str) -> &str {
    of.rsplit('.').next().unwrap_or(of)
}

/// A moment as Go's `time.Time` prints itself.
fn moment_in_go(moment: &str) -> String {
    let Ok(time) = moment.parse::<jiff::Timestamp>() else { return moment.to_owned() };
    let zoned = time.to_zoned(jiff::tz::TimeZone::UTC);
    let whole = zoned.strftime("%Y-%m-%d %H:%M:%S");
    match time.subsec_nanosecond() {
        0 => format!("{whole} +0000 UTC"),
        part => {
            let digits = format!("{part:09}");
            format!("{whole}.{} +0000 UTC", digits.trim_end_matches('0'))
        }
    }
}

fn text(words: &str) -> Value {
    Value::String(words.into())
}

/// What is under a key that a map does not have.
pub(crate) fn no_value() -> Value {
    Value::List(Arc::clone(&NO_VALUE))
}

/// The Go type of a struct or of the pointer by which it is held; `None` for any other value.
pub(crate) fn shape(value: &Value) -> Option<&str> {
    let Value::Map(fields) = value else { return None };
    match fields.get(SHAPE) {
        Some(Value::String(shape)) => Some(shape),
        _ => None,
    }
}

fn is_nil_list(items: &Arc<[Value]>) -> bool {
    Arc::ptr_eq(items, &NIL_LIST) || Arc::ptr_eq(items, &NO_VALUE)
}

/// The field of a struct or the entry of a map; the words for what is not there.
pub(crate) fn field(value: &Value, name: &str, strict: bool) -> Result<Value, String> {
    let Value::Map(fields) = value else {
        return match value {
            Value::Nil => Err(format!("nil pointer evaluating interface {{}}.{name}")),
            Value::List(items) if Arc::ptr_eq(items, &NO_VALUE) && strict => {
                Err(format!("nil data; no entry for key \"{name}\""))
            }
            Value::List(items) if Arc::ptr_eq(items, &NO_VALUE) => Ok(no_value()),
            _ if strict => Err(format!("can't evaluate field {name} in type interface {{}}")),
            other => Err(format!("can't evaluate field {name} in type {}", type_in_go(other))),
        };
    };
    match (fields.get(name), shape(value)) {
        (Some(found), _) => Ok(found.clone()),
        (None, Some(shape)) => Err(format!("can't evaluate field {name} in type {shape}")),
        (None, None) if strict => Err(format!("map has no entry for key \"{name}\"")),
        (None, None) => Ok(no_value()),
    }
}

/// The entry of a map: a key that it does not have gives the empty value of the map's type.
pub(crate) fn entry(map: &Value, key: &str) -> Value {
    let Value::Map(entries) = map else { return no_value() };
    match entries.get(key) {
        Some(found) => found.clone(),
        None if is_map_of_texts(entries) => text(""),
        None if !entries.is_empty() && entries.values().all(|it| matches!(it, Value::List(_))) => {
            Value::List(Arc::clone(&NIL_LIST))
        }
        None => no_value(),
    }
}

/// Whether it is what a map does not have.
pub(crate) fn is_missing(value: &Value) -> bool {
    matches!(value, Value::List(items) if Arc::ptr_eq(items, &NO_VALUE))
}

/// A row of a listing: its type's name, its fields, and itself as JSON.
pub(crate) fn row(of: &str, fields: &Json, json: String) -> Value {
    let Value::Map(mut entries) = untyped(fields) else { return Value::Nil };
    let members = Arc::make_mut(&mut entries);
    members.insert(SHAPE.into(), text(of));
    members.insert(ROW.into(), Value::Bool(true));
    members.insert(JSON.into(), text(&json));
    Value::Map(entries)
}

/// Whether it is a row, whose fields docker has methods for.
pub(crate) fn is_row(value: &Value) -> bool {
    matches!(value, Value::Map(entries) if entries.contains_key(ROW))
}

fn is_map_of_texts(entries: &Map) -> bool {
    let known = Arc::ptr_eq(entries, &NIL_TEXTS) || Arc::ptr_eq(entries, &NO_TEXTS);
    known || (!entries.is_empty() && entries.values().all(|value| matches!(value, Value::String(_))))
}

/// The Go type of a value.
pub(crate) fn type_in_go(value: &Value) -> String {
    let plain = match value {
        Value::Int(_) => "int",
        Value::Uint(_) => "uint64",
        Value::Float(_) => "float64",
        Value::Bool(_) => "bool",
        Value::String(_) => "string",
        Value::List(items) => return format!("[]{}", type_of_all(items.iter(), false)),
        Value::Map(entries) => match shape(value) {
            Some(shape) => shape,
            None => return format!("map[string]{}", type_of_all(entries.values(), is_map_of_texts(entries))),
        },
        _ => "interface {}",
    };
    plain.to_owned()
}

/// The type of what is in a list or a map, where all is of one.
fn type_of_all<'a>(items: impl Iterator<Item = &'a Value>, texts: bool) -> String {
    let mut types = items.map(type_in_go);
    match types.next() {
        Some(first) if types.all(|other| other == first) => first,
        None if texts => "string".to_owned(),
        _ => "interface {}".to_owned(),
    }
}

/// A value as Go prints it. Where Go prints the address of a struct within another, its content stands.
pub(crate) fn print(value: &Value) -> String {
    if is_missing(value) { "<no value>".to_owned() } else { printing::by_verb('v', value) }
}

/// Writes a map, a struct or a row, and what is in it in the same style.
pub(super) fn write_map(value: &Value, out: &mut String, style: &Style) {
    let (Value::Map(entries), of) = (value, shape(value)) else { return };
    match of.filter(|_| !is_row(value)) {
        Some(of) if prints_itself(of) => write_limit(entries, out),
        Some(of) => write_struct(entries, of, out, style),
        None => write_entries(value, entries, out, style),
    }
}

/// Whether values of a type say themselves how they are printed.
pub(super) fn prints_itself(of: &str) -> bool {
    of.ends_with("units.Ulimit")
}

fn write_entries(value: &Value, entries: &Map, out: &mut String, style: &Style) {
    let (open, between, close) = if style.is_source() { ("{", ", ", "}") } else { ("[", " ", "]") };
    out.push_str(&if style.is_source() { type_in_go(value) } else { "map".to_owned() });
    out.push_str(open);
    let seen = entries.iter().filter(|(key, _)| !key.starts_with('\0') && &***key != LABELS);
    for (at, (key, value)) in seen.enumerate() {
        out.push_str(if at > 0 { between } else { "" });
        style.key(key, out);
        out.push(':');
        style.write(value, out);
    }
    out.push_str(close);
}

fn write_struct(fields: &Map, of: &str, out: &mut String, style: &Style) {
    let of = of.trim_start_matches('*');
    out.push_str(if style.is_source() { of } else { "" });
    out.push('{');
    for (at, member) in members(of).into_iter().flatten().enumerate() {
        let between = if style.is_source() { ", " } else { " " };
        out.push_str(if at > 0 { between } else { "" });
        let name = match member {
            Member::Embedded(of) => own_name(of),
            Member::Field { name, .. } => name,
        };
        if style.has_names() {
            out.push_str(name);
            out.push(':');
        }
        style.write(fields.get(name).unwrap_or(&Value::Nil), out);
    }
    out.push('}');
}

/// A limit prints itself as it is written in flags.
fn write_limit(fields: &Map, out: &mut String) {
    let field = |name: &str| fields.get(name).map(print).unwrap_or_default();
    out.push_str(&format!("{}={}:{}", field("Name"), field("Soft"), field("Hard")));
}

/// A value as JSON text: a struct as its document has it, a map by its keys.
pub(crate) fn to_json(value: &Value) -> String {
    match value {
        Value::List(items) if is_nil_list(items) => "null".to_owned(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(to_json).collect();
            format!("[{}]", items.join(","))
        }
        Value::Map(entries) if Arc::ptr_eq(entries, &NIL_MAP) || Arc::ptr_eq(entries, &NIL_TEXTS) => {
            "null".to_owned()
        }
        Value::Map(entries) => match entries.get(JSON) {
            Some(Value::String(document)) => document.to_string(),
            _ => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| format!("{}:{}", Json::from(key.as_ref()), to_json(value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
            }
        },
        Value::Float(number) => printing::in_json(*number),
        plain => {
            // Go's encoder leaves no line ends of Unicode in a text.
            let text = crate::format::value::to_json(plain).to_string();
            text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
        }
    }
}
