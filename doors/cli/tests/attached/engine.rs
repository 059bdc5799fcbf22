//! An engine with one container, played from a script.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// What the container does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Script {
    /// It has a terminal: it echoes what is typed, and ends at `exit`. Otherwise it reads its input
    /// to the end, if there is any, and answers on both outputs.
    pub(crate) tty: bool,
    /// Its exit status.
    pub(crate) status: i32,
    /// Why it does not start.
    pub(crate) refusal: Option<&'static str>,
}

#[derive(Default)]
struct State {
    asked: Vec<String>,
    ended: Option<i32>,
}

/// The engine, for one test.
pub(crate) struct Engine {
    pub(crate) host: String,
    folder: tempfile::TempDir,
    shared: Arc<Shared>,
}

struct Shared {
    script: Script,
    state: Mutex<State>,
    changed: Condvar,
}

impl Engine {
    pub(crate) fn start(script: Script) -> Engine {
        let folder = tempfile::tempdir().expect("make a folder");
        let socket = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).expect("listen");
        let shared = Arc::new(Shared { script, state: Mutex::default(), changed: Condvar::new() });
        let engine = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let engine = Arc::clone(&engine);
                thread::spawn(move || engine.serve(stream));
            }
        });
        Engine { host: format!("unix://{}", socket.display()), folder, shared }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn was_asked(&self, words: &str) -> bool {
        self.shared.state.lock().expect("the state").asked.iter().any(|asked| asked.contains(words))
    }

    /// Waits until somebody asks for it.
    pub(crate) fn wait_for(&self, words: &str) {
        let state = self.shared.state.lock().expect("the state");
        let not_yet = |state: &mut State| !state.asked.iter().any(|asked| asked.contains(words));
        drop(self.shared.changed.wait_while(state, not_yet).expect("the state"));
    }
}

impl Shared {
    fn serve(&self, stream: UnixStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let target = line.split(' ').nth(1)?.to_owned();
            let length = read_head(&mut reader)?;
            reader.read_exact(&mut vec![0; length]).ok()?;
            self.note(&target);
            let path = target.split('?').next()?;
            match path.rsplit('/').next()? {
                "create" => answer(&mut reader, "201 Created", "{\"Id\":\"c1\",\"Warnings\":[]}")?,
                "attach" => return self.attached(reader),
                "wait" => self.wait(&mut reader)?,
                "start" => match self.script.refusal {
                    Some(words) => {
                        let words = words.replace('"', "\\\"");
                        answer(&mut reader, "400 Bad Request", &format!("{{\"message\":\"{words}\"}}"))?;
                    }
                    None => answer(&mut reader, "204 No Content", "")?,
                },
                "kill" => {
                    self.end(143);
                    answer(&mut reader, "204 No Content", "")?;
                }
                _ => answer(&mut reader, "200 OK", "{}")?,
            }
        }
    }

    fn note(&self, target: &str) {
        self.state.lock().expect("the state").asked.push(target.to_owned());
        self.changed.notify_all();
    }

    fn end(&self, status: i32) {
        self.state.lock().expect("the state").ended.get_or_insert(status);
        self.changed.notify_all();
    }

    /// The head at once, the body when the container has ended.
    fn wait(&self, reader: &mut BufReader<UnixStream>) -> Option<()> {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        reader.get_mut().write_all(head.as_bytes()).ok()?;
        let state = self.state.lock().ok()?;
        let state = self.changed.wait_while(state, |state| state.ended.is_none()).ok()?;
        let body = format!("{{\"StatusCode\":{}}}\n", state.ended?);
        drop(state);
        reader.get_mut().write_all(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes()).ok()
    }

    fn attached(&self, mut reader: BufReader<UnixStream>) -> Option<()> {
        let has_input = self.state.lock().ok()?.asked.last()?.contains("stdin=1");
        let head = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        reader.get_mut().write_all(head.as_bytes()).ok()?;
        match (self.script.tty, has_input) {
            (true, _) => self.echo(reader),
            (false, true) => {
                let mut input = Vec::new();
                reader.read_to_end(&mut input).ok()?;
                frame(&mut reader, 1, &[b"got ", input.as_slice()].concat())?;
                frame(&mut reader, 2, b"and its end")?;
                self.end(self.script.status);
                Some(())
            }
            (false, false) => {
                self.wait_for_start()?;
                frame(&mut reader, 1, b"ready")?;
                let state = self.state.lock().ok()?;
                drop(self.changed.wait_while(state, |state| state.ended.is_none()).ok()?);
                Some(())
            }
        }
    }

    fn wait_for_start(&self) -> Option<()> {
        let state = self.state.lock().ok()?;
        let not_yet = |state: &mut State| !state.asked.iter().any(|asked| asked.ends_with("/start"));
        drop(self.changed.wait_while(state, not_yet).ok()?);
        Some(())
    }

    fn echo(&self, mut reader: BufReader<UnixStream>) -> Option<()> {
        self.wait_for_start()?;
        reader.get_mut().write_all(b"ready\r\n").ok()?;
        let mut buffer = [0; 64];
        loop {
            let count = reader.read(&mut buffer).ok()?;
            let typed = &buffer[..count];
            if count == 0 || typed.starts_with(b"exit") {
                self.end(self.script.status);
                return Some(());
            }
            reader.get_mut().write_all(&[b"got ", typed].concat()).ok()?;
        }
    }
}

/// Reads a head; gives the length of the body.
fn read_head(reader: &mut BufReader<UnixStream>) -> Option<usize> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().to_ascii_lowercase() {
            line if line.is_empty() => return Some(length),
            line => {
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().ok()?;
                }
            }
        }
    }
}

fn answer(reader: &mut BufReader<UnixStream>, status: &str, body: &str) -> Option<()> {
    let length = body.len();
    let text = match status.starts_with("204") {
        true => format!("HTTP/1.1 {status}\r\n\r\n"),
        false => format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"),
    };
    reader.get_mut().write_all(text.as_bytes()).ok()
}

fn frame(reader: &mut BufReader<UnixStream>, stream: u8, text: &[u8]) -> Option<()> {
    let length = u32::try_from(text.len()).ok()?.to_be_bytes();
    reader.get_mut().write_all(&[&[stream, 0, 0, 0], &length[..], text].concat()).ok()
}
