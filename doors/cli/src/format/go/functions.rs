//! The functions that templates can call: docker's, and the hidden ones by which Go's types are kept.

use std::sync::Arc;

use gotmpl::{FuncMap, TemplateError, Value};

use super::tree::{FIELD, FLAT, ITEMS, PRINT};
use super::values;

type Function = fn(&[Value]) -> Result<Value, TemplateError>;

/// What a template runs with; in a `strict` run a map must have the keys that it is asked for.
pub(crate) fn functions(strict: bool) -> FuncMap {
    let mut functions = table(&[
        (PRINT, |given| Ok(text(values::print(argument(given, 0)?)))),
        (FLAT, |given| Ok(flat(argument(given, 0)?))),
        (ITEMS, items),
        ("index", index),
        ("json", |given| Ok(text(values::to_json(argument(given, 0)?)))),
        ("split", |given| {
            let (words, separator) = (string(given, 0)?, string(given, 1)?);
            Ok(Value::List(words.split(&*separator).map(|part| text(part.to_owned())).collect()))
        }),
        ("join", join),
        ("title", |given| Ok(text(title(&string(given, 0)?)))),
        ("lower", |given| Ok(text(string(given, 0)?.to_lowercase()))),
        ("upper", |given| Ok(text(string(given, 0)?.to_uppercase()))),
        ("pad", |given| {
            let blanks = |index| Ok::<_, TemplateError>(" ".repeat(count(given, index)?));
            let words = string(given, 0)?;
            if words.is_empty() {
                return Ok(text(words));
            }
            Ok(text(format!("{}{words}{}", blanks(1)?, blanks(2)?)))
        }),
        ("truncate", |given| {
            let words = string(given, 0)?;
            let end = words.char_indices().nth(count(given, 1)?).map_or(words.len(), |(end, _)| end);
            Ok(text(words[..end].to_owned()))
        }),
        ("label", |given| {
            let labels = argument(given, 0)?.field("__labels");
            Ok(labels
                .and_then(|map| map.field(&string(given, 1).ok()?))
                .cloned()
                .unwrap_or_else(|| text(String::new())))
        }),
    ]);
    functions.insert(FIELD.into(), Arc::new(move |given: &[Value]| field(given, strict)));
    functions
}

/// In the header of a table every function leaves its first argument alone.
pub(crate) fn header_functions() -> FuncMap {
    let same: Function = |given| argument(given, 0).cloned();
    let docker_s = ["json", "split", "join", "title", "lower", "upper", "pad", "truncate"];
    let mut all = functions(true);
    all.extend(table(&docker_s.map(|name| (name, same))));
    let label: Function = |given| {
        let key = string(given, 1)?;
        let last = key.rsplit('.').next().unwrap_or_default();
        Ok(text(last.replace(['-', '_'], " ")))
    };
    all.insert("label".into(), Arc::new(label));
    all
}

fn table(functions: &[(&str, Function)]) -> FuncMap {
    functions
        .iter()
        .map(|(name, function)| {
            let function = *function;
            let shared: gotmpl::ValueFunc = Arc::new(move |given: &[Value]| function(given));
            ((*name).into(), shared)
        })
        .collect()
}

/// `\0field VALUE PLACE NAME…`: the place is for the words of what is not there.
fn field(given: &[Value], strict: bool) -> Result<Value, TemplateError> {
    let names = given.get(2..).unwrap_or_default();
    names.iter().try_fold(argument(given, 0)?.clone(), |value, name| {
        values::field(&value, name.as_str().unwrap_or_default(), strict).map_err(|why| {
            let chain: String = names.iter().map(|name| format!(".{name}")).collect();
            let place = given.get(1).map(ToString::to_string).unwrap_or_default();
            TemplateError::Exec(format!("{place}: executing \"\" at <{chain}>: {why}"))
        })
    })
}

/// What can be ranged over and counted: Go's structs cannot.
fn items(given: &[Value]) -> Result<Value, TemplateError> {
    let value = argument(given, 0)?;
    match values::shape(value) {
        Some(shape) => Err(TemplateError::Exec(format!("range can't iterate over a {shape}"))),
        None => Ok(value.clone()),
    }
}

/// Lists and maps as Go prints them; all else as it is.
fn flat(value: &Value) -> Value {
    match value {
        Value::List(_) | Value::Map(_) => text(values::print(value)),
        plain => plain.clone(),
    }
}

fn index(given: &[Value]) -> Result<Value, TemplateError> {
    let keys = given.get(1..).unwrap_or_default();
    keys.iter().try_fold(argument(given, 0)?.clone(), |value, key| values::index(&value, key))
}

fn join(given: &[Value]) -> Result<Value, TemplateError> {
    let Value::List(items) = argument(given, 0)? else {
        return Err(TemplateError::Exec("join wants a list".to_owned()));
    };
    let parts: Vec<String> = items.iter().map(values::print).collect();
    Ok(text(parts.join(&string(given, 1)?)))
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

fn text(words: String) -> Value {
    Value::String(words.into())
}

fn argument(given: &[Value], index: usize) -> Result<&Value, TemplateError> {
    given.get(index).ok_or_else(|| TemplateError::Exec("wrong number of args".to_owned()))
}

fn string(given: &[Value], index: usize) -> Result<String, TemplateError> {
    argument(given, index).map(values::print)
}

fn count(given: &[Value], index: usize) -> Result<usize, TemplateError> {
    let number = argument(given, index)?.as_int().and_then(|number| usize::try_from(number).ok());
    number
        .filter(|number| *number <= 1 << 16)
        .ok_or_else(|| TemplateError::Exec("wants a small number".to_owned()))
}
