//! Work done through the Engine API, on one connection.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use dhow_testkit::http::Connection;
use serde_json::{Value, json};

/// An engine's API.
pub(crate) struct Api {
    socket: PathBuf,
}

impl Api {
    pub(crate) const fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    fn connect(&self) -> Result<Connection> {
        Connection::open(&self.socket)
    }
}

/// A container's whole life: create, start, wait, remove.
pub(crate) fn life(api: &Api) -> Result<()> {
    let mut connection = api.connect()?;
    let id = create(&mut connection, &["true"])?;
    call(&mut connection, "POST", &format!("/containers/{id}/start"), &Value::Null)?;
    let ended = call(&mut connection, "POST", &format!("/containers/{id}/wait"), &Value::Null)?;
    if ended["StatusCode"] != json!(0) {
        bail!("it ended with {ended}");
    }
    call(&mut connection, "DELETE", &format!("/containers/{id}"), &Value::Null)?;
    Ok(())
}

/// 64 lives, 16 at a time.
pub(crate) fn crowd(api: &Api) -> Result<()> {
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..16).map(|_| scope.spawn(|| (0..4).try_for_each(|_| life(api)))).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a worker panicked")))
    })
}

/// A container that sleeps while commands are run in it; removed with the value.
pub(crate) struct Sleeper {
    api: Api,
    id: String,
}

impl Sleeper {
    pub(crate) fn new(api: Api) -> Result<Self> {
        let mut connection = api.connect()?;
        let id = create(&mut connection, &["sleep", "10000"])?;
        call(&mut connection, "POST", &format!("/containers/{id}/start"), &Value::Null)?;
        Ok(Self { api, id })
    }

    /// Creates an exec, starts it, reads its output to the end.
    pub(crate) fn exec(&self) -> Result<()> {
        let mut connection = self.api.connect()?;
        let body = json!({"AttachStdout": true, "AttachStderr": true, "Cmd": ["true"]});
        let exec = call(&mut connection, "POST", &format!("/containers/{}/exec", self.id), &body)?;
        let id = exec["Id"].as_str().context("no exec id")?.to_owned();
        let start = format!("/exec/{id}/start");
        connection.request("POST", &start, &json!({"Detach": false, "Tty": false}))?;
        let seen = call(&mut self.api.connect()?, "GET", &format!("/exec/{id}/json"), &Value::Null)?;
        if seen["ExitCode"] != json!(0) {
            bail!("the exec ended with {}", seen["ExitCode"]);
        }
        Ok(())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let path = format!("/containers/{}?force=1", self.id);
        drop(
            self.api
                .connect()
                .and_then(|mut connection| call(&mut connection, "DELETE", &path, &Value::Null)),
        );
    }
}

/// A container that has written 100 MB in a million lines; removed with the value.
pub(crate) struct Written {
    sleeper: Sleeper,
}

impl Written {
    pub(crate) fn new(api: Api) -> Result<Self> {
        let mut connection = api.connect()?;
        let script = "yes $(printf %099d 7) | head -n 1000000";
        // With neither a limit of Docker's nor of ours in the way.
        let log = json!({"Type": "json-file", "Config": {"max-size": "1g"}});
        let body = json!({
            "Image": "busybox", "Cmd": ["sh", "-c", script],
            "HostConfig": {"NetworkMode": "none", "LogConfig": log},
        });
        let made = call(&mut connection, "POST", "/containers/create", &body)?;
        let id = made["Id"].as_str().context("no container id")?.to_owned();
        call(&mut connection, "POST", &format!("/containers/{id}/start"), &Value::Null)?;
        call(&mut connection, "POST", &format!("/containers/{id}/wait"), &Value::Null)?;
        Ok(Self { sleeper: Sleeper { api, id } })
    }

    /// Reads all of it: a frame of eight bytes before each line of a hundred.
    pub(crate) fn read(&self) -> Result<()> {
        let Sleeper { api, id } = &self.sleeper;
        let path = format!("/containers/{id}/logs?stdout=1");
        let response = api.connect()?.request("GET", &path, &Value::Null)?;
        if response.body.len() != 108_000_000 {
            bail!("{} bytes of log, status {}", response.body.len(), response.status);
        }
        Ok(())
    }
}

fn create(connection: &mut Connection, command: &[&str]) -> Result<String> {
    let body = json!({"Image": "busybox", "Cmd": command, "HostConfig": {"NetworkMode": "none"}});
    let answer = call(connection, "POST", "/containers/create", &body)?;
    Ok(answer["Id"].as_str().context("no container id")?.to_owned())
}

fn call(connection: &mut Connection, method: &str, path: &str, body: &Value) -> Result<Value> {
    let response = connection.request(method, path, body)?;
    if response.status >= 400 {
        bail!("{method} {path}: {} {}", response.status, String::from_utf8_lossy(&response.body));
    }
    response.json()
}
