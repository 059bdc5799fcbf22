//! Parameters of operations that the command lines seldom send, and what each of them changes.

use anyhow::{Context, Result};
use dhow_conformance::engine;
use dhow_testkit::Engine;
use dhow_testkit::http::encoded;
use serde_json::{Value, json};

fn ask(engine: &Engine, method: &str, path: &str) -> Result<(u16, Value)> {
    let answer = engine.connect()?.request(method, path, &Value::Null)?;
    Ok((answer.status, answer.json().unwrap_or(Value::Null)))
}

fn create(engine: &Engine, name: &str, body: &Value) -> Result<()> {
    let made = engine.connect()?.request("POST", &format!("/containers/create?name={name}"), body)?;
    anyhow::ensure!(made.status == 201, "{}", String::from_utf8_lossy(&made.body));
    Ok(())
}

#[test]
fn lists_are_cut_and_sizes_shown_where_that_is_asked_for() -> Result<()> {
    let engine = engine()?;
    for name in ["one", "two", "three"] {
        create(&engine, name, &json!({"Image": "busybox"}))?;
    }
    let names = |path: &str| -> Result<Vec<Value>> {
        let (_, list) = ask(&engine, "GET", path)?;
        Ok(list.as_array().context("no list")?.iter().map(|one| one["Names"][0].clone()).collect())
    };
    assert_eq!(names("/containers/json?limit=2")?, ["/three", "/two"], "the newest, whether they run or not");
    assert_eq!(names("/containers/json?limit=0")?.len(), 0);
    assert_eq!(ask(&engine, "GET", "/containers/json?limit=many")?.0, 400);
    let (_, sized) = ask(&engine, "GET", "/containers/json?all=1&size=1")?;
    assert!(sized[0]["SizeRootFs"].as_u64() > Some(1 << 20), "{}", sized[0]);
    let (_, inspected) = ask(&engine, "GET", "/containers/one/json?size=true")?;
    assert!(inspected["SizeRootFs"].is_u64() && inspected["SizeRw"].is_u64(), "{inspected}");
    let (_, plain) = ask(&engine, "GET", "/containers/one/json")?;
    assert_eq!((&plain["SizeRootFs"], &plain["SizeRw"]), (&Value::Null, &Value::Null));
    let (_, images) = ask(&engine, "GET", "/images/json?shared-size=1&digests=1")?;
    assert_eq!(images[0]["SharedSize"], 0, "one image shares with nobody");
    assert_eq!(ask(&engine, "GET", "/images/json")?.1[0]["SharedSize"], -1);
    Ok(())
}

/// Those that an image came with: one that was made here has none.
#[test]
fn manifests_of_images_are_shown_to_who_asks_for_them() -> Result<()> {
    let engine = engine()?;
    let (_, made) = ask(&engine, "GET", "/images/json?manifests=1")?;
    assert_eq!(made[0]["Manifests"], Value::Null);
    let tar = engine.scratch().join("image.tar").display().to_string();
    engine.docker(&["save", "-o", &tar, "busybox"]).ok();
    engine.docker(&["rmi", "busybox"]).ok();
    engine.docker(&["load", "-i", &tar]).ok();
    create(&engine, "one", &json!({"Image": "busybox"}))?;
    let (_, one) = ask(&engine, "GET", "/containers/one/json")?;
    let (_, plain) = ask(&engine, "GET", "/images/json")?;
    assert_eq!(plain[0]["Manifests"], Value::Null);
    for path in ["/images/json?manifests=1", "/images/json?identity=1", "/images/busybox/json?manifests=1"] {
        let (_, shown) = ask(&engine, "GET", path)?;
        let image = if shown.is_array() { &shown[0] } else { &shown };
        let manifest = &image["Manifests"][0];
        assert_eq!((&manifest["Kind"], &manifest["Available"]), (&json!("image"), &json!(true)), "{path}");
        assert_eq!(manifest["ID"], manifest["Descriptor"]["digest"]);
        let (size, data) = (&manifest["Size"], &manifest["ImageData"]);
        assert_eq!(data["Platform"], json!({"architecture": "amd64", "os": "linux"}));
        assert_eq!((&data["Size"]["Unpacked"], &data["Containers"]), (&image["Size"], &json!([one["Id"]])));
        let sum = size["Content"].as_u64().zip(data["Size"]["Unpacked"].as_u64()).map(|(a, b)| a + b);
        assert_eq!(size["Total"].as_u64(), sum);
    }
    assert_eq!(ask(&engine, "GET", "/v1.46/images/json?manifests=1")?.1[0]["Manifests"], Value::Null);
    let answer = ask(&engine, "GET", "/images/busybox/json?manifests=1&platform=%7B%7D")?;
    assert_eq!(answer.0, 400, "{}", answer.1);
    Ok(())
}

#[test]
fn signals_are_chosen_by_who_asks() -> Result<()> {
    let engine = engine()?;
    let script = "trap 'exit 10' USR1; trap 'exit 12' USR2; echo up; while :; do sleep 0.05; done";
    create(&engine, "one", &json!({"Image": "busybox", "Cmd": ["sh", "-c", script]}))?;
    let exit =
        || -> Result<Value> { Ok(ask(&engine, "POST", "/containers/one/wait")?.1["StatusCode"].clone()) };
    let start = || -> Result<()> {
        assert_eq!(ask(&engine, "POST", "/containers/one/start?detachKeys=ctrl-a")?.0, 204);
        let said = || engine.docker(&["logs", "--tail", "1", "one"]).stdout;
        let up = (0..400).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            said().contains("up")
        });
        assert!(up, "it does not begin");
        Ok(())
    };
    start()?;
    assert_eq!(ask(&engine, "POST", "/containers/one/stop?signal=SIGUSR1&t=20")?.0, 204);
    assert_eq!(exit()?, 10);
    assert_eq!(ask(&engine, "POST", "/containers/one/restart?signal=SIGUSR2&t=20")?.0, 204);
    assert_eq!(ask(&engine, "POST", "/containers/one/kill?signal=KILL")?.0, 204);
    assert_eq!(exit()?, 137);
    assert_eq!(ask(&engine, "POST", "/containers/one/kill?signal=SIGNOTHING")?.0, 400);
    Ok(())
}

#[test]
fn terminals_have_the_size_that_is_asked_for() -> Result<()> {
    let engine = engine()?;
    let body = json!({"Image": "busybox", "Tty": true, "Cmd": ["sleep", "1000"]});
    create(&engine, "one", &body)?;
    assert_eq!(ask(&engine, "POST", "/containers/one/start")?.0, 204);
    assert_eq!(ask(&engine, "POST", "/containers/one/resize?h=33&w=77")?.0, 200);
    assert_eq!(engine.docker(&["exec", "one", "sh", "-c", "stty size < /proc/1/fd/0"]).ok(), "33 77");
    assert_eq!(ask(&engine, "POST", "/containers/one/resize?h=x&w=77")?.0, 400);
    let exec = json!({"Cmd": ["sleep", "1000"], "Tty": true, "AttachStdout": true});
    let made = engine.connect()?.request("POST", "/containers/one/exec", &exec)?.json()?;
    let id = made["Id"].as_str().context("no id")?;
    let started = engine.connect()?.request(
        "POST",
        &format!("/exec/{id}/start"),
        &json!({"Detach": true, "Tty": true}),
    )?;
    assert_eq!(started.status, 200);
    assert_eq!(ask(&engine, "POST", &format!("/exec/{id}/resize?h=20&w=40"))?.0, 200);
    Ok(())
}

#[test]
fn an_image_of_another_platform_is_not_found() -> Result<()> {
    let engine = engine()?;
    let there = encoded(r#"{"os":"linux","architecture":"amd64"}"#);
    let other = encoded(r#"{"os":"linux","architecture":"s390x"}"#);
    for path in ["/images/busybox/json", "/images/busybox/history", "/images/busybox/get", "/images/get"] {
        let with = |platform: &str| format!("{path}?names=busybox&platform={platform}");
        assert_eq!(ask(&engine, "GET", &with(&there))?.0, 200, "{path}");
        let (status, told) = ask(&engine, "GET", &with(&other))?;
        assert_eq!(status, 404, "{path}");
        assert!(
            told["message"].as_str().unwrap_or_default().contains("does not provide the specified platform")
        );
        assert_eq!(
            ask(&engine, "GET", &format!("/v1.44{}", with(&other)))?.0,
            200,
            "{path}: it meant nothing then"
        );
    }
    let body = json!({"Image": "busybox"});
    let mut connection = engine.connect()?;
    for (platform, status) in [("linux/amd64", 201), ("linux/s390x", 404)] {
        let path = format!("/containers/create?platform={platform}");
        assert_eq!(connection.request("POST", &path, &body)?.status, status, "{platform}");
    }
    let tar = engine.connect()?.request("GET", "/images/busybox/get", &Value::Null)?.body;
    let path = format!("/images/load?quiet=1&platform={there}");
    assert_eq!(engine.connect()?.request_bytes("POST", &path, "application/x-tar", &tar)?.status, 200);
    Ok(())
}

#[test]
fn images_are_made_and_removed_as_asked() -> Result<()> {
    let engine = engine()?;
    create(&engine, "one", &json!({"Image": "busybox"}))?;
    let path = "/commit?container=one&repo=made&tag=1&comment=why&author=who&pause=0&changes=ENV%20A%3Db";
    assert_eq!(ask(&engine, "POST", path)?.0, 201);
    let (_, image) = ask(&engine, "GET", "/images/made:1/json")?;
    assert_eq!((&image["Comment"], &image["Author"]), (&json!("why"), &json!("who")));
    assert!(image["Config"]["Env"].as_array().is_some_and(|env| env.contains(&json!("A=b"))), "{image}");
    let platform =
        |architecture: &str| encoded(&format!(r#"{{"os":"linux","architecture":"{architecture}"}}"#));
    let remove = |platform: String| format!("/images/made:1?noprune=1&force=1&platforms={platform}");
    assert_eq!(ask(&engine, "DELETE", &remove(platform("s390x")))?.0, 404, "it is of another platform");
    assert_eq!(ask(&engine, "DELETE", &remove(platform("amd64")))?.0, 200);
    let root = engine.connect()?.request("GET", "/containers/one/export", &Value::Null)?;
    assert_eq!(root.status, 200);
    let path = "/images/create?fromSrc=-&repo=flat&message=told&platform=linux/arm64";
    let made = engine.connect()?.request_bytes("POST", path, "application/x-tar", &root.body)?;
    assert_eq!(made.status, 200);
    let (_, image) = ask(&engine, "GET", "/images/flat/json")?;
    assert_eq!((&image["Comment"], &image["Architecture"]), (&json!("told"), &json!("arm64")));
    Ok(())
}

#[test]
fn what_was_said_before_comes_with_an_attachment() -> Result<()> {
    let engine = engine()?;
    create(&engine, "one", &json!({"Image": "busybox", "Cmd": ["echo", "said before"]}))?;
    assert_eq!(ask(&engine, "POST", "/containers/one/start")?.0, 204);
    assert_eq!(ask(&engine, "POST", "/containers/one/wait")?.0, 200);
    let path = "/containers/one/attach?logs=1&stdout=1&detachKeys=ctrl-x";
    let text = engine.connect()?.request("POST", path, &Value::Null)?.body;
    assert!(String::from_utf8_lossy(&text).contains("said before"), "{}", String::from_utf8_lossy(&text));
    assert_eq!(ask(&engine, "POST", "/containers/one/attach?stdout=1&detachKeys=ctrl-?")?.0, 400);
    Ok(())
}

#[test]
fn volumes_without_a_name_go_with_their_container_where_that_is_asked_for() -> Result<()> {
    let engine = engine()?;
    let volumes = || -> Result<usize> {
        Ok(ask(&engine, "GET", "/volumes")?.1["Volumes"].as_array().context("no list")?.len())
    };
    for (query, left) in [("", 1), ("?v=1", 1)] {
        create(&engine, "one", &json!({"Image": "busybox", "Volumes": {"/x": {}}}))?;
        assert_eq!(ask(&engine, "DELETE", &format!("/containers/one{query}"))?.0, 204);
        assert_eq!(volumes()?, left, "{query}");
    }
    Ok(())
}

#[test]
fn volumes_and_networks_are_looked_at() -> Result<()> {
    let engine = engine()?;
    engine.docker(&["volume", "create", "--label", "a=b", "data"]).ok();
    let (_, volume) = ask(&engine, "GET", "/volumes/data")?;
    assert_eq!((&volume["Name"], &volume["Labels"]), (&json!("data"), &json!({"a": "b"})));
    // What is there stays as it is, whatever is asked of it.
    let again = json!({"Name": "data", "Labels": {"other": "x"}, "DriverOpts": {"nope": "x"}});
    let answer = engine.connect()?.request("POST", "/volumes/create", &again)?;
    assert_eq!((answer.status, &answer.json()?["Labels"]), (201, &json!({"a": "b"})));
    assert_eq!(ask(&engine, "DELETE", "/volumes/nobody")?.0, 404);
    assert_eq!(ask(&engine, "DELETE", "/volumes/nobody?force=1")?.0, 204);
    let (status, network) = ask(&engine, "GET", "/networks/host?verbose=1&scope=local")?;
    assert_eq!((status, &network["Driver"]), (200, &json!("host")));
    Ok(())
}
