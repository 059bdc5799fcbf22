//! Functions of Go's template language whose failures are told in its words: `index`, `slice`, `len`, `call`, and the
//! comparisons.

use std::cmp::Ordering;

use gotmpl::Value;

use super::{printing, values};

/// The functions of this file by name; each says what is wrong.
pub(super) type Builtin = fn(&[Value]) -> Result<Value, String>;

pub(super) const BUILTINS: &[(&str, Builtin)] = &[
    ("index", index),
    ("slice", slice),
    ("len", len),
    ("eq", |given| equal(given).map(Value::Bool)),
    ("ne", |given| equal(given).map(|same| Value::Bool(!same))),
    ("lt", |given| order(given).map(|order| Value::Bool(order == Ordering::Less))),
    ("le", |given| order(given).map(|order| Value::Bool(order != Ordering::Greater))),
    ("gt", |given| order(given).map(|order| Value::Bool(order == Ordering::Greater))),
    ("ge", |given| order(given).map(|order| Value::Bool(order != Ordering::Less))),
];

fn index(given: &[Value]) -> Result<Value, String> {
    let [of, keys @ ..] = given else { return Err("missing value".into()) };
    keys.iter().try_fold(of.clone(), |value, key| one(&value, key))
}

fn one(value: &Value, key: &Value) -> Result<Value, String> {
    match value {
        _ if values::is_missing(value) => Err("index of untyped nil".into()),
        Value::Nil => Err("index of nil pointer".into()),
        Value::String(text) => {
            let at = position(key, text.len())?;
            let byte = text.as_bytes().get(at).ok_or("reflect: string index out of range")?;
            Ok(Value::Int(i64::from(*byte)))
        }
        Value::List(items) => {
            let at = position(key, items.len())?;
            items.get(at).cloned().ok_or_else(|| "reflect: slice index out of range".to_owned())
        }
        Value::Map(_) if values::shape(value).is_none() => match key {
            Value::String(key) => Ok(values::entry(value, key)),
            Value::Nil => Err("value is nil; should be of type string".into()),
            other => Err(format!("value has type {}; should be string", values::type_in_go(other))),
        },
        other => Err(format!("can't index item of type {}", pointed(other))),
    }
}

/// The type of a value, or of what it points to.
fn pointed(value: &Value) -> String {
    values::type_in_go(value).trim_start_matches('*').to_owned()
}

/// Go lets the length itself pass, and finds out later.
fn position(key: &Value, length: usize) -> Result<usize, String> {
    match key {
        Value::Int(at) => usize::try_from(*at)
            .ok()
            .filter(|at| *at <= length)
            .ok_or_else(|| format!("index out of range: {at}")),
        key if values::is_missing(key) || matches!(key, Value::Nil) => {
            Err("cannot index slice/array with nil".into())
        }
        other => Err(format!("cannot index slice/array with type {}", values::type_in_go(other))),
    }
}

fn slice(given: &[Value]) -> Result<Value, String> {
    let [of, bounds @ ..] = given else { return Err("missing value".into()) };
    let length = match of {
        _ if values::is_missing(of) => return Err("slice of untyped nil".into()),
        _ if bounds.len() > 3 => return Err(format!("too many slice indexes: {}", bounds.len())),
        Value::String(_) if bounds.len() == 3 => return Err("cannot 3-index slice a string".into()),
        Value::String(text) => text.len(),
        Value::List(items) => items.len(),
        other => return Err(format!("can't slice item of type {}", values::type_in_go(other))),
    };
    let bounds: Vec<usize> = bounds.iter().map(|bound| position(bound, length)).collect::<Result<_, _>>()?;
    let (from, to) = (bounds.first().copied().unwrap_or(0), bounds.get(1).copied().unwrap_or(length));
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    match of {
        Value::String(text) => {
            Ok(Value::String(String::from_utf8_lossy(&text.as_bytes()[from..to]).into_owned().into()))
        }
        Value::List(items) => Ok(Value::List(items[from..to].into())),
        _ => Ok(of.clone()),
    }
}

fn len(given: &[Value]) -> Result<Value, String> {
    let count = match given.first() {
        None | Some(Value::Nil) => {
            return Err("reflect: call of reflect.Value.Type on zero Value".into());
        }
        Some(value) if values::is_missing(value) => {
            return Err("reflect: call of reflect.Value.Type on zero Value".into());
        }
        Some(Value::String(text)) => text.len(),
        Some(Value::List(items)) => items.len(),
        Some(map @ Value::Map(entries)) if values::shape(map).is_none() => entries.len(),
        Some(other) => return Err(format!("len of type {}", pointed(other))),
    };
    Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)))
}

/// Whether the first is one of the others.
fn equal(given: &[Value]) -> Result<bool, String> {
    let [first, others @ ..] = given else { return Err("missing argument for comparison".into()) };
    if others.is_empty() {
        return Err("missing argument for comparison".into());
    }
    comparable(first)?;
    for other in others {
        comparable(other)?;
        if let (Value::Map(first), Value::Map(other)) = (first, other) {
            match std::sync::Arc::ptr_eq(first, other) {
                true => return Ok(true),
                false => continue,
            }
        }
        let nothing = [first, other].map(|value| values::is_missing(value) || matches!(value, Value::Nil));
        match nothing {
            [true, true] => return Ok(true),
            [false, false] if compared(first, other)? == Ordering::Equal => return Ok(true),
            _ => {}
        }
    }
    Ok(false)
}

fn comparable(value: &Value) -> Result<(), String> {
    match value {
        // What is held by a pointer is the same or another.
        Value::Map(_) if values::shape(value).is_some_and(|of| of.starts_with('*')) => Ok(()),
        Value::List(_) | Value::Map(_) if !values::is_missing(value) => {
            let seen = printing::by_verb('s', value);
            Err(format!("non-comparable type {seen}: {}", values::type_in_go(value)))
        }
        _ => Ok(()),
    }
}

fn order(given: &[Value]) -> Result<Ordering, String> {
    match given {
        [Value::Bool(_), Value::Bool(_)] => Err("invalid type for comparison".into()),
        [Value::List(_) | Value::Map(_) | Value::Nil, _]
        | [_, Value::List(_) | Value::Map(_) | Value::Nil] => Err("invalid type for comparison".into()),
        [a, b] => compared(a, b),
        _ => Err("missing argument for comparison".into()),
    }
}

fn compared(a: &Value, b: &Value) -> Result<Ordering, String> {
    let order = match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Uint(b)) => Some(u64::try_from(*a).map_or(Ordering::Less, |a| a.cmp(b))),
        (Value::Uint(a), Value::Int(b)) => Some(u64::try_from(*b).map_or(Ordering::Greater, |b| a.cmp(&b))),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        _ => None,
    };
    order.ok_or_else(|| "incompatible types for comparison".to_owned())
}
