use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Resources {
    memory: i64,
    port: u16,
    init: Option<bool>,
    name: String,
    links: Vec<String>,
    labels: BTreeMap<String, String>,
    devices: Vec<Device>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Device {
    path: String,
}

fn told(value: Value) -> String {
    let place = Place { structure: "container.HostConfig", path: &["HostConfig"] };
    read::<Resources>(place, value).unwrap_err().to_string()
}

#[test]
fn what_is_of_another_type_is_told_in_gos_words() {
    for (value, words) in [
        (json!({"Memory": "5"}), "string into Go struct field HostConfig.HostConfig.Memory of type int64"),
        (
            json!({"memory": 5.5}),
            "number 5.5 into Go struct field HostConfig.HostConfig.Memory of type int64",
        ),
        (
            json!({"Port": 70000}),
            "number 70000 into Go struct field HostConfig.HostConfig.Port of type uint16",
        ),
        (json!({"Init": "x"}), "string into Go struct field HostConfig.HostConfig.Init of type bool"),
        (json!({"Name": 5}), "number into Go struct field HostConfig.HostConfig.Name of type string"),
        (json!({"Links": "x"}), "string into Go struct field HostConfig.HostConfig.Links of type []string"),
        (json!({"Links": [5]}), "number into Go struct field HostConfig.HostConfig.Links of type string"),
        (
            json!({"Labels": ["x"]}),
            "array into Go struct field HostConfig.HostConfig.Labels of type map[string]string",
        ),
        (
            json!({"Labels": {"a": 5}}),
            "number into Go struct field HostConfig.HostConfig.Labels of type string",
        ),
        (
            json!({"Devices": [{"Path": true}]}),
            "bool into Go struct field Device.HostConfig.Devices.Path of type string",
        ),
    ] {
        assert_eq!(told(value), format!("invalid JSON: json: cannot unmarshal {words}"));
    }
    let body = read::<Resources>(Place::body("container.CreateRequest"), json!([])).unwrap_err();
    let words = "invalid JSON: json: cannot unmarshal array into Go value of type container.CreateRequest";
    assert_eq!(body.to_string(), words);
}

#[test]
fn case_does_not_matter_and_null_says_nothing() {
    let value = json!({"MEMORY": 5, "init": null, "Links": null, "labels": {"a": null}, "Other": [7]});
    let read: Resources = read(Place::body("Resources"), value).unwrap();
    let labels = BTreeMap::from([("a".to_owned(), String::new())]);
    assert_eq!(read, Resources { memory: 5, labels, ..Resources::default() });
}

#[test]
fn what_is_no_json_is_told_in_gos_words() {
    for (text, words) in [
        ("", "invalid JSON: got EOF while reading request body"),
        (" \n", "invalid JSON: got EOF while reading request body"),
        ("{", "invalid JSON: unexpected EOF"),
        ("{\"a\": tr", "invalid JSON: unexpected EOF"),
        ("x", "invalid JSON: invalid character 'x' looking for beginning of value"),
        ("{a", "invalid JSON: invalid character 'a' looking for beginning of object key string"),
        ("{\"a\":1,}", "invalid JSON: invalid character '}' looking for beginning of object key string"),
        ("{\"a\" 1}", "invalid JSON: invalid character '1' after object key"),
        ("{\"a\":1 \"b\"}", "invalid JSON: invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid JSON: invalid character '2' after array element"),
        ("[1,]", "invalid JSON: invalid character ']' looking for beginning of value"),
        ("[tru3]", "invalid JSON: invalid character '3' in literal true (expecting 'e')"),
        ("[\"a\nb\"]", "invalid JSON: invalid character '\\n' in string literal"),
        ("[\"\\x\"]", "invalid JSON: invalid character 'x' in string escape code"),
        ("[-x]", "invalid JSON: invalid character 'x' in numeric literal"),
        ("[1.x]", "invalid JSON: invalid character 'x' after decimal point in numeric literal"),
        ("{}{}", "unexpected content after JSON"),
        ("{} x", "unexpected content after JSON"),
    ] {
        assert_eq!(document(text.as_bytes()).unwrap_err().to_string(), words, "{text}");
    }
    assert_eq!(document(b" {\"a\": [1]} \n").unwrap(), json!({"a": [1]}));
}
