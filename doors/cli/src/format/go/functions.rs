//! The functions that templates can call: docker's, and the hidden ones by which Go's types are kept.

use std::sync::Arc;

use gotmpl::{FuncMap, TemplateError, Value};

use super::builtins::BUILTINS;
use super::printing;
use super::tree::{CALLABLE, FAIL, FIELD, ITEMS, LABEL, NOTHING, PRINT, TOLD, TYPED, WITHIN};
use super::values::{self, LABELS};

/// Docker's `.Label "key"` is a method of rows.
const METHOD: &str = "Label";
pub(crate) const LABEL_WITHOUT_KEY: &str = "wrong number of args for Label: want 1 got 0";
/// Blanks that one `pad` makes.
const MOST_BLANKS: i64 = 1 << 16;

type Function = fn(&[Value]) -> Result<Value, TemplateError>;

/// What a template runs with; in a `strict` run a map must have the keys that it is asked for.
pub(crate) fn functions(strict: bool) -> FuncMap {
    let mut functions = table(&[
        (PRINT, |given| Ok(text(values::print(argument(given, 0)?)))),
        (NOTHING, |_| Ok(values::no_value())),
        (LABEL, label),
        ("\0sprint", |given| Ok(text(printing::print(given)))),
        ("\0shown", |given| Ok(text(printing::shown(given)))),
        ("\0sprintln", |given| Ok(text(printing::println(given)))),
        ("\0sprintf", |given| {
            let rest = given.get(1..).unwrap_or_default();
            Ok(text(printing::printf(&string(given, 0)?, rest)))
        }),
        (ITEMS, items),
        (TYPED, typed),
        (FAIL, |given| Err(TemplateError::Exec(string(given, 0)?))),
        ("\0call", |given| {
            let why = match argument(given, 2)? {
                value if values::is_missing(value) => "call of nil".to_owned(),
                Value::Nil => "call of nil".to_owned(),
                other => format!("non-function {} of type {}", string(given, 1)?, values::type_in_go(other)),
            };
            Err(calling("call", given, &why))
        }),
        ("json", |given| Ok(text(values::to_json(argument(given, 0)?)))),
        ("split", |given| Ok(Value::List(split(&string(given, 0)?, &string(given, 1)?).into()))),
        ("join", join),
        ("title", |given| Ok(text(title(&string(given, 0)?)))),
        ("lower", |given| {
            Ok(text(cased(&string(given, 0)?, |letter| single(letter, letter.to_lowercase()))))
        }),
        ("upper", |given| {
            Ok(text(cased(&string(given, 0)?, |letter| single(letter, letter.to_uppercase()))))
        }),
        ("\0pad", |given| pad(given, &given[1..])),
        ("\0truncate", |given| truncate(given, &given[1..])),
        // For who asks whether there are such.
        ("pad", |given| pad(given, given)),
        ("truncate", |given| truncate(given, given)),
    ]);
    for (name, builtin) in BUILTINS {
        let told = move |given: &[Value]| {
            builtin(given.get(1..).unwrap_or_default()).map_err(|why| calling(name, given, &why))
        };
        functions.insert(format!("{TOLD}{name}"), Arc::new(told));
    }
    functions.insert(FIELD.into(), Arc::new(move |given: &[Value]| field(given, strict, false)));
    functions.insert(WITHIN.into(), Arc::new(move |given: &[Value]| field(given, strict, true)));
    functions.insert(CALLABLE.into(), Arc::new(move |given: &[Value]| callable(given, strict)));
    functions
}

/// In the header of a table functions leave their first argument alone, and nothing is wrong with a heading.
pub(crate) fn header_functions() -> FuncMap {
    let same: Function = |given| argument(given, 0).cloned();
    let docker_s = ["json", "split", "join", "title", "lower", "upper", "truncate"];
    let mut all = functions(false);
    all.extend(table(&docker_s.map(|name| (name, same))));
    all.extend(table(&[
        // It is told where it is called, before what it is given.
        ("\0truncate", |given| argument(given, 1).cloned()),
        (TYPED, |given| argument(given, 2).cloned()),
        (CALLABLE, |given| argument(given, 0).cloned()),
        (LABEL, |given| {
            let key = string(given, 2)?;
            let last = key.rsplit('.').next().unwrap_or_default();
            Ok(text(last.replace(['-', '_'], " ")))
        }),
    ]));
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
fn field(given: &[Value], strict: bool, within: bool) -> Result<Value, TemplateError> {
    let (value, names) = (argument(given, 0)?, given.get(2..).unwrap_or_default());
    // What is wrong with a plain value is told by its type, with what is in a document that is read as it is by none.
    let plain = !within && !matches!(value, Value::Map(_) | Value::Nil) && !values::is_missing(value);
    let Some(name) = names.first().filter(|_| strict && plain) else {
        return walk(value, names, strict).map_err(|why| at(given, 1, &why));
    };
    let (name, of) = (name.as_str().unwrap_or_default(), values::type_in_go(value));
    Err(at(given, 1, &format!("can't evaluate field {name} in type {of}")))
}

fn walk(value: &Value, names: &[Value], strict: bool) -> Result<Value, String> {
    names.iter().try_fold(value.clone(), |value, name| {
        let name = name.as_str().unwrap_or_default();
        if name == METHOD && has_labels(&value) {
            return Err(LABEL_WITHOUT_KEY.to_owned());
        }
        values::field(&value, name, strict)
    })
}

fn has_labels(row: &Value) -> bool {
    values::is_row(row) && (row.field(LABELS).is_some() || values::field(row, "Labels", true).is_ok())
}

/// `\0callable VALUE WHERE NAMES COUNT MISFIT`: whose `Label` is called; nothing else can be.
fn callable(given: &[Value], strict: bool) -> Result<Value, TemplateError> {
    let (names, count, misfit) = (string(given, 2)?, string(given, 3)?, string(given, 4)?);
    let (before, last) = names.rsplit_once('.').unwrap_or(("", &names));
    let before = before.split('.').filter(|name| !name.is_empty());
    let before: Vec<Value> = before.map(|name| text(name.to_owned())).collect();
    let owner = walk(argument(given, 0)?, &before, strict).map_err(|why| at(given, 1, &why))?;
    match last == METHOD && has_labels(&owner) {
        false => Err(at(given, 1, &uncallable(&owner, last, strict, &count))),
        true if count != "1" => {
            Err(at(given, 1, &format!("wrong number of args for {METHOD}: want 1 got {count}")))
        }
        true if !misfit.is_empty() => Err(TemplateError::Exec(misfit)),
        true => Ok(owner),
    }
}

/// `\0label ROW WHERE KEY`
fn label(given: &[Value]) -> Result<Value, TemplateError> {
    let key = typed(&[text("string".to_owned()), argument(given, 1)?.clone(), argument(given, 2)?.clone()])?;
    let labels = argument(given, 0)?.field(LABELS);
    let found = labels.and_then(|labels| labels.field(key.as_str()?));
    Ok(found.cloned().unwrap_or_else(|| text(String::new())))
}

/// Why a field cannot be given so many arguments: a row's are methods without any, a struct's and a map's are none.
fn uncallable(owner: &Value, name: &str, strict: bool, count: &str) -> String {
    match (values::is_row(owner), values::shape(owner), values::field(owner, name, strict)) {
        (true, _, Ok(_)) => format!("wrong number of args for {name}: want 0 got {count}"),
        (false, Some(_), Ok(_)) => format!("{name} has arguments but cannot be invoked as function"),
        (_, Some(_), Err(why)) => why,
        _ if matches!(owner, Value::Map(_)) => format!("{name} is not a method but has arguments"),
        (_, _, Err(why)) => why,
        _ => format!("can't evaluate field {name} in type {}", values::type_in_go(owner)),
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

/// `\0items WHERE VARIABLES VALUE`: what can be ranged over, which Go's structs, texts and truths cannot.
fn items(given: &[Value]) -> Result<Value, TemplateError> {
    let value = argument(given, 2)?;
    match value {
        Value::Int(_) | Value::Uint(_) if argument(given, 1)?.as_int() > Some(1) => Err(at(
            given,
            0,
            &format!("can't use {} to iterate over more than one variable", values::print(value)),
        )),
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
    // Go cuts between bytes; what is left of a character is lost here.
    let kept = &words.as_bytes()[..length.min(words.len())];
    Ok(text(String::from_utf8_lossy(kept).into_owned()))
}

/// Between the characters where there is nothing to split at.
fn split(words: &str, separator: &str) -> Vec<Value> {
    if separator.is_empty() {
        return words.chars().map(|letter| text(letter.to_string())).collect();
    }
    words.split(separator).map(|part| text(part.to_owned())).collect()
}

/// Letters one by one, as Go does it: none becomes two.
fn cased(words: &str, change: impl Fn(char) -> char) -> String {
    words.chars().map(change).collect()
}

fn single(letter: char, mut changed: impl Iterator<Item = char>) -> char {
    match (changed.next(), changed.next()) {
        (Some(changed), None) => changed,
        _ => letter,
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
        begins = match character.is_ascii() {
            true => !character.is_ascii_alphanumeric() && character != '_',
            false => character.is_whitespace(),
        };
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
