//! Which JSON values say nothing: what Go's decoder leaves at its zero value.

use serde_json::{Map, Value};

/// Whether a value is the zero of its type, all the way down.
pub(crate) fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_default),
    }
}

/// The path of the first value below `value` that says something: `EndpointsConfig.web.Aliases`.
pub(crate) fn first_set(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().find_map(|(key, value)| first_set(&format!("{name}.{key}"), value))
        }
        value => (!is_default(value)).then(|| name.to_owned()),
    }
}

/// Takes away members that are null: for Go's decoder they are as good as absent.
pub(crate) fn drop_nulls(members: &mut Map<String, Value>) {
    members.retain(|_, value| !value.is_null());
    for value in members.values_mut() {
        drop_nulls_below(value);
    }
}

fn drop_nulls_below(value: &mut Value) {
    match value {
        Value::Object(members) => drop_nulls(members),
        Value::Array(items) => items.iter_mut().for_each(drop_nulls_below),
        _ => {}
    }
}

/// Gives members their canonical spelling: Go's decoder does not mind upper and lower case.
pub(crate) fn spell(members: &mut Map<String, Value>, names: &[&str]) {
    let wrong: Vec<String> = members
        .keys()
        .filter(|key| !names.contains(&key.as_str()) && canonical(key, names).is_some())
        .cloned()
        .collect();
    for key in wrong {
        if let (Some(name), Some(value)) = (canonical(&key, names), members.remove(&key)) {
            members.entry(name).or_insert(value);
        }
    }
}

fn canonical<'a>(key: &str, names: &[&'a str]) -> Option<&'a str> {
    names.iter().find(|name| name.eq_ignore_ascii_case(key)).copied()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_thing_said_is_found_and_named() {
        let value = json!({"EndpointsConfig": {"web": {"Links": null, "Aliases": ["a"], "IPAMConfig": {}}}});
        assert_eq!(first_set("N", &value).as_deref(), Some("N.EndpointsConfig.web.Aliases"));
        assert_eq!(first_set("N", &json!({"EndpointsConfig": {"web": {"GwPriority": 0}}})), None);
    }

    #[test]
    fn names_are_spelt_right_and_nulls_are_nothing() {
        let mut value = json!({"image": "a", "Cmd": null, "extra": {"x": null, "y": 1}});
        let members = value.as_object_mut().unwrap();
        spell(members, &["Image", "Cmd"]);
        drop_nulls(members);
        assert_eq!(value, json!({"Image": "a", "extra": {"y": 1}}));
    }
}
