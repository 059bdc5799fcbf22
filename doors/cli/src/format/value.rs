//! JSON values on their way into a template and out of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Number, Value as Json, json};

/// A JSON value as a template's value.
pub(crate) fn to_template(json: &Json) -> gotmpl::Value {
    match json {
        Json::Null => gotmpl::Value::Nil,
        Json::Bool(value) => gotmpl::Value::Bool(*value),
        Json::Number(number) => number_to_template(number),
        Json::String(text) => gotmpl::Value::String(text.as_str().into()),
        Json::Array(items) => gotmpl::Value::List(items.iter().map(to_template).collect()),
        Json::Object(fields) => {
            let map: BTreeMap<Arc<str>, gotmpl::Value> =
                fields.iter().map(|(key, value)| (key.as_str().into(), to_template(value))).collect();
            gotmpl::Value::Map(Arc::new(map))
        }
    }
}

fn number_to_template(number: &Number) -> gotmpl::Value {
    match (number.as_i64(), number.as_u64()) {
        (Some(value), _) => gotmpl::Value::Int(value),
        (None, Some(value)) => gotmpl::Value::Uint(value),
        (None, None) => gotmpl::Value::Float(number.as_f64().unwrap_or(0.0)),
    }
}

/// A template's value as JSON, for the `json` function.
pub(crate) fn to_json(value: &gotmpl::Value) -> Json {
    match value {
        gotmpl::Value::Nil | gotmpl::Value::Function(_) => Json::Null,
        gotmpl::Value::Bool(value) => Json::Bool(*value),
        gotmpl::Value::Int(value) => Json::from(*value),
        gotmpl::Value::Uint(value) => Json::from(*value),
        gotmpl::Value::Float(value) => Number::from_f64(*value).map_or(Json::Null, Json::Number),
        gotmpl::Value::String(text) => Json::from(text.as_ref()),
        gotmpl::Value::List(items) => items.iter().map(to_json).collect(),
        gotmpl::Value::Map(fields) => {
            Json::Object(fields.iter().map(|(key, value)| (key.to_string(), to_json(value))).collect())
        }
    }
}

/// A JSON value as Go prints it in a template: texts bare, `map[a:1]`, `[a b]`, `<nil>`.
pub(crate) fn printed(document: &Json) -> String {
    match document {
        Json::String(text) => text.clone(),
        Json::Null => "<nil>".to_owned(),
        Json::Bool(_) | Json::Number(_) => document.to_string(),
        // A set is a map with empty structs, and those print as `{}`.
        Json::Object(set) if !set.is_empty() && set.values().all(|value| *value == json!({})) => {
            let mut keys: Vec<String> = set.keys().map(|key| format!("{key}:{{}}")).collect();
            keys.sort();
            format!("map[{}]", keys.join(" "))
        }
        Json::Array(_) | Json::Object(_) => to_template(document).to_string(),
    }
}
