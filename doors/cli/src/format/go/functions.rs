//! The functions that templates can call: docker's, and the hidden ones by which Go's types are kept.

use std::sync::Arc;

use gotmpl::{FuncMap, TemplateError, Value};

use super::builtins::BUILTINS;
use super::tree::{CALLED, FAIL, FIELD, FLAT, ITEMS, PRINT, TOLD, TYPED};
use super::values;

/// Docker's `.Label "key"` is a method of rows.
const LABEL: &str = "Label";
pub(crate) const LABEL_WITHOUT_KEY: &str = "wrong number of args for Label: want 1 got 0";
/// Blanks that one `pad` makes.
const MOST_BLANKS: i64 = 1 << 16;

type Function = fn(&[Value]) -> Result<Value, TemplateError>;

/// What a template runs with; in a `strict` run a map must have the keys that it is asked for.
pub(crate) fn functions(strict: bool) -> FuncMap {
    let mut functions = table(&[
        (PRINT, |given| Ok(text(values::print(argument(given, 0)?)))),
        (FLAT, |given| Ok(flat(argument(given, 0)?))),
        (ITEMS, items),
        (TYPED, typed),
        (FAIL, |given| Err(TemplateError::Exec(string(given, 0)?))),
        ("\0call", |given| {
            let why = match argument(given, 2)? {
                Value::Nil => "call of nil".to_owned(),
                other => format!("non-function {} of type {}", string(given, 1)?, values::type_in_go(other)),
            };
            Err(calling("call", given, &why))
        }),
        ("json", |given| Ok(text(values::to_json(argument(given, 0)?)))),
        ("split", |given| {
            let (words, separator) = (string(given, 0)?, string(given, 1)?);
            Ok(Value::List(words.split(&*separator).map(|part| text(part.to_owned())).collect()))
        }),
        ("join", join),
        ("title", |given| Ok(text(title(&string(given, 0)?)))),
        ("lower", |given| Ok(text(string(given, 0)?.to_lowercase()))),
        ("upper", |given| Ok(text(string(given, 0)?.to_uppercase()))),
        ("\0pad", |given| pad(given, &given[1..])),
        ("\0truncate", |given| truncate(given, &given[1..])),
        // For who asks whether there are such.
        ("pad", |given| pad(given, given)),
        ("truncate", |given| truncate(given, given)),
        ("label", |given| {
            let row = argument(given, 0)?;
            let has_labels = row.field("__labels").is_some() || values::field(row, "Labels", true).is_ok();
            if !values::is_row(row) || !has_labels {
                return Err(at(given, 2, &uncallable(row, LABEL, true, "1")));
            }
            let labels = argument(given, 0)?.field("__labels");
            Ok(labels
                .and_then(|map| map.field(&string(given, 1).ok()?))
                .cloned()
                .unwrap_or_else(|| text(String::new())))
        }),
    ]);
    for (name, builtin) in BUILTINS {
        let told = move |given: &[Value]| {
            builtin(given.get(1..).unwrap_or_default()).map_err(|why| calling(name, given, &why))
        };
        functions.insert(format!("{TOLD}{name}"), Arc::new(told));
    }
    functions.insert(FIELD.into(), Arc::new(move |given: &[Value]| field(given, strict)));
    functions.insert(CALLED.into(), Arc::new(move |given: &[Value]| called(given, strict)));
    functions
}

/// In the header of a table every function leaves its first argument alone.
pub(crate) fn header_functions() -> FuncMap {
    let same: Function = |given| argument(given, 0).cloned();
    let docker_s = ["json", "split", "join", "title", "lower", "upper", "pad", "truncate"];
    let mut all = functions(true);
    all.extend(table(&docker_s.map(|name| (name, same))));
    // They are told where they are called, before what they are given.
    let same_told: Function = |given| argument(given, 1).cloned();
    all.extend(table(&["\0pad", "\0truncate"].map(|name| (name, same_told))));
    all.extend(table(&[(TYPED, |given| argument(given, 2).cloned())]));
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

/// `\0field VALUE WHERE NAME…`
fn field(given: &[Value], strict: bool) -> Result<Value, TemplateError> {
    walk(argument(given, 0)?, given.get(2..).unwrap_or_default(), strict).map_err(|why| at(given, 1, &why))
}

fn walk(value: &Value, names: &[Value], strict: bool) -> Result<Value, String> {
    names.iter().try_fold(value.clone(), |value, name| {
        let name = name.as_str().unwrap_or_default();
        if name == LABEL && values::is_row(&value) && values::field(&value, "Labels", strict).is_ok() {
            return Err(LABEL_WITHOUT_KEY.to_owned());
        }
        values::field(&value, name, strict)
    })
}

/// `\0called VALUE WHERE NAMES COUNT`: rows have methods, documents have fields.
fn called(given: &[Value], strict: bool) -> Result<Value, TemplateError> {
    let names = string(given, 2)?;
    let (before, last) = names.rsplit_once('.').unwrap_or(("", &names));
    let before = before.split('.').filter(|name| !name.is_empty());
    let before: Vec<Value> = before.map(|name| text(name.to_owned())).collect();
    let owner = walk(argument(given, 0)?, &before, strict).map_err(|why| at(given, 1, &why))?;
    let why = uncallable(&owner, last, strict, &string(given, 3)?);
    Err(at(given, 1, &why))
}

/// Why a field cannot be given so many arguments: a row's are methods without any, a struct's and a map's are none.
fn uncallable(owner: &Value, name: &str, strict: bool, count: &str) -> String {
    match (values::is_row(owner), values::shape(owner), values::field(owner, name, strict)) {
        (true, _, Ok(_)) => format!("wrong number of args for {name}: want 0 got {count}"),
        (false, Some(_), Ok(_)) => format!("{name} has arguments but cannot be invoked as function"),
        (_, Some(_), Err(why)) => why,
        _ => format!("{name} is not a method but has arguments"),
    }
}

/// `\0typed TYPE WHERE VALUE`
fn typed(given: &[Value]) -> Result<Value, TemplateError> {
    let value = argument(given, 2)?;
    let wanted = string(given, 0)?;
    let fits = match value {
        Value::String(_) => wanted == "string",
        Value::Int(_) | Value::Uint(_) => wanted == "int",
        Value::List(_) => wanted == "[]string" && !values::is_missing(value),
        _ => false,
    };
    // What a map does not have is nothing of its type.
    if fits || values::is_missing(value) {
        return Ok(if values::is_missing(value) && wanted == "string" {
            text(String::new())
        } else {
            value.clone()
        });
    }
    let found = values::type_in_go(value);
    Err(at(given, 1, &format!("wrong type for value; expected {wanted}; got {found}")))
}

/// An error behind where it is, which is in this argument.
fn at(given: &[Value], place: usize, why: &str) -> TemplateError {
    let place = given.get(place).map(ToString::to_string).unwrap_or_default();
    TemplateError::Exec(format!("{place}: {why}"))
}

fn calling(name: &str, given: &[Value], why: &str) -> TemplateError {
    at(given, 0, &format!("error calling {name}: {why}"))
}

/// `\0items WHERE VALUE`: what can be ranged over, which Go's structs, texts and truths cannot.
fn items(given: &[Value]) -> Result<Value, TemplateError> {
    let value = argument(given, 1)?;
    match value {
        Value::String(_) | Value::Bool(_) | Value::Float(_) => {
            Err(at(given, 0, &format!("range can't iterate over {}", values::print(value))))
        }
        _ if values::shape(value).is_some() => {
            Err(at(given, 0, &format!("range can't iterate over {}", values::print(value))))
        }
        _ => Ok(value.clone()),
    }
}

fn pad(told: &[Value], given: &[Value]) -> Result<Value, TemplateError> {
    let words = string(given, 0)?;
    if words.is_empty() {
        return Ok(text(words));
    }
    let blanks = |index| match argument(given, index)?.as_int() {
        Some(number) if number < 0 => Err(calling("pad", told, "strings: negative Repeat count")),
        Some(number) if number <= MOST_BLANKS => Ok(" ".repeat(usize::try_from(number).unwrap_or_default())),
        _ => Err(calling("pad", told, "wants a small number")),
    };
    Ok(text(format!("{}{words}{}", blanks(1)?, blanks(2)?)))
}

fn truncate(told: &[Value], given: &[Value]) -> Result<Value, TemplateError> {
    let words = string(given, 0)?;
    let length = argument(given, 1)?.as_int().unwrap_or_default();
    let Ok(length) = usize::try_from(length) else {
        let why = format!("runtime error: slice bounds out of range [:{length}]");
        return Err(calling("truncate", told, &why));
    };
    let end = words.char_indices().nth(length).map_or(words.len(), |(end, _)| end);
    Ok(text(words[..end].to_owned()))
}

/// Lists and maps as Go prints them; all else as it is.
fn flat(value: &Value) -> Value {
    match value {
        Value::List(_) | Value::Map(_) => text(values::print(value)),
        plain => plain.clone(),
    }
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
