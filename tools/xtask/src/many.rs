//! `cargo xtask many`: how long the engine takes when it knows of thousands of containers and images.
//!
//! They are made through the API, once; then each question is asked many times and the median printed. No time is
//! demanded: machines differ. What counts is that nothing grows faster than what is known.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use dhow_testkit::Engine;
use dhow_testkit::http::Connection;
use serde_json::{Value, json};

use crate::bench;

const ROUNDS: usize = 15;

/// Makes them, and asks.
pub(crate) fn run(containers: usize, images: usize) -> Result<()> {
    let binary = bench::build()?;
    let mut engine = Engine::start_binary(&binary, &[])?;
    engine.import_busybox()?;
    println!("{:<46}{:>10}{:>10}   (ms)", "", "least", "median");
    ask(&mut engine, "with nothing")?;
    let start = Instant::now();
    make(&engine, containers, images)?;
    println!("made {containers} containers and {images} images in {:.1} s", start.elapsed().as_secs_f64());
    ask(&mut engine, "with all")
}

fn make(engine: &Engine, containers: usize, images: usize) -> Result<()> {
    let mut connection = engine.connect()?;
    let source =
        call(&mut connection, "POST", "/containers/create?name=source", &json!({"Image": "busybox"}))?;
    let source = source["Id"].as_str().context("an id")?.to_owned();
    for number in 0..images {
        let path =
            format!("/commit?container={source}&repo=many&tag={number}&changes=LABEL%20number={number}");
        call(&mut connection, "POST", &path, &Value::Null)?;
    }
    for number in 0..containers {
        let image = if images == 0 { "busybox".to_owned() } else { format!("many:{}", number % images) };
        let body = json!({"Image": image, "Cmd": ["true"], "Labels": {"number": number.to_string()},
                          "HostConfig": {"NetworkMode": "none"}});
        call(&mut connection, "POST", &format!("/containers/create?name=many-{number}"), &body)?;
    }
    Ok(())
}

fn ask(engine: &mut Engine, when: &str) -> Result<()> {
    let ready = times(5, || {
        engine.kill()?;
        let start = Instant::now();
        engine.launch()?;
        Ok(start.elapsed())
    })?;
    print(&format!("engine ready after a crash, {when}"), ready);
    for (name, path) in [
        ("ps -a", "/v1.50/containers/json?all=1"),
        ("ps, none runs", "/v1.50/containers/json"),
        ("ps --filter name=many-77", "/v1.50/containers/json?all=1&filters={%22name%22:[%22many-77%22]}"),
        ("inspect of one by name", "/v1.50/containers/source/json"),
        ("images", "/v1.50/images/json"),
        ("inspect of an image", "/v1.50/images/busybox/json"),
        ("info", "/v1.50/info"),
        ("df", "/v1.50/system/df"),
    ] {
        let mut connection = engine.connect()?;
        let took = times(ROUNDS, || {
            let start = Instant::now();
            let _ = connection.request("GET", path, &Value::Null)?;
            Ok(start.elapsed())
        })?;
        print(name, took);
    }
    let life = times(ROUNDS, || {
        let start = Instant::now();
        bench::api::life(&bench::api::Api::new(engine.socket()))?;
        Ok(start.elapsed())
    })?;
    print("create, start, wait, remove", life);
    for words in [["ps", "-aq"], ["ps", "-a"], ["images", "-q"]] {
        let took = times(ROUNDS, || {
            let start = Instant::now();
            engine.dhow(&words).check()?;
            Ok(start.elapsed())
        })?;
        print(&format!("dhow {}", words.join(" ")), took);
    }
    Ok(())
}

fn times(rounds: usize, mut work: impl FnMut() -> Result<Duration>) -> Result<Vec<Duration>> {
    (0..rounds).map(|_| work()).collect()
}

fn print(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |index: usize| times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    println!("{name:<46}{:>10.2}{:>10.2}", at(0), at(times.len() / 2));
}

fn call(connection: &mut Connection, method: &str, path: &str, body: &Value) -> Result<Value> {
    let response = connection.request(method, path, body)?;
    ensure!(response.status < 400, "{method} {path}: {}", String::from_utf8_lossy(&response.body));
    response.json()
}
