//! A server that writes down what it is asked, and answers just enough to be asked the next thing.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value as Json, json};

/// One request, without what may differ: the API version in the path, the order of parameters.
#[derive(Debug, PartialEq)]
pub(crate) struct Sent {
    pub(crate) method: String,
    pub(crate) path: String,
    query: BTreeMap<String, Vec<String>>,
    body: Json,
}

impl Sent {
    /// The request in a few words.
    pub(crate) fn title(sent: Option<&Sent>) -> String {
        sent.map_or_else(
            || "nothing".to_owned(),
            |sent| format!("{} {} {:?}", sent.method, sent.path, sent.query),
        )
    }

    /// Tells what differs from another request.
    pub(crate) fn differences(&self, other: &Sent, lines: &mut Vec<String>) {
        let (mine, theirs) = (Sent::title(Some(self)), Sent::title(Some(other)));
        if mine != theirs {
            lines.push(format!("docker: {mine}, dhow: {theirs}"));
        }
        differing("", &self.body, &other.body, lines);
    }
}

fn differing(at: &str, a: &Json, b: &Json, lines: &mut Vec<String>) {
    match (a, b) {
        (Json::Object(a), Json::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let value =
                    |map: &serde_json::Map<String, Json>| map.get(key).cloned().unwrap_or(json!("(absent)"));
                differing(&format!("{at}/{key}"), &value(a), &value(b), lines);
            }
        }
        (a, b) if a != b => lines.push(format!("{at}: docker {a}, dhow {b}")),
        _ => {}
    }
}

/// The server, for one test.
pub(crate) struct Recorder {
    pub(crate) host: String,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Recorder {
    pub(crate) fn start(folder: &Path) -> Recorder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let socket = folder.join(format!("recorder-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let listener = UnixListener::bind(&socket).expect("listen");
        let sent = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&sent);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let list = Arc::clone(&list);
                thread::spawn(move || serve(stream, &list));
            }
        });
        Recorder { host: format!("unix://{}", socket.display()), sent }
    }

    /// What was asked since the last time.
    pub(crate) fn taken(&self) -> Vec<Sent> {
        std::mem::take(&mut self.sent.lock().expect("the list"))
    }
}

fn serve(stream: UnixStream, list: &Mutex<Vec<Sent>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let (method, target) = line.trim_end().strip_suffix(" HTTP/1.1")?.split_once(' ')?;
        let body = read_body(&mut reader)?;
        if !target.ends_with("/_ping") {
            list.lock().ok()?.push(sent(method, target, body));
        }
        let (status, answer) = answer(method, target);
        let length = answer.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nApi-Version: 1.50\r\nOstype: linux\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let answer = if method == "HEAD" { "" } else { &answer };
        reader.get_mut().write_all((head + answer).as_bytes()).ok()?;
    }
}

fn read_body(reader: &mut BufReader<UnixStream>) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

/// Enough for `run` to go on to its second request, and for docker's look before an `exec`.
fn answer(method: &str, target: &str) -> (&'static str, String) {
    if target.ends_with("/_ping") {
        return ("200 OK", "OK".to_owned());
    }
    if target.contains("/containers/create") {
        return ("201 Created", json!({"Id": "0123456789ab", "Warnings": []}).to_string());
    }
    if method == "GET"
        && target.contains("/containers/")
        && target.ends_with("/json")
        && !target.ends_with("containers/json")
    {
        let container = json!({
            "Id": "0123456789ab", "Config": {"Tty": false}, "State": {"Running": true}, "HostConfig": {},
        });
        return ("200 OK", container.to_string());
    }
    ("500 Internal Server Error", json!({"message": "written down"}).to_string())
}

fn sent(method: &str, target: &str, body: Vec<u8>) -> Sent {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = match path.strip_prefix("/v1.").and_then(|rest| rest.split_once('/')) {
        Some((_, rest)) => format!("/{rest}"),
        None => path.to_owned(),
    };
    let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        parameters.entry(key.to_owned()).or_default().push(plain(value));
    }
    Sent { method: method.to_owned(), path, query: parameters, body: tidied(&body) }
}

/// Filters are sets, written by docker as `{"name":{"value":true}}` and by the API's words also as
/// `{"name":["value"]}`; both are read as the latter, in order.
fn plain(value: &str) -> String {
    let text = unquoted(value);
    let Ok(Json::Object(filters)) = serde_json::from_str(&text) else { return text };
    let values = |value: &Json| match value {
        Json::Object(set) => set.keys().cloned().collect(),
        Json::Array(list) => list.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    let sorted: BTreeMap<String, Vec<String>> = filters
        .iter()
        .map(|(name, value)| {
            let mut values = values(value);
            values.sort();
            (name.clone(), values)
        })
        .collect();
    format!("{sorted:?}")
}

fn unquoted(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let decoded = match byte {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                let digits = String::from_utf8_lossy(&digits).into_owned();
                u8::from_str_radix(&digits, 16).unwrap_or(b'?')
            }
            other => other,
        };
        bytes.push(decoded);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Docker 28 keeps variables in a map and sends them in no order.
fn tidied(body: &[u8]) -> Json {
    let mut body: Json = serde_json::from_slice(body).unwrap_or(Json::Null);
    if let Some(Json::Array(variables)) = body.get_mut("Env") {
        variables.sort_by_key(|variable| variable.to_string());
    }
    // The binds come out of a map too.
    if let Some(Json::Array(binds)) = body.pointer_mut("/HostConfig/Binds") {
        binds.sort_by_key(|bind| bind.to_string());
    }
    // And so do the subnets of a network.
    if let Some(Json::Array(subnets)) = body.pointer_mut("/IPAM/Config") {
        subnets.sort_by_key(|subnet| subnet.to_string());
    }
    body
}
