//! Every field of a container's settings that the Engine API knows, set to something: it is honoured and
//! shown, told to be beyond this machine, or refused by name. Nothing is ignored in silence.

use anyhow::Result;
use dhow_conformance::engine;
use dhow_testkit::Engine;
use serde_json::{Value, json};

/// Docker's `HostConfig` and `Config` in API 1.56, each field set to something.
const FIELDS: &str = include_str!("../fields.json");

/// What became of a field.
enum Taken {
    Served,
    Refused,
    Wrong(String),
}

/// Creates a container, and says what is wrong with how the field was taken.
fn judged(engine: &Engine, body: &Value, parent: &str, field: &str, value: &Value) -> Result<Taken> {
    let answer = engine.connect()?.request("POST", "/v1.56/containers/create", body)?;
    let told = answer.json()?;
    let text = told.to_string();
    if answer.status != 201 {
        let words = [
            "not supported yet",
            "unknown or invalid runtime",
            "invalid isolation",
            "No such container",
            "is supported only for",
            "is not supported on linux",
        ];
        let named = words.iter().any(|words| text.contains(words));
        let refused =
            || if named { Taken::Refused } else { Taken::Wrong(format!("{} {text}", answer.status)) };
        return Ok(refused());
    }
    // What is told to be said elsewhere now is shown there.
    if text.to_lowercase().contains("discarded") || text.contains(&format!("{field} field is now deprecated"))
    {
        return Ok(Taken::Served);
    }
    let id = told["Id"].as_str().unwrap_or_default();
    let shown = engine.connect()?.request("GET", &format!("/v1.56/containers/{id}/json"), &Value::Null)?;
    let shown = &shown.json()?[parent][field];
    Ok(if shown == value { Taken::Served } else { Taken::Wrong(format!("{value} is shown as {shown}")) })
}

/// What is refused is in the list with its reason, and nothing else is there.
fn verdict(field: &str, taken: Taken, listed: bool) -> Option<String> {
    match taken {
        Taken::Wrong(why) => Some(format!("{field}: {why}")),
        Taken::Refused if !listed => Some(format!("{field} is refused, and not in the list of those")),
        Taken::Served if listed => Some(format!("{field} is served, and in the list of refused ones")),
        Taken::Served | Taken::Refused => None,
    }
}

#[test]
fn every_field_is_honoured_or_refused_by_name() -> Result<()> {
    let engine = engine()?;
    let fields: Value = serde_json::from_str(FIELDS)?;
    let mut wrong = Vec::new();
    for (field, value) in fields["HostConfig"].as_object().into_iter().flatten() {
        let body = json!({"Image": "busybox", "HostConfig": {field: value}});
        let taken = judged(&engine, &body, "HostConfig", field, value)?;
        wrong.extend(verdict(field, taken, fields["Refused"].get(field).is_some()));
    }
    for (field, value) in fields["Config"].as_object().into_iter().flatten() {
        let mut body = json!({"Image": "busybox"});
        body[field] = value.clone();
        let taken = judged(&engine, &body, "Config", field, value)?;
        wrong.extend(verdict(field, taken, fields["Refused"].get(field).is_some()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn members_of_a_mount_are_honoured_or_refused_by_name() -> Result<()> {
    let engine = engine()?;
    let bind =
        |options: Value| json!({"Type": "bind", "Source": "/tmp", "Target": "/x", "BindOptions": options});
    let volume =
        |options: Value| json!({"Type": "volume", "Source": "vol", "Target": "/x", "VolumeOptions": options});
    for (mount, status, words) in [
        (bind(json!({"Propagation": "rslave"})), 201, ""),
        (bind(json!({"NonRecursive": true})), 201, ""),
        (bind(json!({"IDMapping": {"x": 1}})), 400, "IDMapping.x is not supported yet"),
        (volume(json!({"NoCopy": true})), 201, ""),
        // Not 404, which would make clients pull an image that is there.
        (volume(json!({"DriverConfig": {"Name": "other"}})), 400, "error looking up volume plugin other"),
        (volume(json!({"Subpath": "../out"})), 400, "must be a relative path within the volume"),
        (json!({"Type": "image", "Source": "busybox", "Target": "/x"}), 201, ""),
        (
            json!({"Type": "image", "Source": "busybox", "Target": "/x", "ImageOptions": {"Subpath": "../out"}}),
            400,
            "must be a relative path within the volume",
        ),
        (json!({"Type": "cluster", "Source": "x", "Target": "/x"}), 400, "\"cluster\": mount type unknown"),
        (json!({"Type": "npipe", "Source": "x", "Target": "/x"}), 400, "\"npipe\": mount type unknown"),
        (json!({"Type": "nope", "Target": "/x"}), 400, "mount type unknown"),
        (
            json!({"type": "tmpfs", "target": "/x", "tmpfsoptions": {"options": [["nope"]]}}),
            400,
            "invalid tmpfs option",
        ),
    ] {
        let body = json!({"Image": "busybox", "HostConfig": {"Mounts": [mount]}});
        let answer = engine.connect()?.request("POST", "/v1.56/containers/create", &body)?;
        let text = answer.json()?.to_string().replace("\\\"", "\"");
        assert!(answer.status == status && text.contains(words), "{mount}: {} {text}", answer.status);
    }
    Ok(())
}
